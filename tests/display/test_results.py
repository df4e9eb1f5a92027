"""Every result is told in words, as a table, as a frame and as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convexpoison as cp
from convexpoison.datasets import Dataset
from convexpoison.display.shown import Shown, in_words, table_of_facts

pytest.importorskip("matplotlib", reason="pictures need matplotlib, which is not installed")
pytest.importorskip("pandas", reason="frames need pandas, which is not installed")
VICTIM = cp.Victim("hinge", C_R=0.09)


@pytest.fixture(scope="module")
def attack(digits: Dataset) -> cp.AttackResult:
    target = cp.targets.label_flip(VICTIM, digits.train, error=0.1, evaluate=digits.test).model
    return cp.attack(target, digits.train, victim=VICTIM, space=digits.space, test_data=digits.test, max_points=12)


def _least_mass(digits: Dataset, attack: cp.AttackResult) -> Shown:
    goal = cp.goals.ErrorRate(0.05, *digits.test)
    return cp.targets.least_mass(goal, digits.train, victim=VICTIM, space=digits.space, max_iter=20)


def _filter_cost(digits: Dataset, attack: cp.AttackResult) -> Shown:
    filter = cp.defenses.sphere(*digits.train, percentile=95)
    return cp.defenses.filter_cost(attack.target, digits.train, filter, victim=VICTIM, space=digits.space)


CONVEX: dict[str, Callable[[Dataset, cp.AttackResult], Any]] = {
    "attack": lambda digits, attack: attack,
    "bound": lambda digits, attack: attack.bound,
    "goal bound": lambda d, a: cp.lower_bound(cp.goals.Flip(d.X_test[60]), d.train, victim=VICTIM, space=d.space),
    "ball bound": lambda d, a: cp.lower_bound(a.target, d.train, victim=VICTIM, space=d.space, delta=1e-3),
    "robustness": lambda d, a: cp.certified_robustness(d.X_test[:5], VICTIM, d.train, d.space),
    "robustness curve": lambda d, a: cp.robustness_curve([3, 1, 3, 7]),
    "difference": lambda d, a: cp.max_loss_difference(a.clean, a.target, d.space),
    "candidate": lambda d, a: cp.targets.label_flip(VICTIM, d.train, error=0.1, evaluate=d.test),
    "least mass": _least_mass,
    "filter cost": _filter_cost,
    "sweep": lambda d, a: cp.sweep({"a": [1, 2], "b": [1, 2, 3]}, _product),
}


def _product(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    return {"n_points": params["a"] * params["b"]}


def _one(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    return {"n_points": 1}


@pytest.mark.parametrize("name", CONVEX)
def test_results_of_convex_models(name: str, digits: Dataset, attack: cp.AttackResult, tmp_path: Path) -> None:
    shown(CONVEX[name](digits, attack), tmp_path)


def shown(result: Any, folder: Path) -> None:
    assert isinstance(result, Shown)
    facts, table = result.facts(), result._repr_html_()
    assert facts and table.count("<tr>") == len(facts)
    assert "script" not in table and type(result).__name__ in table
    assert len(result.to_frame()) > 0
    ax = np.ravel(result.plot())[0]
    ax.figure.savefig(folder / "plot.png")
    assert (folder / "plot.png").stat().st_size > 2_000
    own = type(ax.figure)().subplots()
    assert result.plot(ax=own) is own and (own.has_data() or own.texts)


def _evaluation() -> Any:
    from convexpoison.neural.evaluation.evaluation import Evaluation

    label, prediction = np.array([0, 1, 1, 2]), np.array([0, 1, 2, -1])
    return Evaluation(np.arange(4), label, prediction, np.array([0.5, 1.0, 2.0, 0.0]), np.full(4, 0.1))


def _certification() -> Any:
    from convexpoison.neural.smoothing.certification import Certification

    half = np.full(3, 0.5)
    return Certification(np.array([0, -1, 2]), np.array([0.5, 0.0, 1.0]), np.full(3, 100), half, half, half, 2, 0.001)


def _memory() -> Any:
    pytest.importorskip("torch", reason="the memory needs torch, which is not installed")
    from convexpoison.neural.smoothing.memory import MemoryCertification

    prediction, radius, sigma = np.array([0, 1]), np.array([0.5, 0.2]), np.full(2, 0.5)
    n, corrected = np.full(2, 100), np.array([False, True])
    return MemoryCertification(prediction, radius, prediction, radius, sigma, n, corrected, 2, 0.001)


def _retraining() -> Any:
    pytest.importorskip("torch", reason="retraining needs torch, which is not installed")
    from convexpoison.neural.poisoning.retraining import Retraining

    acr, unknown = np.array([0.4, 0.5]), np.full(2, np.nan)
    return Retraining(acr, np.array([0.8, 0.9]), np.array([0.9, 1.0]), unknown, 10, 0.5, np.arange(2))


def _distortion() -> Any:
    pytest.importorskip("torch", reason="attacks on networks need torch, which is not installed")
    from convexpoison.neural.evaluation.distortion import Distortion

    return Distortion(np.array([0.0, 0.5, np.inf]), np.zeros((3, 1, 2, 2)), np.array([0.5, 1.0]))


NETWORKS: dict[str, Callable[[], Any]] = {
    "evaluation": _evaluation,
    "certified accuracy": lambda: _evaluation().curve(),
    "certification": _certification,
    "memory": _memory,
    "retraining": _retraining,
    "distortion": _distortion,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_results_of_networks(name: str, tmp_path: Path) -> None:
    shown(NETWORKS[name](), tmp_path)


def test_shares_of_certified_images_count_abstentions_as_lost() -> None:
    (line,) = _certification().plot().get_lines()
    radius, share = line.get_data()
    assert share[0] == pytest.approx(2 / 3)
    assert share[(radius > 0.55) & (radius < 0.95)] == pytest.approx(1 / 3) and share[-1] == 0.0


def test_poison_points_as_images_and_as_a_table(digits: Dataset, attack: cp.AttackResult) -> None:
    points, labels, counts = attack.distinct()
    assert counts.sum() == attack.n_points and len(points) == attack.n_distinct and (np.diff(counts) <= 0).all()
    ax = attack.plot_points(4, shape=digits.image_shape)
    assert len(ax.images) == min(4, len(points)) and ax.images[0].get_array().shape == (8, 8)
    np.testing.assert_allclose(ax.images[0].get_array(), points[0].reshape(8, 8))
    assert ax.texts[0].get_text() == (
        f"label {labels[0]}\n{counts[0]} times" if counts[0] > 1 else f"label {labels[0]}"
    )
    table = attack.plot_points(4).images[0].get_array()
    np.testing.assert_array_equal(table, points[:4])
    with pytest.raises(ValueError, match="64 features, which do not form an image of shape"):
        attack.plot_points(shape=(8, 9))


def test_a_bracket_shows_what_is_impossible_and_what_is_enough() -> None:
    from convexpoison.display.bracket import plot_brackets

    ax = plot_brackets({"a": (10.0, 13_012.0), "b": (np.inf, None), "c": (0.0, None)})
    assert [bar.get_width() for bar in ax.patches][::2] == [10.0, 0.0]
    told = [text.get_text().strip() for text in ax.texts]
    assert told == ["fewer than 10: impossible", "13,012: enough", "no number is enough", "nothing is proven"]


def test_a_sweep_needs_two_parameters_for_a_heat_map() -> None:
    result = cp.sweep({"a": [1, 2], "b": [3]}, _product)
    assert result.varied() == ["a", "b"] and result.plot().get_xlabel() == "a"
    with pytest.raises(ValueError, match="two parameters"):
        cp.sweep({"a": [1, 2]}, _one).plot()


def test_whatever_is_told_is_escaped() -> None:
    table = table_of_facts("<b>", {"<script>": "a & <i>", "n": 1234})
    assert "<b>" not in table and "<script>" not in table and "<i>" not in table and "1,234" in table


def test_values_in_words() -> None:
    told = [
        in_words(value)
        for value in (None, True, 1_000, 13_007.34, 0.123456, np.inf, np.nan, [1, 2.5], {"a": 1}, "x", [])
    ]
    assert told == [
        "unknown",
        "yes",
        "1,000",
        "13,007.3",
        "0.1235",
        "infinite",
        "unknown",
        "1, 2.5",
        "a 1",
        "x",
        "none",
    ]
