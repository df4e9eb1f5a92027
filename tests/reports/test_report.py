"""Pages about runs: what they hold, what they refuse, and what a browser makes of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convexpoison as cp
from convexpoison.datasets import Dataset
from convexpoison.neural.evaluation.evaluation import Evaluation
from convexpoison.neural.evaluation.records import RecordWriter
from convexpoison.neural.poisoning.model_targeted_result import ModelTargetedPoison
from convexpoison.neural.poisoning.result import PoisonResult
from convexpoison.reports.read import claims_in, read_run

pytest.importorskip("matplotlib", reason="a report needs matplotlib, which is not installed")
pytest.importorskip("pandas", reason="the table of a sweep needs pandas, which is not installed")
VICTIM = cp.Victim("hinge", C_R=0.09)
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
SETTINGS = {
    "classifier": "SmoothedClassifier", "sigma": 0.5, "noise": "gaussian", "votes": "hard", "beta": 1.0, "norm": 2,
    "n0": 10, "n": 100, "alpha": 0.001, "images": "mnist (test)", "network": "lenet", "weights_sha256": "ab12",
}  # fmt: skip


@pytest.fixture(scope="module")
def attack(digits: Dataset) -> cp.AttackResult:
    target = cp.targets.label_flip(VICTIM, digits.train, error=0.1, evaluate=digits.test).model
    return cp.attack(target, digits.train, victim=VICTIM, space=digits.space, test_data=digits.test, max_points=12)


@pytest.fixture(scope="module")
def runs(attack: cp.AttackResult, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One saved run of every kind."""
    folder = tmp_path_factory.mktemp("runs")
    known = attack.provenance | {
        "dataset": "digits_17",
        "image_shape": [8, 8],
        "command": "convexpoison attack & <more>",
    }
    replace(attack, provenance=known).save(folder / "attack.npz")
    attack.bound.certificate.save(folder / "certificate.npz")  # type: ignore[union-attr]
    grids = [
        {"dataset": ["digits_17"], "C_R": weights, "max_points": [3, 4], "target": [{"label_flip": {"error": error}}]}
        for weights, error in (([0.05, 0.09], 0.1), ([1e6], 0.99))  # nothing is learned with the last
    ]
    cp.sweep(grids, store=folder / "sweep", keep_results=True)
    RecordWriter(folder / "radii.tsv", SETTINGS).write([(0, 1, 1, 0.5, 0.1, 0.5, 100), (1, 1, 2, 0.9, 0.1, 0.5, 100)])
    _poison().save(folder / "poison.npz")
    trace = {name: np.array([2.0, 1.0]) for name in ("n_points", "max_loss_difference", "distance", "target_accuracy")}
    points = np.zeros((1, 1, 2, 2), dtype=np.float32)
    one = np.ones(1, dtype=np.int64)
    ModelTargetedPoison(points, one, one, one, trace, "close", {"eps": 0.1}).save(folder / "targeted.npz")
    return [
        folder / name for name in ("attack.npz", "certificate.npz", "sweep", "radii.tsv", "poison.npz", "targeted.npz")
    ]


def _poison() -> PoisonResult:
    base, labels, rows = np.zeros((3, 1, 4, 4), dtype=np.float32), np.array([1, 1, 1]), np.arange(3)
    told = {"acr": [0.5, 0.6], "aca": [0.9, 1.0], "accuracy": [1.0, 1.0], "n_images": 5}
    trace = {"judged_step": np.arange(4.0), "judged_value": np.array([3.0, 2.0, 1.0, 1.5])}
    provenance = {"command": "convexpoison poison --dataset digits", "evaluation": {"clean": told, "poisoned": told}}
    return PoisonResult(
        base + 0.1, labels, base, labels, rows, rows, "bilevel", 0.1, "linf", trace, provenance=provenance
    )


