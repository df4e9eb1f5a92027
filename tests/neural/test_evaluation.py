"""Evaluation: published tables to the printed digit, files that grow and go on, curves, attacks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convexpoison.neural.evaluation.evaluation import Evaluation, certified_accuracy_curves
from convexpoison.neural.evaluation.records import RecordWriter, read_records

RADII = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])


def _evaluation() -> Evaluation:
    return Evaluation(
        idx=np.arange(5),
        label=np.array([0, 1, 2, 3, 4]),
        prediction=np.array([0, 1, 3, -1, 4]),
        radius=np.array([0.5, 1.0, 9.0, 0.0, 0.0]),
        seconds=np.ones(5),
    )


# -------------------------------------------------------------------- published results


def _published_table(folder: Path) -> list[tuple[str, list[str]]]:
    """The rows of the table in the data folder's README: file, then rows, abstentions, ACR and nine accuracies."""
    readme = folder / "README.md"
    if not readme.is_file() or not (folder / "smoothing_reference").is_dir():
        pytest.skip("the data folder holds no published smoothing results")
    rows = re.findall(r"^\| `(\S+\.tsv(?:\.gz)?)` \| (.+) \|$", readme.read_text(), flags=re.MULTILINE)
    table = [(name, [cell.strip() for cell in cells.split("|")]) for name, cells in rows]
    return [(name, cells) for name, cells in table if len(cells) == 12]


def test_published_tables_to_the_printed_digit(data_folder: Path) -> None:
    table = _published_table(data_folder)
    assert len(table) == 22
    for name, (rows, abstentions, acr, *accuracies) in table:
        found = Evaluation.read(data_folder / "smoothing_reference" / name)
        assert (len(found), found.abstentions) == (int(rows), int(abstentions)), name
        assert f"{found.acr:.4f}" == acr, name
        assert [f"{a:.4f}" for a in found.certified_accuracy(RADII)] == accuracies, name


def test_cohen_at_a_quarter_as_published(data_folder: Path) -> None:
    _published_table(data_folder)
    path = data_folder / "smoothing_reference" / "cohen2019_cifar10_resnet110_train0.25_sigma0.25.tsv"
    found = Evaluation.read(path)
    assert f"{found.acr:.4f}" == "0.4289"
    assert [f"{a:.3f}" for a in found.certified_accuracy(RADII[:4])] == ["0.748", "0.600", "0.428", "0.266"]


# -------------------------------------------------------------------- numbers and curves


def test_certified_accuracy_counts_the_edge_and_only_right_answers() -> None:
    found = _evaluation()
    np.testing.assert_allclose(found.certified_accuracy([0.0, 0.5, 0.5000001, 1.0, 1.1]), [0.6, 0.4, 0.2, 0.2, 0.0])
    assert found.certified_accuracy(1.0) == 0.2
    assert found.acr == pytest.approx(0.3)
    assert found.abstentions == 1


def test_envelope_is_the_best_curve_at_each_radius() -> None:
    a = _evaluation()
    b = Evaluation(a.idx, a.label, a.label, np.full(5, 0.2), a.seconds)
    curves = certified_accuracy_curves({"a": a, "b": b}, [0.0, 0.2, 0.3, 1.0])
    np.testing.assert_allclose(curves.accuracy["b"], [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(curves.envelope().accuracy["envelope"], [1.0, 1.0, 0.4, 0.2])
    with pytest.raises(ValueError, match="at least one"):
        certified_accuracy_curves({})


def test_frames_and_plots() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    found = _evaluation()
    frame = found.to_frame()
    assert list(frame.columns) == ["idx", "label", "predict", "radius", "correct", "time"]
    assert frame["correct"].tolist() == [1, 1, 0, 0, 1]
    curve = found.curve("ours")
    assert list(curve.to_frame().columns) == ["radius", "ours"]
    ax = curve.plot()
    (line,) = ax.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), found.certified_accuracy(line.get_xdata()))
    assert found.plot(ax) is ax


# -------------------------------------------------------------------- files


