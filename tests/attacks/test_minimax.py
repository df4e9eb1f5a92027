"""The minimax attack: what it finds, against grids over points and lambda, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from convexpoison import Space, Victim
from convexpoison.attacks.base import METHODS, check_options
from convexpoison.attacks.minimax import minimax
from convexpoison.data.training_data import TrainingData
from convexpoison.datasets import Dataset, load
from convexpoison.learners.implicit import ImplicitGradient, InnerProblem, OuterLoss, SmoothHinge
from convexpoison.poison import Poison
from tests.attacks.cases import Case, case, changed


def plane(loss: object = "logistic", n_points: int = 1, lam: float = 0.0, **changes: Any) -> Case:
    """Two Gaussian classes in the plane (RMD, Appendix C.1): 16 + 32 rows of each."""
    rng = np.random.default_rng(0)

    def rows(n: int) -> TrainingData:
        y = np.repeat([-1.0, 1.0], n)
        X = np.column_stack([3.0 * y, np.zeros(2 * n)]) + rng.normal(size=(2 * n, 2)) * np.sqrt([2.5, 1.5])
        return TrainingData.from_user((X, y), regression=loss == "squared")

    victim = Victim(loss, C=float(np.exp(-lam)))
    task = case(victim, rows(16), Space.box(-9.5, 9.5, 2), n_points, rows=rows(32), progress=False)
    return changed(task, **changes)


def digits_task(n_points: int = 34, lam: float = 0.0, **changes: Any) -> Case:
    digits: Dataset = load("digits_08")
    data = TrainingData.from_user(digits.train)
    half = np.arange(data.n_samples) % 3 > 0
    train, held_out = (TrainingData(data.X[k], data.y[k], data.sample_weight[k], data.classes) for k in (half, ~half))
    task = case(Victim("logistic", C=float(np.exp(-lam))), train, digits.space, n_points, rows=held_out, progress=False)
    return changed(task, **changes)


def objective(task: Case, points: np.ndarray, labels: np.ndarray, lam: np.ndarray, tune: str = "l2") -> float:
    """The mean validation loss after training on the poison, from scratch."""
    assert task.rows is not None
    problem = InnerProblem(task.victim, task.data, labels, tune)
    problem.place(points)
    return ImplicitGradient(problem, OuterLoss(task.victim, task.rows), precision=1e-8).value(lam)


def end(task: Case, poison: Poison, tune: str = "l2") -> float:
    return objective(task, poison.points, poison.labels, np.array(poison.info["lambda"]), tune)


def test_one_point_in_the_plane_is_as_bad_as_the_worst_of_a_grid() -> None:
    task = plane(lam=-3.0)
    poison = minimax(*task, tune=None, restarts=4)
    ticks = np.linspace(-9.5, 9.5, 20)
    grid = [
        objective(task, np.array([[a, b]]), np.array([label]), np.array([-3.0]))
        for a in ticks
        for b in ticks
        for label in (-1.0, 1.0)
    ]
    assert end(task, poison) >= 0.99 * max(grid)
    assert poison.info["batches"][-1]["objective"] == pytest.approx(end(task, poison), rel=1e-3)


def test_lambda_ends_where_no_other_is_better_for_the_defender() -> None:
    task = digits_task(17)
    poison = minimax(*task)
    grid = np.linspace(-8.0, np.log(200), 80)
    best = min(objective(task, poison.points, poison.labels, np.array([lam])) for lam in grid)
    assert end(task, poison) <= best * 1.01
    assert poison.info["victim"] == {"C": pytest.approx(np.exp(-poison.info["lambda"][0])), "C_R": None}
    before = min(objective(task, poison.points[:0], poison.labels[:0], np.array([lam])) for lam in grid)
    clean = objective(task, poison.points[:0], poison.labels[:0], np.array(poison.info["lambda_clean"]))
    assert clean <= before * 1.02


def test_more_poison_more_regularisation_and_less_harm_than_with_lambda_fixed() -> None:
    """RMD's findings, on 8 x 8 digits."""
    task = digits_task(51)
    learned = minimax(*task)
    lams = [learned.info["lambda_clean"][0], *(batch["lambda"][0] for batch in learned.info["batches"])]
    assert (np.diff(lams) > 0).all()
    fixed_task = changed(task, victim=Victim("logistic", C=float(np.exp(-lams[0]))))
    fixed = minimax(*fixed_task, tune=None)
    assert end(fixed_task, fixed) > 1.5 * end(task, learned)
    norms = []
    for n, lam in zip((0, 17, 34, 51), lams, strict=True):
        rows = np.vstack([task.data.X, learned.points[:n]]), np.concatenate([task.data.y, learned.labels[:n]])
        norms.append(float(np.sum(Victim("logistic", C=float(np.exp(-lam))).fit(*rows).coef ** 2)))
    assert (np.diff(norms) < 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist_08", "fashion_mnist_02"])
def test_findings_of_the_paper_on_its_data(name: str, data_folder: Path) -> None:
    """RMD, Figure 2, at half the poison: 512 training and 171 validation rows."""
    data, rng = load(name, data_home=data_folder), np.random.default_rng(7)
    order = rng.permutation(len(data.y_train))[: 512 + 171]
    train, held_out = (
        TrainingData.from_user((data.X_train[part], data.y_train[part])) for part in (order[:512], order[512:])
    )

    def error(lam: float, poison: Poison, n: int) -> float:
        X = train.X.toarray() if sp.issparse(train.X) else train.X
        rows = np.vstack([X, poison.points[:n]]), np.concatenate([train.y, poison.labels[:n]])
        model = Victim("logistic", C=float(np.exp(-lam))).fit(*rows)
        signed = np.where(data.y_test == train.classes[1], 1.0, -1.0)  # type: ignore[index]
        return float(np.mean(model.predict(data.X_test) != signed))

    def attacked(lam: float, **options: Any) -> Poison:
        task = case(Victim("logistic", C=float(np.exp(-lam))), train, data.space, 34, rows=held_out, progress=False)
        return minimax(*task, **options)

    learned = attacked(np.log(5))
    clean, last = learned.info["lambda_clean"][0], learned.info["lambda"][0]
    fixed = attacked(clean, tune=None)
    assert last > clean + 1.0
    assert error(last, learned, 34) < 0.9 * error(clean, fixed, 34)
    assert error(clean, learned, 0) < 0.06


def test_labels_are_fixed_points_move_up_and_stay_in_the_box() -> None:
    task = digits_task(20)
    start = minimax(*task, tune=None, iterations=1, point_rate=1e-9, step="gradient", batch_size=20)
    poison = minimax(*task, tune=None, iterations=30, batch_size=20)
    assert task.rows is not None
    away = np.linalg.norm(start.points[:, None] - np.asarray(task.rows.X), axis=2)
    assert (away.min(axis=1) < 1e-6).all()
    assert np.array_equal(start.labels, -task.rows.y[away.argmin(axis=1)])
    assert np.array_equal(start.labels, poison.labels)
    assert end(task, poison) > 1.5 * end(task, start)
    assert task.space.contains(poison.points).all()
    assert poison.counts.tolist() == [1] * 20 and poison.status == "budget"
    assert len({x.tobytes() for x in start.points}) == 20  # drawn without duplicates


def test_the_same_seed_gives_the_same_poison() -> None:
    first, again, other = (
        minimax(*digits_task(6, random_state=seed), iterations=5, batch_size=4) for seed in (0, 0, 1)
    )
    assert np.array_equal(first.points, again.points) and first.info == again.info
    assert not np.array_equal(first.points, other.points)
    assert [batch["n_points"] for batch in first.info["batches"]] == [4, 6]


def test_reverse_mode_plays_the_same_game_when_the_descent_is_long() -> None:
    task, options = (
        plane(n_points=2),
        {"iterations": 8, "clean_iterations": 3, "lambda_range": (1.0, 4.0), "initial_lambda": 2.0},
    )
    exact = minimax(*task, **options)
    unrolled = minimax(*task, hypergradient="reverse", inner_steps=600, inner_rate=0.2, **options)
    assert unrolled.points == pytest.approx(exact.points, abs=0.05)
    assert unrolled.info["lambda"] == pytest.approx(exact.info["lambda"], abs=0.05)


def test_steps_of_equation_2_go_up_and_down_too() -> None:
    task = plane(n_points=1, lam=-2.0)
    poison = minimax(*task, tune=None, step="gradient", point_rate=0.4, iterations=50)
    trace = poison.info["objective"]
    assert trace[-1] > trace[0]
    learned = minimax(*task, step="gradient", point_rate=0.4, lambda_rate=0.8, iterations=50)
    assert learned.info["lambda"][0] > -2.0


@pytest.mark.parametrize(("tune", "size"), [("per_class", 2), ("per_feature", 64)])
def test_several_hyperparameters(tune: Any, size: int) -> None:
    task = digits_task(17, lam=1.0)
    one = minimax(*task, iterations=40)
    many = minimax(*task, tune=tune, iterations=40, lambda_rate=0.3)
    lam = np.array(many.info["lambda"])
    assert lam.shape == (size,) and np.ptp(lam) > 0
    assert (lam >= -8.0).all() and (lam <= np.log(200)).all()
    # More freedom for the defender: tuned from the single best lambda for the same poison, it loses nothing.
    problem = InnerProblem(task.victim, task.data, one.labels, tune)
    problem.place(one.points)
    assert task.rows is not None
    gradient = ImplicitGradient(problem, OuterLoss(task.victim, task.rows))
    here, start = np.full(size, one.info["lambda"][0]), end(task, one)
    for _ in range(20):
        slope = gradient(here).lam
        here = here - 0.2 * slope / np.abs(slope).max()
    assert gradient(here).value < start


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "squared", SmoothHinge(0.2)], ids=str)
def test_every_loss(loss: object) -> None:
    task = plane(loss, n_points=3, lam=-1.0)
    poison = minimax(*task, tune=None, iterations=25, batch_size=3)
    assert poison.info["objective"][0] < max(poison.info["objective"])
    assert set(poison.labels) <= {-1.0, 1.0}
    assert np.isfinite(poison.points).all()
    rows = np.vstack([task.data.X, poison.points]), np.concatenate([task.data.y, poison.labels])
    assert task.rows is not None
    before, after = (
        task.victim.data_loss(m, task.rows) for m in (task.victim.trainer(task.data).model, _fit(task, rows))
    )
    assert after > before