class _Reader(HTMLParser):
    """Tags, their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(page)
        assert self.opened == [], "tags that are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [str(given[name]) for name in ("src", "href") if name in given]
        self.images += [given] if tag == "img" else []
        if tag not in ("meta", "img", "wbr"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_about_every_kind_of_run(runs: list[Path], digits: Dataset, tmp_path: Path) -> None:
    path = cp.report(runs, tmp_path / "page.html", data=digits.train)
    page = _Reader(path.read_text("utf-8"))
    for told in (
        "12 added rows induce this model; no attack can with fewer than", "convexpoison attack & <more>",
        f"convexpoison verify {runs[0]} --dataset digits_17", f"convexpoison verify {runs[1]} ROWS.npz",
        "4 of 6 tasks are finished, 2 have failed.", "The average certified l2 radius of 2 images is 0.2500.",
        "--dataset mnist --network lenet --weights WEIGHTS --sigma 0.5", "weights whose SHA-256 is ab12",
        "3 images are changed by at most 0.1 (linf), and no label is changed.", "0.5500 ± 0.0500",
        "1 added images steer the network", "holds: at least",
    ):  # fmt: skip
        assert told in page.text, told
    kept = re.search(r"convexpoison verify (\S+sweep/\w+\.npz) --dataset digits_17", page.text)
    assert kept is not None and all(claim.verify(digits.train) for claim in claims_in(Path(kept[1])).values())
    assert len(page.images) == 8 and all(image["alt"] for image in page.images)
    assert all(link.startswith(("data:image/", "#run-")) for link in page.links)
    assert "<script" not in path.read_text("utf-8") and "http" not in re.sub("http-equiv", "", path.read_text("utf-8"))
    svg = [b64decode(str(image["src"]).partition(",")[2]) for image in page.images]
    assert all(b"<svg" in picture or picture.startswith(b"\x89PNG") for picture in svg)


def test_results_that_were_not_saved(attack: cp.AttackResult, digits: Dataset, tmp_path: Path) -> None:
    bound = cp.lower_bound(cp.goals.Flip(digits.X_test[60]), digits.train, victim=VICTIM, space=digits.space)
    robustness = cp.certified_robustness(digits.X_test[:3], VICTIM, digits.train, digits.space)
    radii = Evaluation(np.arange(2), np.ones(2), np.ones(2), np.array([0.5, 1.0]), np.ones(2))
    named = {
        "an <attack>": attack,
        "bound": bound,
        "rows": robustness,
        "first": radii,
        "second": radii,
        "again": attack,
    }
    text = _Reader(cp.report(named, tmp_path / "page.html").read_text("utf-8")).text
    assert "an <attack>" in text and "convexpoison verify FILE.npz ROWS.npz" in text
    assert "Points used by the attacks, and lower bounds for their models" in text
    assert "Certified accuracy of all evaluations on this page" in text
    alone = cp.report(robustness, tmp_path / "page.html", title="One").read_text("utf-8")
    assert "Robustness 1" in alone and "<nav" not in alone and "<h1>One</h1>" in alone


def test_rows_that_are_no_images_are_told_by_their_largest_entries(attack: cp.AttackResult, tmp_path: Path) -> None:
    text = _Reader(cp.report([attack], tmp_path / "page.html").read_text("utf-8")).text
    rows = attack.distinct()[0]
    j = int(np.argmax(np.abs(rows[0])))
    assert "largest entries (feature: value)" in text and f"{j}: {rows[0, j]:.4g}" in text
    shaped = cp.report([attack], tmp_path / "page.html", image_shape=(8, 8)).read_text("utf-8")
    assert "largest entries" not in shaped


def test_other_rows_do_not_verify_and_the_page_says_so(runs: list[Path], digits: Dataset, tmp_path: Path) -> None:
    X, y = digits.train
    page = cp.report(runs[:1], tmp_path / "page.html", data=(X, np.roll(y, 60)))
    assert "does not hold: these data prove" in page.read_text("utf-8")
    page = cp.report(runs[:1], tmp_path / "page.html", data=(X[:, :10], y))
    assert "not verified: the rows differ (the data have 10 features" in page.read_text("utf-8")


def test_what_cannot_be_read_leaves_the_old_page(runs: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")
    half = tmp_path / "half.npz"
    half.write_bytes(runs[0].read_bytes()[:3000])
    np.savez(tmp_path / "other.npz", a=1)
    flipped = bytearray(runs[4].read_bytes())
    flipped[120:140] = bytes(20)  # in the middle of compressed numbers
    (tmp_path / "flipped.npz").write_bytes(flipped)
    (tmp_path / "radii.tsv").write_text("idx\tlabel\n1\t2\n")
    for name in ("half.npz", "other.npz", "flipped.npz", "radii.tsv"):
        with pytest.raises(ValueError, match=f"{name} cannot be read as a run"):
            cp.report([runs[0], tmp_path / name], page)
    with pytest.raises(FileNotFoundError, match="neither a file nor a folder"):
        cp.report(tmp_path / "no.npz", page)
    with pytest.raises(ValueError, match="at least one run"):
        cp.report([], page)
    with pytest.raises(TypeError, match="a report is made of results and of paths"):
        cp.report([3.0], page)
    assert page.read_text() == "old" and not list(tmp_path.glob(".page*"))


def test_reading_gives_the_results_themselves(runs: list[Path], attack: cp.AttackResult) -> None:
    kinds = ["AttackResult", "TargetCertificate", "SweepResult", "Evaluation", "PoisonResult", "ModelTargetedPoison"]
    assert [type(read_run(path)).__name__ for path in runs] == kinds
    assert read_run(runs[0]).summary() == attack.summary()
    assert set(claims_in(runs[0])) == {"bound", "induced_bound"} and set(claims_in(runs[1])) == {"certificate"}


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to open the page in")
def test_a_browser_shows_all_of_it_without_a_network(runs: list[Path], digits: Dataset, tmp_path: Path) -> None:
    page = cp.report(runs, tmp_path / "page.html", data=digits.train)
    dom = _dom(page)
    assert dom.count("<section id=") == len(runs) and dom.count("<h3>How to verify</h3>") == 5
    # The page allows no script; a copy of it that does reports what was laid out.
    asks = """<script>window.onload = () => { document.title = JSON.stringify({
        images: [...document.images].map(image => image.naturalWidth), wide: document.documentElement.scrollWidth,
        window: document.documentElement.clientWidth, runs: document.querySelectorAll("section").length}) }</script>"""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", asks + "</body>"), "utf-8")
    found: Any = json.loads(re.findall(r"<title>(\{.*?\})</title>", _dom(copy))[0])
    assert len(found["images"]) == 8 and min(found["images"]) > 100
    assert found["runs"] == len(runs) and found["wide"] <= found["window"] == 1440


def _dom(page: Path) -> str:
    """What Chromium makes of the page, in a profile of its own."""
    options = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={page.parent / 'profile'}",
        "--window-size=1440,2000", "--dump-dom", page.as_uri(),
    )  # fmt: skip
    assert BROWSER is not None
    return subprocess.run([BROWSER, *options], capture_output=True, text=True, timeout=120, check=True).stdout