def test_a_cut_line_is_dropped_and_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.tsv"
    writer = RecordWriter(path, {"sigma": 0.5})
    writer.write([(7, 1, 1, 0.1 + 0.2, 0.5, 0.25, 100), (8, 1, -1, 0.0, 0.5, 0.25, 100)])
    with open(path, "a") as file:
        file.write("9\t1\t1\t0.4")
    columns, settings = read_records(path)
    assert settings == {"sigma": 0.5}
    assert columns["idx"].tolist() == [7, 8]
    assert columns["radius"][0] == 0.1 + 0.2  # every digit
    again = RecordWriter(path, {"sigma": 0.5})
    assert again.done["idx"].tolist() == [7, 8]
    again.write([(9, 1, 1, 0.4, 0.5, 0.25, 100)])
    assert read_records(path)[0]["idx"].tolist() == [7, 8, 9]
    with pytest.raises(ValueError, match=r"sigma: 0\.5 there, 0\.25 now"):
        RecordWriter(path, {"sigma": 0.25})


def test_published_formats_are_read_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "published"
    path.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.2\t1\t0:01:02.5\n20\t3\t-1\t0.0\t0\t7.5")
    found = Evaluation.read(path)
    assert found.seconds.tolist() == [62.5, 7.5]  # the last line counts although nothing ends it
    with pytest.raises(ValueError, match="not continued"):
        RecordWriter(path, {})
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(ValueError, match="records have idx, label"):
        Evaluation.read(path)
    path.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.2\t0\t1\n")
    with pytest.raises(ValueError, match="correct is not 1"):
        Evaluation.read(path)


# -------------------------------------------------------------------- certifying a test set


class _Killed(Exception):
    """A run that ends here."""


def _dies_after(classifier: Any, calls: int) -> Any:
    real, made = classifier.certify, []

    def certify(*args: Any, **kwargs: Any) -> Any:
        if len(made) == calls:
            raise _Killed
        made.append(1)
        return real(*args, **kwargs)

    classifier.certify = certify
    return classifier