def _fit(task: Case, rows: tuple[np.ndarray, np.ndarray]) -> Any:
    return task.victim.trainer(TrainingData(*rows, np.ones(len(rows[1])))).model


def test_sparse_rows_give_the_poison_of_dense_ones() -> None:
    task = digits_task(4)
    dense = [replace(rows, X=np.asarray(rows.X)) for rows in (task.data, task.rows)]  # type: ignore[type-var]
    sparse = [replace(rows, X=sp.csr_matrix(rows.X)) for rows in dense]
    found = [minimax(*changed(task, data=a, rows=b), iterations=5) for a, b in (dense, sparse)]
    assert found[0].points == pytest.approx(found[1].points, abs=1e-4)


def test_whole_numbers_and_balls_are_kept() -> None:
    task = plane(n_points=3)
    whole = minimax(*changed(task, space=Space.box(-9, 9, 2).with_integer()), iterations=10)
    assert np.array_equal(whole.points, whole.points.round())
    ball = Space.box(-9.5, 9.5, 2).with_ball(np.zeros(2), 4.0)
    with pytest.warns(UserWarning, match="outside the space"):
        inside = minimax(*changed(task, space=ball), iterations=10)
    assert (np.linalg.norm(inside.points, axis=1) <= 4.0 + 1e-7).all()


