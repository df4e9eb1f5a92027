"""Files that version 0.1.0 saved are still read, with every number in them, and their certificates still proven.

``tests/old_files/make.py`` describes them. They are data: they are not written anew when a format changes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import convexpoison as cp
from convexpoison.cli.commands import main

FOLDER = Path(__file__).parent / "old_files"
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
ATTACKS, CERTIFICATES = EXPECTED["attacks"], EXPECTED["certificates"]
GRID = {"dataset": ["digits_17"], "C_R": [0.09], "target": [{"label_flip": {"error": 0.1}}], "max_points": [2, 3]}


def rows(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"rows_{name}.npz") as file:
        return dict(file)


def verify(file: str, about: str, status: int = 0) -> dict[str, Any]:
    """Return what ``convexpoison verify --json`` reports about a file and its clean rows."""
    done = CliRunner().invoke(main, ["verify", str(FOLDER / file), str(FOLDER / f"rows_{about}.npz"), "--json"])
    assert done.exit_code == status, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def loaders() -> dict[str, Any]:
    """Return the class of each kind of certificate."""
    from convexpoison.certificates import GoalCertificate, NearTargetCertificate, TargetCertificate

    return {kind.kind: kind for kind in (TargetCertificate, NearTargetCertificate, GoalCertificate)}


def test_every_file_is_read_by_a_test():
    tested = {f"attack_{name}.npz" for name in ATTACKS} | {f"certificate_{name}.npz" for name in CERTIFICATES}
    tested |= {f"rows_{part['rows']}.npz" for group in (ATTACKS, CERTIFICATES) for part in group.values()}
    tested |= {"poison_images.npz", "poison_model_targeted.npz", "memory.npz"}
    assert {path.name for path in FOLDER.glob("*.npz")} == tested


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_read_with_every_number(name):
    expected, result = ATTACKS[name], cp.AttackResult.load(FOLDER / f"attack_{name}.npz")
    assert json.loads(json.dumps(result.to_dict())) == expected["to_dict"]
    for part in ("points", "labels", "counts"):
        assert getattr(result, part).tolist() == expected[part]
    assert result.n_distinct == expected["n_distinct"]
    assert result.gap == expected["gap"]
    for part, (*coef, intercept, classes) in expected["models"].items():
        model = getattr(result, part)
        assert (model.coef.tolist(), model.intercept) == (coef, intercept)
        assert model.classes == (None if classes is None else tuple(classes))
    victim = result.victim
    read = [victim.loss.name, victim.C, victim.C_R, victim.intercept, victim.intercept_scaling]
    assert read == expected["victim"]
    assert (None if result.guarantee is None else vars(result.guarantee)) == expected["guarantee"]
    history = {part: np.where(np.isfinite(values), values, -1.0).tolist() for part, values in result.history.items()}
    assert history == expected["history"]
    assert [result.bound.certificate is not None, result.induced_bound.certificate is not None] == expected["certified"]
    assert result.summary()


@pytest.mark.parametrize("name", ATTACKS)
def test_the_bounds_of_an_attack_are_proven_again(name):
    expected = ATTACKS[name]
    found = verify(f"attack_{name}.npz", expected["rows"])
    assert found["holds"]
    for part in ("bound", "induced_bound"):
        assert found[part]["claimed"] == expected["to_dict"][part]["value"]
        assert found[part]["value"] == pytest.approx(found[part]["claimed"], rel=1e-8)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_poison_of_an_attack_induces_its_model(name):
    """The result belongs to the rows: a victim trained on them and the points ends up with the saved model."""
    result, data = cp.AttackResult.load(FOLDER / f"attack_{name}.npz"), rows(ATTACKS[name]["rows"])
    X, y = result.poisoned(data["X"], data["y"])
    weights = np.append(data.get("sample_weight", np.ones(len(data["y"]))), np.ones(result.n_points))
    model = result.victim.fit(X, y, sample_weight=weights)
    assert model.coef == pytest.approx(result.model.coef, abs=1e-4)
    assert model.intercept == pytest.approx(result.model.intercept, abs=1e-4)


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_is_read_with_every_number(name):
    expected = CERTIFICATES[name]
    certificate = loaders()[expected["kind"]].load(FOLDER / f"certificate_{name}.npz")
    space = certificate.space
    assert certificate.value == (np.inf if expected["value"] is None else expected["value"])
    assert (certificate.note, certificate.victim.loss.name) == (expected["note"], expected["loss"])
    assert (sorted(space.parts), list(space.labels)) == (expected["parts"], expected["labels"])
    assert space.response == (None if expected["response"] is None else tuple(expected["response"]))
    assert space.violation(np.array(expected["probes"])) == pytest.approx(np.array(expected["violation"]), abs=1e-12)


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_is_proven_again(name):
    expected = CERTIFICATES[name]
    found = verify(f"certificate_{name}.npz", expected["rows"])
    assert found["holds"]
    assert (found["claimed"], found["attainable"]) == (expected["value"], expected["value"] is not None)
    if found["attainable"]:
        assert found["value"] == pytest.approx(expected["value"], rel=1e-8)
    assert found["note"] == expected["note"]


def test_a_certificate_does_not_hold_for_other_rows():
    found = verify("certificate_target_weighted.npz", "digits", status=1)
    assert not found["holds"]
    assert found["claimed"] == CERTIFICATES["target_weighted"]["value"]


def test_the_store_of_a_sweep_is_read_and_gone_on_with(tmp_path):
    """The tasks keep their keys: the same grid runs none of them again."""
    store = shutil.copytree(FOLDER / "sweep", tmp_path / "sweep")
    kept = cp.sweeps.load(store)
    assert [(record.status, record.params["max_points"]) for record in kept.records] == [("ok", 2), ("ok", 3)]
    assert [record.result["n_points"] for record in kept.records] == [2, 3]
    assert kept.records[0].result["bound"]["value"] == 40.64340368465196
    assert [kept.attack(task).n_points for task in (0, 1)] == [2, 3]
    again = cp.sweep(GRID, store=store, keep_results=True, progress=False)
    assert [record.seconds for record in again.records] == [record.seconds for record in kept.records]
    assert [record.key for record in again.records] == [record.key for record in kept.records]


def test_poison_of_networks_is_read():
    from convexpoison import neural

    rng = np.random.default_rng(4)
    images, base = (rng.uniform(size=(3, 1, 2, 2)).astype(np.float32) for _ in range(2))
    poison = neural.PoisonResult.load(FOLDER / "poison_images.npz")
    assert np.array_equal(poison.images, images)
    assert np.array_equal(poison.base_images, base)
    assert (poison.labels.tolist(), poison.base_indices.tolist()) == ([0, 1, 1], [2, 5, 7])
    assert (poison.train_indices.tolist(), poison.base_labels.tolist()) == (list(range(9)), [0, 1, 1])
    assert {name: values.tolist() for name, values in poison.trace.items()} == {
        "upper": [0.5, 0.25], "judged_step": [1.0],
    }  # fmt: skip
    plain = (poison.method, poison.eps, poison.norm, poison.stop_reason, poison.seconds, poison.provenance)
    assert plain == ("bilevel", 0.1, "linf", "done", 1.5, {"seed": 0})
    chosen = neural.ModelTargetedPoison.load(FOLDER / "poison_model_targeted.npz")
    assert np.array_equal(chosen.points, images)
    assert (chosen.labels.tolist(), chosen.chosen.tolist(), chosen.counts.tolist()) == ([0, 1, 1], [2, 5, 7], [2, 1, 1])
    assert chosen.trace["distance"].tolist() == [0.5, 0.25]
    assert (chosen.stop_reason, chosen.settings, chosen.n_points) == ("budget", {"eps": 0.1}, 4)


def test_a_memory_is_read():
    torch = pytest.importorskip("torch", reason="torch is not installed (extra 'neural')")
    from convexpoison import neural

    images = np.random.default_rng(4).uniform(size=(3, 1, 2, 2)).astype(np.float32)
    network = neural.SmoothedClassifier(torch.nn.Flatten(), sigma=0.25)
    memory = neural.MemoryClassifier.load(FOLDER / "memory.npz", network, None)
    assert len(memory) == 2
    assert memory.remembers(images[:2])
    assert not memory.remembers(images[2:])
    found = memory.certify(images[:2], n0=10, n=10)
    assert (found.prediction.tolist(), found.radius.tolist(), found.n.tolist()) == ([0, 1], [0.05, 0.02], [100, 100])


def test_certified_radii_are_read():
    from convexpoison import neural

    radii = neural.Evaluation.read(FOLDER / "radii.tsv")
    assert (radii.label.tolist(), radii.prediction.tolist()) == ([0, 1, 2, 0], [0, 1, 2, 3])
    assert radii.radius[:2].tolist() == [0.3103349378406892, 0.3751187560279168]
    assert (radii.sigma.tolist(), radii.n.tolist(), radii.settings["alpha"]) == ([0.25] * 4, [100] * 4, 0.001)


def test_a_report_reads_what_was_saved(tmp_path, pandas):
    """All kinds on one page."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    files = [*sorted(FOLDER.glob("attack_*.npz")), *sorted(FOLDER.glob("certificate_*.npz")), FOLDER / "sweep"]
    page = tmp_path / "report.html"
    cp.report(files, page)
    text = page.read_text(encoding="utf-8")
    assert all(path.stem in text for path in files)