@pytest.mark.parametrize("with_memory", [False, True])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(halfspace: Any, tmp_path: Path, with_memory: bool) -> None:
    from convexpoison.neural import MemoryClassifier, SmoothedClassifier, evaluate

    X = np.random.default_rng(0).random((12, 2)).astype(np.float32)
    y, idx = (X[:, 0] > 0.5).astype(int), np.arange(12) * 20

    def classifier() -> Any:
        base = SmoothedClassifier(halfspace([8.0, 0.0], -4.0), 0.25, random_state=0)
        return MemoryClassifier(base, lambda c, X: 0.05 + 0.4 * np.asarray(X)[:, 0]) if with_memory else base

    settings: dict[str, Any] = {"idx": idx, "n0": 50, "n": 400, "progress": False}
    whole = evaluate(classifier(), X, y, path=tmp_path / "whole.tsv", **settings)
    with pytest.raises(_Killed):
        evaluate(_dies_after(classifier(), 5), X, y, path=tmp_path / "cut.tsv", **settings)
    assert len(Evaluation.read(tmp_path / "cut.tsv")) == 5
    resumed = evaluate(classifier(), X, y, path=tmp_path / "cut.tsv", **settings)
    for name in ("idx", "label", "prediction", "radius", "sigma", "n"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    read = Evaluation.read(tmp_path / "cut.tsv")
    np.testing.assert_array_equal(read.radius, whole.radius)
    assert read.acr == whole.acr > 0
    finished = evaluate(_dies_after(classifier(), 0), X, y, path=tmp_path / "cut.tsv", **settings)
    np.testing.assert_array_equal(finished.radius, whole.radius)
    unwritten = evaluate(classifier(), X, y, chunk=5, **settings)
    np.testing.assert_array_equal(unwritten.radius, whole.radius)
    with pytest.raises(ValueError, match=r"n: 400 there, 500 now"):
        evaluate(classifier(), X, y, path=tmp_path / "cut.tsv", **(settings | {"n": 500}))
    with pytest.raises(ValueError, match="not among those to certify"):
        evaluate(classifier(), X[1:], y[1:], path=tmp_path / "cut.tsv", **(settings | {"idx": idx[1:]}))


@pytest.mark.parametrize("with_memory", [False, True])
def test_radii_of_the_summary_alone_cost_less_and_say_the_same_there(
    halfspace: Any, tmp_path: Path, with_memory: bool
) -> None:
    """In evaluation, with and without a memory; the file tells the radii as a setting."""
    from convexpoison.neural import MemoryClassifier, SmoothedClassifier, evaluate

    distance, radii = np.array([0.06, 0.09, 0.2, 0.24, 0.36, 0.44], dtype=np.float32), (0.0, 0.15, 0.3)
    X, y = np.column_stack([0.5 + distance, np.full(6, 0.5, dtype=np.float32)]), np.ones(6, dtype=int)

    def found(**options: Any) -> Evaluation:
        base = SmoothedClassifier(halfspace([8.0, 0.0], -4.0), 0.25, random_state=0)
        return evaluate(MemoryClassifier(base) if with_memory else base, X, y, n=10_000, progress=False, **options)

    few, full = found(radii=radii, path=tmp_path / "few.tsv"), found()
    np.testing.assert_array_equal(few.certified_accuracy(radii), full.certified_accuracy(radii))
    assert few.n.sum() < 0.5 * full.n.sum()
    np.testing.assert_array_equal(found(radii=radii, path=tmp_path / "few.tsv").radius, few.radius)
    with pytest.raises(ValueError, match="radii: "):
        found(path=tmp_path / "few.tsv")


@pytest.mark.parametrize("with_memory", [False, True])
def test_a_run_without_a_seed_goes_on_with_the_one_in_the_file(
    halfspace: Any, tmp_path: Path, with_memory: bool
) -> None:
    from convexpoison.neural import MemoryClassifier, SmoothedClassifier, evaluate

    X = np.random.default_rng(0).random((6, 2)).astype(np.float32)
    y, settings = (X[:, 0] > 0.5).astype(int), {"n0": 50, "n": 400, "progress": False}

    def classifier(seed: Any = None) -> Any:
        base = SmoothedClassifier(halfspace([8.0, 0.0], -4.0), 0.25, random_state=seed)
        return MemoryClassifier(base, None) if with_memory else base

    first = classifier()
    whole = evaluate(first, X, y, **settings)
    with pytest.raises(_Killed):
        evaluate(_dies_after(first, 3), X, y, path=tmp_path / "cut.tsv", **settings)
    second = classifier()
    resumed = evaluate(second, X, y, path=tmp_path / "cut.tsv", **settings)
    np.testing.assert_array_equal(resumed.radius, whole.radius)
    assert resumed.settings["seed"] == whole.settings["seed"]
    again = evaluate(second, X, y, **settings)
    np.testing.assert_array_equal(again.radius, whole.radius)  # the seed is the classifier's from now on
    with pytest.raises(ValueError, match="seed: "):
        evaluate(classifier(1), X, y, path=tmp_path / "cut.tsv", **settings)
    third = classifier()
    seed = getattr(third, "classifier", third).seed
    with pytest.raises(ValueError, match="n: 400 there, 500 now"):
        evaluate(third, X, y, path=tmp_path / "cut.tsv", **(settings | {"n": 500}))
    assert getattr(third, "classifier", third).seed == seed


def test_what_is_done_is_looked_up_once_and_not_for_every_image(halfspace: Any, tmp_path: Path) -> None:
    from convexpoison.neural import SmoothedClassifier, evaluate
    from convexpoison.neural.evaluation.records import RecordWriter

    n = 3000
    classifier = SmoothedClassifier(halfspace([8.0, 0.0], -4.0), 0.25, random_state=0)
    X, y = np.zeros((n, 2), dtype=np.float32), np.zeros(n, dtype=int)
    evaluate(classifier, X[:1], y[:1], path=tmp_path / "run.tsv", progress=False, n0=10, n=10)
    _, settings = read_records(tmp_path / "run.tsv")
    RecordWriter(tmp_path / "run.tsv", settings).write([(i, 0, 0, 0.1, 0.0, 0.25, 10) for i in range(1, n)])
    iterations = 0

    class Counted(np.ndarray):
        def __iter__(self) -> Any:
            nonlocal iterations
            iterations += 1
            return super().__iter__()

    real = RecordWriter._continue

    def counted(self: Any, settings: Any) -> None:
        real(self, settings)
        self.done["idx"] = self.done["idx"].view(Counted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordWriter, "_continue", counted)
        assert len(evaluate(classifier, X, y, path=tmp_path / "run.tsv", progress=False, n0=10, n=10)) == n
    assert iterations < 10


def test_lengths_and_labels_are_checked(halfspace: Any) -> None:
    from convexpoison.neural import SmoothedClassifier, evaluate

    classifier, X = SmoothedClassifier(halfspace([8.0, 0.0], -4.0), 0.25), np.zeros((2, 2))
    with pytest.raises(ValueError, match="must be equal"):
        evaluate(classifier, X, [0])
    with pytest.raises(ValueError, match="contains duplicates"):
        evaluate(classifier, X, [0, 1], idx=[4, 4])
    with pytest.raises(ValueError, match="labels are integers"):
        evaluate(classifier, X, [0.0, 1.0])


# -------------------------------------------------------------------- attacks


def test_the_attack_on_a_halfspace_needs_its_distance(halfspace: Any) -> None:
    from convexpoison.neural import SmoothedClassifier, pgd_distortion

    classifier = SmoothedClassifier(
        halfspace([6.0, 8.0], -5.0), 0.25, random_state=0
    )  # the boundary is .6 x + .8 y = .5
    X, y = np.array([[0.5, 0.5], [0.7, 0.7], [0.2, 0.1], [0.9, 0.9]]), np.array([1, 1, 1, 1])
    distance = np.array([0.2, 0.48, 0.0, 0.76])
    eps = np.arange(0.05, 0.66, 0.05)
    found = pgd_distortion(classifier, X, y, eps, steps=10, n=20)
    assert found.distortion[2] == 0.0  # wrong from the start
    assert np.isinf(found.distortion[3])
    assert ((distance[:2] < found.distortion[:2]) & (found.distortion[:2] <= distance[:2] + 0.11)).all()
    np.testing.assert_allclose(np.linalg.norm(found.adversarial[:2] - X[:2], axis=1), found.distortion[:2], rtol=1e-5)
    np.testing.assert_array_equal(found.adversarial[2:], X[2:].astype(np.float32))
    assert found.adversarial.min() >= 0.0
    assert found.success == 0.75
    assert found.mean == pytest.approx(found.distortion[:3].mean())
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    assert len(found.to_frame()) == 4
    (line,) = found.plot().get_lines()
    assert line.get_ydata()[0] == 0.75
    with pytest.raises(ValueError, match="positive budgets"):
        pgd_distortion(classifier, X, y, [])
    with pytest.raises(ValueError, match="one label for each"):
        pgd_distortion(classifier, X, y[:2], [0.1])


# -------------------------------------------------------------------- the package


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_torch_is_loaded_by_what_computes_with_it_and_by_nothing_else() -> None:
    statement = "import convexpoison.neural as n; n.Evaluation; n.certified_accuracy_curves; n.evaluate; dir(n)"
    assert "torch" not in _loaded_by(statement)


def test_without_torch_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import convexpoison.neural as n\n"
        "try:\n    n.SmoothedClassifier\nexcept ImportError as exc:\n    print(exc)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "convexpoison[neural]" in done.stdout


def test_public_names_are_all_there() -> None:
    pytest.importorskip("torch", reason="smoothing needs torch, which is not installed")
    from convexpoison import neural

    for name in neural.__all__:
        assert getattr(neural, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'certfy'"):
        _ = neural.certfy