def test_only_the_labels_of_the_space_are_used() -> None:
    poison = minimax(*digits_task(5, space=load("digits_08").space.with_labels([1])), iterations=2)
    assert set(poison.labels) == {1.0}


def test_restarts_lose_nothing_where_lambda_is_fixed() -> None:
    task = plane(lam=-3.0)
    one, many = (minimax(*task, tune=None, iterations=10, restarts=restarts) for restarts in (0, 5))
    assert many.info["batches"][0]["objective"] >= one.info["batches"][0]["objective"]
    clean = [minimax(*task, iterations=1, clean_iterations=4, restarts=k).info["lambda_clean"] for k in (0, 5)]
    losses = [objective(task, np.empty((0, 2)), np.empty(0), np.array(lam)) for lam in clean]
    assert losses[1] <= losses[0]


def test_more_points_than_rows_to_clone() -> None:
    task = plane(n_points=70)
    assert len(minimax(*task, tune=None, iterations=1).labels) == 70


def test_the_time_limit_returns_what_is_settled() -> None:
    poison = minimax(*digits_task(100, time_limit_s=0.2), iterations=50)
    assert poison.status == "time limit"
    assert len(poison.labels) < 100 and poison.points.shape == (len(poison.labels), 64)


def test_an_interrupt_returns_what_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    from convexpoison.attacks.minimax_game import Game

    play = Game.play

    def interrupted(self: Game, points: np.ndarray, labels: np.ndarray) -> Any:
        if len(self.labels):
            raise KeyboardInterrupt
        return play(self, points, labels)

    monkeypatch.setattr(Game, "play", interrupted)
    poison = minimax(*digits_task(34), iterations=2)
    assert poison.status == "interrupted" and len(poison.labels) == 17


