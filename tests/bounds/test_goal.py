"""Bounds for goals: no attack reaches a goal with fewer points than they say."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from convexpoison.bounds.bound import Bound
from convexpoison.bounds.goal import certified_robustness, goal_bound
from convexpoison.bounds.robustness import robustness_curve
from convexpoison.certificates.goal import GoalCertificate
from convexpoison.certificates.goal_check import Proof
from convexpoison.certificates.goal_dual_function import Barrier, Ground
from convexpoison.data.training_data import TrainingData
from convexpoison.datasets import Dataset
from convexpoison.goals import ErrorRate, Flip, Misclassify
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.losses import get_loss
from convexpoison.learners.victim import Victim
from convexpoison.numerics.interval_matrix import Matrix
from convexpoison.spaces.space import Space

LOSSES = ("hinge", "logistic", "squared_hinge")
INTERCEPTS = ("regularized", "free", "none")
losses, intercepts, means = st.sampled_from(LOSSES), st.sampled_from(INTERCEPTS), st.booleans()
seeds = st.integers(0, 2**32 - 1)


def make_victim(loss: str, mean: bool, intercept: str) -> Victim:
    size = {"C_R": 0.3} if mean else {"C": 0.2}
    return Victim(loss, intercept=intercept, intercept_scaling=1.5, **size)


def clean_rows(seed: int, d: int, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping classes in the unit box."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    return np.clip(0.5 + 0.25 * y[:, None] + rng.normal(scale=0.2, size=(n, d)), 0.0, 1.0), y


def poisoned(victim: Victim, data: TrainingData, points: np.ndarray, labels: np.ndarray) -> LinearModel:
    """What the victim learns from the clean rows and these, trained afresh."""
    X = np.vstack([data.X.toarray() if sp.issparse(data.X) else data.X, points])
    weights = np.append(data.sample_weight, np.ones(len(labels)))
    return victim.trainer(TrainingData(X, np.concatenate([data.y, labels]), weights, data.classes)).model


# -------------------------------------------------------------------- against every attack


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_no_attack_on_a_grid_beats_the_bound(loss: str, intercept: str, mean: bool) -> None:
    """Every multiset of up to two points at the corners and in the middle (three at the corners), refitted exactly."""
    d = 1 if intercept == "none" else 2
    X, y = clean_rows(3, d)
    victim, space, data = make_victim(loss, mean, intercept), Space.box(0, 1, d), TrainingData.from_user((X, y))
    rows = np.random.default_rng(5).random((12, d))
    found = certified_robustness(rows, victim, (X, y), space, rounds=2)
    assert found.certified
    clean = np.sign(victim.fit(X, y).decision_function(rows))
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=d)))
    grid = np.vstack([corners, np.full((1, d), 0.5)])
    for n, points in ((1, grid), (2, grid), (3, corners)):
        atoms = [(x, label) for x in points for label in (-1.0, 1.0)]
        for attack in itertools.combinations_with_replacement(atoms, n):
            chosen = np.array([x for x, _ in attack]), np.array([label for _, label in attack])
            scores = poisoned(victim, data, *chosen).decision_function(rows)
            flipped = clean * scores < -1e-7
            assert (found.n_points[flipped] <= n).all()


def test_the_bounds_of_the_grid_are_not_trivial() -> None:
    X, y = clean_rows(3, 2)
    rows = np.random.default_rng(5).random((12, 2))
    most = [
        certified_robustness(rows, make_victim(loss, True, "regularized"), (X, y), Space.box(0, 1, 2)).n_points.max()
        for loss in LOSSES
    ]
    assert min(most) >= 2 and max(most) >= 3


@settings(max_examples=60)
@given(seed=seeds, loss=losses, mean=means, intercept=intercepts, parts=st.sampled_from(["box", "hull", "loose hull"]))
def test_whatever_is_reached_is_not_excluded(seed: int, loss: str, mean: bool, intercept: str, parts: str) -> None:
    """Poison at random, and look at what the victim then says: no reference and no slopes may exclude that."""
    rng = np.random.default_rng(seed)
    d = 3
    space = (
        Space.box(0, 1, d) if parts == "box" else Space.box(0, 1, d).with_one_hot([0, 2], at_most_one="loose" in parts)
    )
    X, y = clean_rows(seed, d, 10)
    m, victim, data = int(rng.integers(1, 12)), make_victim(loss, mean, intercept), TrainingData.from_user((X, y))
    points = draw(rng, m, parts)
    model = poisoned(victim, data, points, rng.choice([-1.0, 1.0], size=m))
    ground = Ground(victim, data, replace(space, labels=(-1, 1)))
    goal_rows = rng.random((int(rng.integers(1, 4)), d))
    labels = -np.sign(model.decision_function(goal_rows))
    theta = np.append(model.coef, model.intercept)[: ground.metric.size]
    for spread in (0.0, 0.1, 1.0):
        reference = theta + spread * rng.normal(size=theta.size)
        for slopes in (rng.random(10), np.clip(-get_loss(loss).derivative(y * model.decision_function(X)), 0.0, None)):
            barrier = Barrier(ground, (goal_rows, labels), reference, slopes, rng.random(labels.size))
            excess, proven = barrier.excess(float(m)), Proof(barrier, Matrix(data.X)).excess(float(m))
            assert excess <= 1e-6
            assert proven.lower <= 1e-6
            # The interval holds the number that the search has seen, and is narrow.
            if np.isfinite([excess, proven.lower, proven.upper]).all():
                assert proven.upper - proven.lower <= 1e-9 * (1.0 + abs(excess))
                assert abs(proven.lower - excess) <= 1e-7 * (1.0 + abs(excess))


def draw(rng: np.random.Generator, m: int, parts: str) -> np.ndarray:
    """Points of the space, often at its corners."""
    points = np.where(rng.random((m, 3)) < 0.5, rng.random((m, 3)), rng.integers(0, 2, size=(m, 3)))
    if parts != "box":
        hot = rng.integers(0, 2 + (parts == "loose hull"), size=m)
        points[:, 0], points[:, 2] = hot == 0, hot == 1
    return points


@settings(max_examples=25)
@given(seed=seeds, loss=losses, mean=means, intercept=intercepts)
def test_random_poison_below_the_bound_flips_nothing(seed: int, loss: str, mean: bool, intercept: str) -> None:
    rng = np.random.default_rng(seed)
    victim, (X, y) = make_victim(loss, mean, intercept), clean_rows(seed % 7, 2, 40)
    row = rng.random(2)
    bound = goal_bound(Flip(row), victim, (X, y), Space.box(0, 1, 2), rounds=1)
    n = bound.n_points - 1
    if n < 1:
        return
    data, clean = TrainingData.from_user((X, y)), bound.clean
    points = rng.integers(0, 2, size=(n, 2)).astype(float)
    # Labels that pull the row to the other side, most of the time.
    against = -np.sign(clean.decision_function(row[None])[0])
    model = poisoned(victim, data, points, np.where(rng.random(n) < 0.8, against, -against))
    assert not bound.goal(model)


def test_a_set_of_rows_costs_at_least_what_its_dearest_row_costs_roughly(digits: Dataset) -> None:
    victim = Victim("hinge", C_R=0.05)
    clean = victim.fit(*digits.train)
    right = np.flatnonzero(clean.predict(digits.X_test) == digits.y_test)[:6]
    goal = Misclassify(digits.X_test[right], digits.y_test[right])
    together = goal_bound(goal, victim, digits.train, digits.space)
    alone = certified_robustness(digits.X_test[right], victim, digits.train, digits.space)
    assert together.certified and together.value >= 0.95 * alone.values.max()
    data = TrainingData.from_user(digits.train)
    trainer, n = victim.trainer(data), 0
    opposite = np.where(digits.y_test[right] == clean.classes[1], -1.0, 1.0)
    while not goal(trainer.model):
        for x, label in zip(digits.X_test[right], opposite, strict=True):
            trainer.add(x, label)
            n += 1
    assert together.n_points <= n


@pytest.mark.parametrize(
    "victim",
    [
        Victim("hinge", C_R=0.05),
        Victim("hinge", C=1.0, intercept="free"),
        Victim("logistic", C_R=0.02, intercept="free"),
        Victim("squared_hinge", C_R=0.05),
    ],
)
def test_copies_of_the_row_bracket_the_bound_on_digits(victim: Victim, digits: Dataset) -> None:
    rows = digits.X_test[:3]
    found = certified_robustness(rows, victim, digits.train, digits.space)
    assert found.certified and found.n_points.max() > 1
    data = TrainingData.from_user(digits.train)
    for row, bound in zip(rows, found.n_points, strict=True):
        trainer, n = victim.trainer(data), 0
        sign = np.sign(trainer.model.decision_function(row[None])[0])
        while sign * trainer.model.decision_function(row[None])[0] > 0:
            trainer.add(row, -sign)
            n += 1
        assert bound <= n


# -------------------------------------------------------------------- the parts


@settings(max_examples=50)
@given(seed=seeds, loss=losses)
def test_support_lines_stay_below_the_loss(seed: int, loss: str) -> None:
    rng = np.random.default_rng(seed)
    slopes = rng.random(20) * (3.0 if loss == "squared_hinge" else 1.0)
    u = rng.normal(scale=4.0, size=200)
    lines = get_loss(loss).support_line(slopes)[:, None] - slopes[:, None] * u
    assert (lines <= get_loss(loss).value(u) + 1e-12).all()


@cache
def small_bound() -> Bound:
    return goal_bound(Flip([0.9, 0.9]), Victim("hinge", C_R=0.2), small_rows(), Space.box(0, 1, 2))


def small_rows() -> tuple[np.ndarray, np.ndarray]:
    return clean_rows(0, 2, 60)


def test_what_a_bound_says() -> None:
    bound = small_bound()
    assert bound.certified and bound.method == "reference_model"
    assert bound.certificate.verify(small_rows()).value == bound.value == bound.certificate.value
    assert float(bound) == bound.value and bound.n_points == np.ceil(bound.value) > 1
    assert bound.goal.label == 1.0 and bound.goal(bound.constrained.between(bound.clean, -0.1))
    assert bound.seconds > 0 and bound.to_dict()["n_points"] == bound.n_points
    assert "certified=True" in repr(bound)


def test_a_stretched_proof_is_refused() -> None:
    proof, rows = small_bound().certificate, small_rows()
    last = proof.sections[-1]
    stretched = replace(
        proof, sections=(*proof.sections[:-1], replace(last, last=2.0 * last.last)), value=2.0 * last.last
    )
    late = replace(proof, sections=(replace(proof.sections[0], first=0.5), *proof.sections[1:]))
    for false in (stretched, replace(proof, value=2.0 * proof.value), late):
        verdict = false.verify(rows)
        assert not verdict and verdict.value < false.value


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_a_saved_certificate_is_checked_again(loss: str, intercept: str, tmp_path: Path) -> None:
    X, y = clean_rows(0, 2, 60)
    words = np.where(y > 0, "yes", "no")
    space = Space.box(0, 1, 2).with_one_hot([0, 1], at_most_one=True)
    for goal in (Flip([0.9, 0.9]), Misclassify([[0.9, 0.9], [0.2, 0.1]], ["yes", "no"])):
        bound = goal_bound(goal, make_victim(loss, True, intercept), (X, words), space)
        assert bound.value > 0.5
        bound.certificate.save(tmp_path / "goal.npz")
        again = GoalCertificate.load(tmp_path / "goal.npz")
        assert again.verify((X, words)) and again.value == bound.value
        assert "yes" in again.statement
        assert not again.verify((X, np.where(y > 0, "no", "yes")))  # not these data
        assert not again.verify((0.9 * X, words), np.full(60, 0.2))
        with pytest.raises(ValueError, match="60 clean rows"):
            again.verify((X[1:], words[1:]))


@settings(max_examples=40)
@given(seed=seeds, part=st.sampled_from(["reference", "slopes", "multipliers", "goal_rows", "ends", "lower", "upper"]))
def test_a_tampered_file_never_proves_more(seed: int, part: str) -> None:
    """Whatever is changed, the claim fails or is refused; or the proof still holds, and then for what the file says."""
    rng, proof = np.random.default_rng(seed), small_bound().certificate
    arrays = proof.to_arrays()
    changed = np.array(arrays[part])
    flat = changed.reshape(-1)
    flat[rng.integers(flat.size)] += rng.choice([-3.0, -0.5, 0.5, 3.0])
    meta = json.loads(str(arrays["meta"])) | {"value": proof.value * 1.5}
    try:
        false = GoalCertificate.from_arrays({**arrays, part: changed, "meta": np.array(json.dumps(meta))})
    except ValueError:
        return
    verdict = false.verify(small_rows())
    assert not verdict or part in ("goal_rows", "lower", "upper", "ends")
    if verdict and part == "ends":
        assert false.sections[-1].last >= false.value  # and every section was proven as it stands


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, m: a.update(slopes=a["slopes"] + 1.5), "out of range"),
        (lambda a, m: a.update(slopes=-a["slopes"] - 0.1), "out of range"),
        (lambda a, m: a.update(multipliers=-a["multipliers"] - 1.0), "out of range"),
        (lambda a, m: a.update(reference=a["reference"] * np.nan), "NaN"),
        (lambda a, m: a.update(reference=a["reference"][:, 1:]), "wrong shape"),
        (lambda a, m: a.update(goal_labels=2.0 * a["goal_labels"]), "not -1 or"),
        (lambda a, m: a.update(ends=a["ends"][:, ::-1] + 1.0), "runs from"),
        (lambda a, m: a.pop("slopes"), "slopes"),
        (lambda a, m: m.update(kind="certificate"), "kind"),
        (lambda a, m: m.update(value=-1.0), "at least 0"),
    ],
)
def test_files_that_are_no_goal_certificates(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arrays = small_bound().certificate.to_arrays()
    meta = json.loads(str(arrays["meta"]))
    change(arrays, meta)
    np.savez(tmp_path / "false.npz", **{**arrays, "meta": np.array(json.dumps(meta))})
    with pytest.raises(ValueError, match=message):
        GoalCertificate.load(tmp_path / "false.npz")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", ["regularized", "none"])
def test_the_excess_against_300_bits(loss: str, intercept: str) -> None:
    """The formula of the barrier, column by column with mpmath, at the case and the share that the search has chosen."""
    mp = pytest.importorskip("mpmath", reason="mpmath is not installed (extra 'test')").mp.clone()
    mp.prec = 300
    X, y = clean_rows(4, 2, 12)
    victim, data = make_victim(loss, True, intercept), TrainingData.from_user((X, y))
    rng = np.random.default_rng(1)
    ground = Ground(victim, data, Space.box(0, 1, 2))
    theta = rng.normal(size=ground.metric.size)
    barrier = Barrier(ground, (np.array([[0.3, 0.7]]), np.array([1.0])), theta, rng.random(12), np.array([0.7]))

    def phi(u):  # type: ignore[no-untyped-def]
        short = max(mp.mpf(0), 1 - u)
        return {"hinge": short, "squared_hinge": short**2, "logistic": mp.log(1 + mp.exp(-u))}[loss]

    def height(s):  # type: ignore[no-untyped-def]
        entropy = -sum(q * mp.log(q) for q in (s, 1 - s) if q > 0)
        return {"hinge": s, "squared_hinge": s - s**2 / 4, "logistic": entropy}[loss]

    exact = [[mp.mpf(v) for v in row] + [mp.mpf(1)] * (len(theta) - 2) for row in X.tolist()]
    w, slopes, m = [mp.mpf(v) for v in theta.tolist()], [mp.mpf(v) for v in barrier.slopes.tolist()], mp.mpf(3)
    score = lambda x: sum(a * b for a, b in zip(x, w, strict=True))  # noqa: E731
    K = sum(height(s) - phi(mp.mpf(v) * score(x)) for s, v, x in zip(slopes, y.tolist(), exact, strict=True))
    rho = mp.mpf(victim.C_R) * (12 + m)
    ridge = [rho, rho] + [rho / mp.mpf(1.5) ** 2] * (len(theta) - 2)
    c = [mp.mpf(0.3), mp.mpf(0.7)] + [mp.mpf(1)] * (len(theta) - 2)
    totals = []
    for case, t in barrier.best_cases(3.0):
        p, q, label = mp.mpf(case.p), mp.mpf(case.q), mp.mpf(case.label)
        ends = [sum(f(0, v) for v in w[:2]) + sum(w[2:]) for f in (min, max)]
        u = sorted(label * e for e in ends)
        a = max(phi(e) + p * e for e in u) - height(q) if case.excess else mp.mpf(0)
        if loss == "hinge" and case.excess:
            a = 1 - q
        if loss == "logistic" and case.p == case.q == 1.0:
            a = mp.mpf(0)
        total = K - m * a
        for j, v in enumerate(w):
            pull = -sum(s * mp.mpf(z) * x[j] for s, z, x in zip(slopes, y.tolist(), exact, strict=True))
            base = pull - ridge[j] * v + mp.mpf(t) * mp.mpf(0.7) * c[j]
            sides = (0, 1) if j < 2 else (1,)
            total += min(m * p * label * v * x - (base - m * q * label * x) ** 2 / (4 * ridge[j]) for x in sides)
        totals.append(total)
    found = Proof(barrier, Matrix(data.X)).excess(3.0)
    assert mp.mpf(float(found.lower)) <= min(totals) <= mp.mpf(float(found.upper))
    assert found.upper - found.lower < 1e-9


def test_labels_of_any_kind_sparse_rows_and_weights() -> None:
    bound, (X, y) = small_bound(), small_rows()
    words = np.where(y > 0, "yes", "no")
    victim, space = Victim("hinge", C_R=0.2), Space.box(0, 1, 2)
    sparse = goal_bound(Flip(sp.csr_matrix([[0.9, 0.9]]), "yes"), victim, (sp.csr_matrix(X), words), space)
    assert sparse.value == pytest.approx(bound.value, rel=5e-3) and sparse.goal.label == "yes"
    doubled = goal_bound(Flip([0.9, 0.9]), victim, (X, y), space, sample_weight=np.full(60, 2.0))
    assert doubled.value == pytest.approx(2.0 * bound.value, rel=5e-3)  # mean convention: everything scales


def test_fewer_choices_for_the_attacker_never_weaken_the_bound() -> None:
    bound, (X, y) = small_bound(), small_rows()
    victim = Victim("hinge", C_R=0.2)
    harmless = goal_bound(Flip([0.9, 0.9]), victim, (X, y), Space.box(0, 1, 2).with_labels([1]))
    small = goal_bound(Flip([0.9, 0.9]), victim, (X, y), Space.box(0.4, 0.6, 2))
    assert harmless.value > 3 * bound.value and small.value > bound.value


def test_nothing_is_proven_where_nothing_holds() -> None:
    X, y = small_rows()
    everywhere = goal_bound(Flip([0.9, 0.9]), Victim("hinge", C_R=0.2), (X, y), Space.box(-np.inf, np.inf, 2))
    loose = goal_bound(Flip([0.9, 0.9]), Victim("logistic", C=np.inf), (X, y), Space.box(0, 1, 2))
    for bound in (everywhere, loose):
        assert bound.value == 0.0 and bound.n_points == 0 and bound.method == "trivial" and bound.certificate is None
    reached = goal_bound(Misclassify([[0.9, 0.9]], [-1.0]), Victim("hinge", C_R=0.2), (X, y))
    assert reached.value == 0.0 and reached.goal(reached.clean)


def test_the_curve_falls_from_all_to_none(digits: Dataset) -> None:
    n, fraction = robustness_curve([3, 1, 3, 7])
    assert n.tolist() == [0, 1, 3, 7] and fraction.tolist() == [1.0, 0.75, 0.25, 0.0]
    victim = Victim("hinge", C_R=0.05)
    one, two = (certified_robustness(digits.X_test[:4], victim, digits.train, digits.space, n_jobs=k) for k in (1, 2))
    assert one.values == pytest.approx(two.values, rel=5e-3)
    assert (np.diff(one.curve().fraction) < 0).all()
    with pytest.raises(ValueError, match="at least one row"):
        robustness_curve([])


def test_robustness_as_a_table(digits: Dataset, pandas: Any) -> None:
    found = certified_robustness(digits.X_test[:2], Victim("hinge", C_R=0.05), digits.train, digits.space)
    frame = found.to_frame()
    assert list(frame.columns) == ["n_points", "values", "margins", "predictions"] and len(frame) == 2


def test_goals_stop_an_attack() -> None:
    model = LinearModel(np.array([1.0, 0.0]), -0.5, classes=("no", "yes"))
    assert Flip([0.0, 1.0], "yes")(model) and not Flip([0.0, 1.0], "no")(model)
    assert Flip([1.0, 1.0]).bind(model).label == "yes"
    assert Misclassify([[1.0, 0.0], [0.0, 0.0]], ["no", "yes"])(model)
    assert not Misclassify([[1.0, 0.0], [0.0, 0.0]], ["no", "no"])(model)
    with pytest.raises(ValueError, match="does not know what the clean model predicts"):
        Flip([1.0, 0.0])(model)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X, y, v: Flip([np.nan, 0.0]), ValueError, "NaN"),
        (lambda X, y, v: Flip([[0.0, 0.0], [1.0, 1.0]]), ValueError, "one row"),
        (lambda X, y, v: Misclassify([[0.0, 0.0]], [1, 1]), ValueError, "must match"),
        (lambda X, y, v: goal_bound(Flip([0.0]), v, (X, y)), ValueError, "1 features where 2"),
        (lambda X, y, v: goal_bound(Misclassify([[0.0]], [1.0]), v, (X, y)), ValueError, "1 features where 2"),
        (lambda X, y, v: goal_bound(Misclassify([[0.0, 0.0]], [7]), v, (X, y)), ValueError, "does not know"),
        (
            lambda X, y, v: goal_bound(Flip([0.9, 0.9], -1.0), v, (X, y)),
            ValueError,
            "predicts 1.0 for this row already",
        ),
        (lambda X, y, v: goal_bound(ErrorRate(0.1, X, y), v, (X, y)), TypeError, "Flip or Misclassify"),
        (lambda X, y, v: goal_bound(Flip([0, 0]), Victim("squared", C=1.0), (X, y)), ValueError, "regression"),
        (lambda X, y, v: goal_bound(Flip([0, 0]), v, (X, y), Space.box(0, 1, 3)), ValueError, "space has 3 columns"),
        (lambda X, y, v: goal_bound(Flip([0, 0]), v, (X, y), rounds=-1), ValueError, "rounds"),
        (lambda X, y, v: certified_robustness(np.ones((2, 3)), v, (X, y)), ValueError, "3 features where 2"),
    ],
)
def test_bad_input_is_named(make, error: type[Exception], message: str) -> None:  # type: ignore[no-untyped-def]
    X, y = clean_rows(0, 2)
    with pytest.raises(error, match=message):
        make(X, y, Victim("hinge", C_R=0.2))


def test_the_checker_decides_which_alternatives_are_excluded(digits: Dataset) -> None:
    """Whatever the search proposes: an alternative without a proposal, or with one for another label, is not excluded."""
    victim = Victim("hinge", C_R=0.05)
    certificate = goal_bound(Flip(digits.X_test[60]), victim, digits.train, digits.space).certificate
    assert certificate is not None
    ground = Ground(victim, TrainingData.from_user(digits.train), digits.space)
    section = certificate.sections[-1]
    half_spaces = (certificate.rows, certificate.labels)

    class Liar(Barrier):
        def best_cases(self, m):
            return [case for case in map(self.change, super().best_cases(m)) if case is not None]

    def excess(change):
        liar = Liar(ground, half_spaces, section.reference, section.slopes, section.multipliers)
        object.__setattr__(liar, "change", change)
        return float(Proof(liar, Matrix(ground.data.X)).excess(section.last).lower)

    assert excess(lambda case: case) > 0.0
    for label in (-1.0, 1.0):
        assert excess(lambda case, y=label: None if case[0].excess and case[0].label == y else case) == -np.inf
    assert excess(lambda case: None if not case[0].excess else case) == -np.inf
    assert excess(lambda case: (case[0]._replace(label=1.0), case[1]) if case[0].excess else case) == -np.inf
    # A negative multiplier counts as none, and lines below the loss are refused.
    assert excess(lambda case: (case[0], -1e9)) <= excess(lambda case: case)
    assert excess(lambda case: (case[0]._replace(q=2.0), case[1])) == -np.inf
    # No excess means no excess, whatever lines come with it.
    free = excess(lambda case: case if case[0].excess else (case[0]._replace(p=-5.0, q=-5.0), case[1]))
    assert free == excess(lambda case: case)