# -------------------------------------------------------------------- bad input


@pytest.mark.parametrize("empty", [(2.0, 1.0), (1.0, 1.0), (np.nan, 1.0), (-np.inf, 1.0), (1.0,), "wide"])
def test_an_empty_range_of_lambda_is_refused(empty: Any) -> None:
    with pytest.raises(ValueError, match="lambda_range must"):
        minimax(*plane(), lambda_range=empty)


def test_a_lambda_whose_exponential_overflows_is_refused_and_large_ones_work() -> None:
    for wide in ((-8.0, 800.0), (-800.0, 5.0)):
        with pytest.raises(ValueError, match="lambda being a logarithm"):
            minimax(*plane(), lambda_range=wide)
    with pytest.raises(ValueError, match="it starts at -800"):
        minimax(*plane(), tune=None, initial_lambda=-800.0)
    poison = minimax(*plane(), lambda_range=(200.0, 300.0), initial_lambda=299.0, iterations=3, clean_iterations=2)
    assert np.isfinite(poison.info["objective"]).all() and np.isfinite(poison.points).all()


def test_validation_rows_of_one_class_or_none_are_refused() -> None:
    task = plane()
    assert task.rows is not None
    one = TrainingData(task.rows.X[:32], task.rows.y[:32], np.ones(32))
    with pytest.raises(ValueError, match="all of one class"):
        minimax(*changed(task, rows=one))
    hidden = replace(task.rows, sample_weight=(task.rows.y > 0).astype(float))
    with pytest.raises(ValueError, match="all of one class"):
        minimax(*changed(task, rows=hidden))
    with pytest.raises(ValueError, match="validation="):
        minimax(*changed(task, rows=None))


def test_clones_outside_the_box_start_at_its_edge_with_a_warning() -> None:
    task = plane(n_points=4, space=Space.box(-1.0, 1.0, 2))
    with pytest.warns(UserWarning, match="lie outside the space"):
        poison = minimax(*task, iterations=5)
    assert (np.abs(poison.points) <= 1.0).all()


def test_a_box_without_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="bounded box; column 1"):
        minimax(*plane(space=Space.box([-1.0, -np.inf], [1.0, 1.0])))


def test_an_inner_rate_that_diverges_is_refused() -> None:
    with pytest.raises(ValueError, match="a rate below"):
        minimax(*plane(), hypergradient="reverse", inner_rate=1e3)


def test_a_start_outside_the_range_is_moved_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="moved inside"):
        poison = minimax(*plane(), initial_lambda=9.0, iterations=1, clean_iterations=0)
    assert poison.info["lambda_clean"] == [pytest.approx(np.log(200))]
    with pytest.warns(UserWarning, match="moved inside"):
        minimax(*plane(victim=Victim("logistic", C=np.inf)), iterations=1)
    with pytest.raises(ValueError, match="no regularisation"):
        minimax(*plane(victim=Victim("logistic", C=np.inf)), tune=None)
    with pytest.raises(ValueError, match="initial_lambda"):
        minimax(*plane(), initial_lambda=[0.0, 1.0])
    with pytest.raises(ValueError, match="initial_lambda"):
        minimax(*plane(), initial_lambda=np.nan)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("tune", "l1"),
        ("step", "long"),
        ("hypergradient", "forward"),
        ("batch_size", 0),
        ("iterations", 0),
        ("clean_iterations", -1),
        ("restarts", -1),
        ("point_rate", 0.0),
        ("lambda_rate", np.nan),
    ],
)
def test_options_out_of_range_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option.split("_")[0]):
        minimax(*plane(), **{option: value})


def test_it_is_registered_with_its_options() -> None:
    function = METHODS["minimax"].load()
    assert function is minimax
    check_options("minimax", METHODS["minimax"], {"tune": "per_class", "lambda_range": (0, 1)})
    with pytest.raises(TypeError, match="it has tune"):
        check_options("minimax", METHODS["minimax"], {"lamda": 1})
