"""Bounds for every model near a target, and the nearest model: against attacks that come near, and worked small cases."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.attacks.nearest import close_attack, nearest_model
from convexpoison.bounds.eps_close import Close
from convexpoison.bounds.near_target import ball_bound, eps_close_bound
from convexpoison.bounds.tight import tight_bound
from convexpoison.bounds.uncertainty_set import Ball, Neighbourhood
from convexpoison.certificates.near_target import NearTargetCertificate
from convexpoison.certificates.near_target_sets import BallAround, CloseTo, Combination, derivative, settled
from convexpoison.data.training_data import TrainingData
from convexpoison.geometry.support_function import dearest
from convexpoison.learners.dual_vector import DualVector
from convexpoison.numerics.intervals import Interval
from convexpoison.problem import Problem
from convexpoison.threats import AddRows

VICTIMS = [
    cp.Victim(loss, intercept=intercept, **strength)
    for loss in ("hinge", "squared_hinge", "logistic", "squared")
    for intercept in ("regularized", "free", "none")
    for strength in ({"C": 0.5}, {"C_R": 0.1})
]
BOX = cp.Space.box(-1, 1, 2).with_response(-1, 1)
ONE_HOT = cp.Space.box(-1, 1, 4).with_one_hot([1, 2, 3]).relax().with_response(-1, 1)


def clean_rows(rng, n=20, d=2):
    y = np.where(np.arange(n) % 2, 1, -1)
    return np.clip(rng.normal(size=(n, d)) * 0.3 + 0.4 * y[:, None], -1, 1), y


def one_hot_rows(rng, n=20):
    X, y = clean_rows(rng, n, 1)
    return np.hstack([X, np.eye(3)[rng.integers(0, 3, n)]]), y


def training(victim, X, y):
    return TrainingData.from_user((X, y), regression=not victim.loss.classification)


def learned(victim, X, y, points, labels):
    model = victim.trainer(training(victim, np.vstack([X, points]), np.concatenate([y, labels]))).model
    return cp.LinearModel(model.coef, 0.0 if victim.intercept == "none" else model.intercept)


def moved(victim, model, rng, distance):
    step = rng.normal(size=model.n_features + 1)
    if victim.intercept == "none":
        step[-1] = 0.0
    step *= distance / np.linalg.norm(step)
    return cp.LinearModel(model.coef + step[:-1], model.intercept + step[-1])


def case(seed, which, k=4, space=BOX):
    """A victim, its clean data, and the model that k random points induce."""
    rng = np.random.default_rng(seed)
    victim = VICTIMS[which]
    X, y = one_hot_rows(rng) if space is ONE_HOT else clean_rows(rng)
    points = one_hot_rows(rng, k)[0] if space is ONE_HOT else rng.uniform(-1, 1, (k, 2))
    induced = learned(victim, X, y, points, rng.choice([-1, 1], k))
    return rng, victim, training(victim, X, y), induced


def pushed(which):
    """The target is what 8 points with the wrong label induce, which takes nearly as many at least."""
    _, victim, data, _ = case(5, which)
    target = learned(victim, data.X, data.y, np.tile([-1.0, -1.0], (8, 1)), np.ones(8))
    return Problem(victim, data, AddRows(BOX), target)


def difference(victim, model, reference, space):
    return cp.max_loss_difference(model, reference, space, loss=victim.loss).upper


WHICH = st.integers(0, len(VICTIMS) - 1)


# -------------------------------------------------------------------- bounds


@pytest.mark.parametrize("which", [0, 3, 5, 6, 8, 11, 12, 15, 17, 18, 21, 23])
def test_radius_zero_is_the_tight_bound_and_the_bound_falls_from_there(which):
    problem = pushed(which)
    tight = tight_bound(problem).value
    assert tight > 4
    assert abs(ball_bound(problem, 0.0).value - tight) <= 1e-7 * tight
    assert abs(eps_close_bound(problem, 0.0).value - tight) <= 1e-5 * tight
    for bound in (ball_bound, eps_close_bound):
        values = [bound(problem, radius).value for radius in (1e-8, 1e-3, 0.05)]
        assert abs(values[0] - tight) <= 1e-5 * tight
        assert values[1] > 0.8 * tight
        assert all(later <= earlier + 1e-5 * tight for earlier, later in pairwise([tight, *values]))


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), which=WHICH, k=st.integers(1, 8), delta=st.sampled_from([1e-6, 1e-3, 0.01, 0.1]))
def test_no_ball_that_holds_an_induced_model_is_bounded_above_its_points(seed, which, k, delta):
    rng, victim, data, induced = case(seed, which, k)
    target = moved(victim, induced, rng, delta * (1.0 - 1e-9))
    bound = ball_bound(Problem(victim, data, AddRows(BOX), target), delta)
    assert bound.value <= k + 1e-6
    assert bound.n_points <= k or bound.value > k


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    which=WHICH,
    k=st.integers(1, 8),
    away=st.sampled_from([1e-4, 1e-2, 0.05, 0.2]),
    one_hot=st.booleans(),
)
def test_no_close_model_takes_fewer_points_than_the_bound(seed, which, k, away, one_hot):
    space = ONE_HOT if one_hot else BOX
    rng, victim, data, induced = case(seed, which, k, space)
    target = moved(victim, induced, rng, away)
    eps = max(difference(victim, induced, target, space), 0.0)
    bound = eps_close_bound(Problem(victim, data, AddRows(space), target), eps)
    assert all(value <= k + 1e-6 for value in bound.candidates.values())
    directions = max(bound.candidates.get(method, 0.0) for method in ("direction", "robust"))
    assert bound.value <= k + 1e-6
    assert bound.value <= directions + 1e-6 * (1.0 + directions)  # two evaluations, each with its own allowances
    assert bound.value >= directions - 1e-6 * (1.0 + directions) or not np.isfinite(directions)
    assert bound.certified and (bound.value == 0.0 or bound.certificate.verify(data).value >= bound.value)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), which=st.integers(0, 5), more=st.integers(1, 10))
def test_part_of_an_attack_is_close_to_what_all_of_it_induces(seed, which, more):
    """The target is what 3 copies of an optimised point and more of them induce; after 3 the model is eps-close to it."""
    rng, victim, data, _ = case(seed, which)
    corner, label = np.sign(rng.normal(size=2)), float(rng.choice([-1, 1]))
    X, y = data.X, data.y
    models = [learned(victim, X, y, np.tile(corner, (n, 1)), np.full(n, label)) for n in (3, 3 + more)]
    problem = Problem(victim, data, AddRows(BOX), models[1])
    assert eps_close_bound(problem, max(difference(victim, *models, BOX), 0.0)).value <= 3 + 1e-6
    assert ball_bound(problem, models[0].distance(models[1]) * (1 + 1e-12)).value <= 3 + 1e-6


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_attacks_on_digits(digits, loss):
    """Whatever n points of the nearest model induce is eps-close for its own eps, at which the bound must allow n."""
    problem = digits_problem(digits, cp.Victim(loss, C_R=0.05 if loss == "hinge" else 0.02))
    tight = tight_bound(problem).value
    for n in (20, int(tight)):
        found = nearest_model(problem, n)
        by_eps = eps_close_bound(problem, found.difference.upper)
        assert by_eps.value <= n
        assert ball_bound(problem, found.distance).value <= n
    assert by_eps.value > 0.7 * tight  # and says something


def digits_problem(digits, victim, n_flipped=25):
    data = TrainingData.from_user(digits.train)
    flipped = np.random.default_rng(0).choice(data.n_samples, n_flipped, replace=False)
    X = data.X.toarray() if hasattr(data.X, "toarray") else data.X
    target = learned(victim, X, data.y, np.vstack([X[flipped]] * 2), np.tile(-data.y[flipped], 2))
    return Problem(victim, data, AddRows(digits.space.relax()), target)


def test_spaces_of_one_label():
    """Closeness bounds movements in one direction only; what is left is still valid."""
    for which in (0, 3, 8, 13):
        rng, victim, data, _ = case(1, which)
        space = BOX.with_labels([1])
        induced = learned(victim, data.X, data.y, rng.uniform(-1, 1, (3, 2)), np.ones(3))
        target = moved(victim, induced, rng, 0.01)
        problem = Problem(victim, data, AddRows(space), target)
        assert eps_close_bound(problem, max(difference(victim, induced, target, space), 0.0)).value <= 3 + 1e-6
        assert ball_bound(problem, 0.011).value <= 3 + 1e-6


def test_models_with_the_same_loss_are_close_at_eps_0():
    """One column of the group is always 1, so the group's coefficients and the intercept can be traded; the victim settles
    that by its regulariser and never learns such a target itself."""
    _rng, victim, data, induced = case(3, 0, space=ONE_HOT)
    traded = cp.LinearModel(induced.coef + np.array([0.0, 0.2, 0.2, 0.2]), induced.intercept - 0.2)
    problem = Problem(victim, data, AddRows(ONE_HOT), traded)
    assert abs(difference(victim, induced, traded, ONE_HOT)) < 1e-12
    assert tight_bound(problem).value > 1e6  # inf but for rounding
    assert eps_close_bound(problem, 0.0).value <= 4


def test_an_unattainable_neighbourhood():
    """No data reproduce a hinge target of huge norm: every row of small loss is past its kink, and R pulls."""
    data = training(VICTIMS[0], np.array([[0.5, 0.0], [-0.5, 0.0]]), np.array([1, -1]))
    problem = Problem(cp.Victim("hinge", C_R=0.1), data, AddRows(BOX), cp.LinearModel([50.0, 0.0]))
    assert ball_bound(problem, 1e-3).n_points == np.inf
    assert eps_close_bound(problem, 1e-3).n_points == np.inf


def test_corollary_1_of_the_paper_is_valid_and_weaker():
    """With little regularisation it says something; the rows' own movements and the directions say more."""
    rng = np.random.default_rng(0)
    X, y = clean_rows(rng, 60)
    victim = cp.Victim("hinge", C=100.0)
    data = training(victim, X, y)
    target = learned(victim, X, y, np.tile([-1.0, -1.0], (12, 1)), np.ones(12))
    bound = eps_close_bound(Problem(victim, data, AddRows(BOX), target), 1e-3)
    values = bound.candidates
    assert 0 < values["corollary_1"] <= values["witness"] <= bound.value <= 12
    assert repr(bound).startswith("Bound(") and float(bound) == bound.value


# -------------------------------------------------------------------- what the bounds are made of


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    which=WHICH,
    away=st.sampled_from([1e-3, 0.05, 0.3, 1.0]),
    scale=st.sampled_from([0.3, 1.0, 4.0]),
    one_hot=st.booleans(),
    ball=st.booleans(),
)
def test_scores_prices_and_regularisers_move_no_further(seed, which, away, scale, one_hot, ball):
    space = ONE_HOT if one_hot else BOX
    rng, victim, data, target = case(seed, which, space=space)
    target = cp.LinearModel(scale * target.coef, scale * target.intercept)
    model = moved(victim, target, rng, away)
    problem = Problem(victim, data, AddRows(space), target)
    eps = max(difference(victim, model, target, space), 1e-9)
    hood: Neighbourhood = Ball(problem, away) if ball else Close(problem, eps * (1 + 1e-9))
    fall, rise = hood.score_moves()
    change = model.decision_function(data.X) - target.decision_function(data.X)
    assert (change <= rise + 1e-9).all() and (change >= -fall - 1e-9).all()
    v = DualVector(rng.normal(size=space.n_features), 0.0 if victim.intercept == "none" else float(rng.normal()))
    sway = hood.sway(v)
    along = (model.coef - target.coef) @ sway.v.w
    along += victim.intercept_weight * (model.intercept - target.intercept) * sway.v.b
    assert along <= sway.value + 1e-9
    losses_only = replace(victim, C=1.0, C_R=None)
    assert dearest(losses_only, model, space, v).value <= hood.dearest(v).upper + 1e-9


def test_the_sway_is_attained_over_a_box():
    """Duality loses nothing: the proposed move is a close model along which the regulariser's gradient moves that far."""
    for which in (0, 1, 6, 12):
        rng, victim, data, target = case(2, which)
        close = Close(Problem(victim, data, AddRows(BOX), target), 0.05)
        sway = close.sway(DualVector(rng.normal(size=2), float(rng.normal())))
        model = cp.LinearModel(target.coef + sway.move.w, target.intercept + sway.move.b)
        along = sway.move.w @ sway.v.w + sway.move.b * victim.intercept_weight * sway.v.b
        assert along >= sway.value * (1 - 5e-2)
        assert difference(victim, model, target, BOX) <= 0.05 * (1 + 5e-2)


def test_closeness_of_the_hinge_in_closed_form():
    """Scores reach -1 and 1, so a margin u above 1 falls by at most eps u; MTP's Corollary 3 would have k = r q = 3."""
    problem = Problem(VICTIMS[0], case(0, 0)[2], AddRows(BOX), cp.LinearModel([2.0, 1.0]))
    close = Close(problem, 0.01)
    assert np.allclose(close.fall(1, np.array([-2.0, 0.0, 1.0, 1.5, 3.0])), [0.01, 0.01, 0.01, 0.015, 0.03])
    assert np.isclose(close.largest_fall(-1), 0.03)
    assert np.isclose(1.0 + close.shift(1), 1.0 / (1.0 - 0.01))
    scaled = cp.LinearModel(0.99 * problem.target.coef)  # attains it
    assert np.isclose(difference(problem.victim, scaled, problem.target, BOX), 0.01)


# -------------------------------------------------------------------- certificates


@pytest.mark.parametrize("which", [0, 2, 4, 6, 8, 12, 13, 17, 18, 23])
@pytest.mark.parametrize("make", [ball_bound, eps_close_bound])
def test_a_saved_certificate_is_checked_again(which, make, tmp_path):
    problem = pushed(which)
    bound = make(problem, 0.01)
    assert bound.certified and bound.value > 1.0 and bound.to_dict()["certified"]
    bound.certificate.save(tmp_path / "near.npz")
    again = NearTargetCertificate.load(tmp_path / "near.npz")
    assert again.value == bound.value and again.verify(problem.data)
    assert not replace(again, value=again.value * (1 + 1e-6)).verify(problem.data)
    # A larger neighbourhood, or data that hold less against the target, prove less.
    assert not replace(again, radius=2.0 * again.radius).verify(problem.data)
    assert not again.verify(replace(problem.data, sample_weight=0.3 * problem.data.sample_weight))


def false_certificates(proof):
    """Names of parts and what the file would hold instead."""
    arrays = proof.to_arrays()
    yield "masses", np.append(arrays["masses"][:1], -1.0), "not negative"
    yield "points", 3.0 + arrays["points"], "outside the space"
    yield "points", np.nan * arrays["points"], "finite"
    yield "points", arrays["points"][:1], "two masses and two points"
    yield "direction_w", arrays["direction_w"][:1], "features"
    yield "direction_w", np.inf * arrays["direction_w"], "NaN or infinity"
    yield "coef", arrays["coef"][:1], "features"


def test_files_that_are_no_certificates(tmp_path):
    proof = eps_close_bound(pushed(0), 0.01).certificate
    path = tmp_path / "false.npz"
    for part, value, message in false_certificates(proof):
        np.savez(path, **{**proof.to_arrays(), part: value})
        with pytest.raises(ValueError, match=message):
            NearTargetCertificate.load(path)
    meta = json.loads(str(proof.to_arrays()["meta"]))
    for change in ({"near": "far"}, {"radius": -1.0}, {"radius": np.nan}, {"value": -2.0}, {"kind": "certificate"}):
        np.savez(path, **{**proof.to_arrays(), "meta": np.array(json.dumps(meta | change))})
        with pytest.raises(ValueError, match="not a neighbourhood certificate"):
            NearTargetCertificate.load(path)
    with pytest.raises(ValueError, match="eps-closeness"):
        replace(proof, near="ball")
    with pytest.raises(ValueError, match="box and one-hot"):
        replace(proof, space=proof.space.with_ball([0.0, 0.0], 5.0))


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), which=WHICH, k=st.integers(1, 6), near=st.sampled_from(["ball", "eps_close"]))
def test_no_direction_proves_too_much(seed, which, k, near):
    """A certificate's direction may be anything: near a model that k points induce none proves more than k."""
    rng, victim, data, induced = case(seed, which, k)
    target = moved(victim, induced, rng, 0.02)
    radius = 0.02 * (1 + 1e-9) if near == "ball" else max(difference(victim, induced, target, BOX), 0.0) + 1e-9
    v = DualVector(rng.normal(size=2), 0.0 if victim.intercept == "none" else float(rng.normal()))
    masses, points = rng.random(2), rng.uniform(-1, 1, (2, 2))
    made = Combination(np.full(2, masses[0]) if victim.intercept == "free" else masses, points)
    proof = NearTargetCertificate(victim, target, BOX, near, radius, v, made if near == "eps_close" else None, 0.0)
    for _ in range(3):
        assert proof.verify(data).value <= k
        towards = data.X[rng.integers(data.n_samples)] * rng.choice([-1.0, 1.0])
        proof = replace(proof, direction=DualVector(towards, v.b))


@pytest.mark.parametrize("which", [0, 6, 12, 18])
@pytest.mark.parametrize("eps", [1e-9, 0.01, 0.7])
def test_slack_and_derivative_against_300_bits(which, eps):
    mp = pytest.importorskip("mpmath", reason="mpmath is not installed (extra 'test')").mp.clone()
    mp.prec = 300
    problem = pushed(which)
    loss, name = problem.victim.loss, problem.victim.loss.name
    close = CloseTo(problem.victim, problem.target, problem.space, eps)
    rng = np.random.default_rng(which)
    for u in [*rng.normal(scale=5.0, size=40).tolist(), 1.0, 0.0, 30.0, -40.0]:
        x, e = mp.mpf(u), mp.mpf(eps)
        if name == "squared":
            a = x - mp.mpf(problem.space.response[1])
            exact, slope = a + mp.sqrt(a * a + e), 2 * x
        else:
            short = max(mp.mpf(0), 1 - x)
            exact = {
                "hinge": e + max(mp.mpf(0), x - 1),
                "squared_hinge": x - 1 + mp.sqrt(short**2 + e),
                "logistic": mp.log(mp.exp(e) + (mp.exp(e) - 1) * mp.exp(x)),
            }[name]
            slope = {"hinge": -1 if x <= 1 else 0, "squared_hinge": -2 * short, "logistic": -1 / (1 + mp.exp(x))}[name]
        found = float(close.slack(1, Interval.of(u)))
        assert exact <= found <= exact * (1 + mp.mpf(2e-9)) + mp.mpf(2e-14)
        d = derivative(loss, Interval.of(u), np.array(0.0))
        assert mp.mpf(float(d.lower)) <= slope <= mp.mpf(float(d.upper))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), which=WHICH, scale=st.sampled_from([0.3, 1.0, 4.0]), one_hot=st.booleans())
def test_enclosures_agree_with_the_closed_forms(seed, which, scale, one_hot):
    """The search's numbers in double precision and the proof's are two writings of the same formulas."""
    space = ONE_HOT if one_hot else BOX
    _rng, victim, data, target = case(seed, which, space=space)
    target = cp.LinearModel(scale * target.coef, scale * target.intercept)
    problem = Problem(victim, data, AddRows(space), target)
    scores = Interval.of(target.decision_function(data.X))
    for hood, around in (
        (Ball(problem, 0.05), BallAround(victim, target, space, 0.05)),
        (Close(problem, 0.05), CloseTo(victim, target, space, 0.05)),
    ):
        for ours, theirs in zip(around.score_moves(data, scores), hood.score_moves(), strict=True):
            assert np.allclose(ours, theirs, rtol=1e-7)
        for label in space.labels if victim.loss.classification else (-1, 1):
            assert np.isclose(around.shift(label), hood.shift(label), rtol=1e-7)


def test_points_of_groups_lie_in_their_hull_exactly():
    space = cp.Space.box(0, 1, 4).with_one_hot([0, 1, 2]).relax()
    x = np.array([0.1, 0.2, 0.7, 0.5])
    point = settled(space, x)
    exact = 1 - Fraction(0.1) - Fraction(0.2)
    assert Fraction(float(point.lower[2])) <= exact <= Fraction(float(point.upper[2]))
    assert (point.lower[[0, 1, 3]] == x[[0, 1, 3]]).all()
    for wrong in ([0.9, 0.9, 0.9, 0.5], [0.1, 0.2, 0.7, 1.5], [-0.1, 0.4, 0.7, 0.5]):
        with pytest.raises(ValueError, match="outside"):
            settled(space, np.array(wrong))


# -------------------------------------------------------------------- the nearest model


@pytest.mark.parametrize("victim", [VICTIMS[k] for k in (0, 1, 2, 6, 7, 12, 15)], ids=str)
def test_least_residual_against_all_pairs_of_a_grid(victim):
    rng = np.random.default_rng(4)
    X, y = clean_rows(rng, 8, 1)
    data, space = training(victim, X, y), cp.Space.box(-1, 1, 1)
    target = cp.LinearModel([0.7], 0.1)
    problem = Problem(victim, data, AddRows(space), target)
    grid = [(x, label) for x in np.linspace(-1, 1, 41) for label in (-1.0, 1.0)]
    slopes = {z: float(victim.loss.derivative(z[1] * (0.7 * z[0] + 0.1)) * z[1]) for z in grid}
    start = np.append(problem.subdifferential.g.w, problem.subdifferential.g.b) + 2 * victim.kappa * np.array(
        [0.7, 0.1 * victim.intercept_weight]
    )
    fewest = min(
        float(np.linalg.norm(start + sum(slopes[z] * np.array([z[0], 1.0]) for z in pair)))
        for pair in combinations_with_replacement(grid, 2)
    )
    found = nearest_model(problem, 2)
    assert found.n_points == 2
    assert found.residual <= fewest * (1 + 1e-6) + 1e-9
    shift = np.append(found.model.coef - target.coef, (found.model.intercept - target.intercept))
    assert np.linalg.norm(shift * [1.0, np.sqrt(victim.intercept_weight)]) <= found.reach + 1e-8


@pytest.mark.parametrize("which", [0, 1, 3, 6, 7, 12, 13])
def test_enough_points_reproduce_the_target(which):
    problem = pushed(which)
    found = nearest_model(problem, int(np.ceil(tight_bound(problem).value - 1e-3)))
    assert found.residual < 1e-6 and found.difference.value < 1e-6 and found.distance < 1e-6
    assert BOX.contains(found.points).all() and set(found.labels) <= {-1.0, 1.0} and (found.counts > 0).all()


def test_points_without_loss_fill_the_budget():
    """In the mean convention a target of smaller norm takes points that add regularisation alone."""
    data = training(VICTIMS[0], np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1, -1]))
    problem = Problem(cp.Victim("hinge", C_R=1.0), data, AddRows(BOX), cp.LinearModel([1.0, 0.0]))
    for n in (1, 3, 7):
        found = nearest_model(problem, n)
        assert found.n_points == n


def test_fewer_points_than_follow_the_leader(digits):
    """30 points where follow-the-leader takes 85; with C = 0.05 in the sum convention 29 against more than 1,500."""
    victim = cp.Victim("hinge", C_R=0.05)
    problem = digits_problem(digits, victim)
    found = close_attack(problem, 0.2)
    assert found.difference.upper <= 0.2
    assert eps_close_bound(problem, 0.2).n_points <= found.n_points <= 32
    rows = problem.data.X, problem.data.y
    led = cp.attack(problem.target, rows, victim=victim, eps=0.2, max_points=2 * found.n_points)
    assert led.stop_reason == "budget"


def test_a_close_attack_of_no_points_and_one_that_does_not_suffice(digits):
    problem = digits_problem(digits, cp.Victim("hinge", C_R=0.05))
    nothing = close_attack(problem, 10.0)
    assert nothing.n_points == 0 and nothing.distance > 0
    short = close_attack(problem, 0.01, max_points=2)
    assert short.n_points <= 2 and short.difference.upper > 0.01
    assert "max loss difference" in repr(short)


# -------------------------------------------------------------------- bad input


def test_bad_input():
    _, victim, data, target = case(0, 0)
    problem = Problem(victim, data, AddRows(BOX), target)
    for wrong in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="delta"):
            ball_bound(problem, wrong)
        with pytest.raises(ValueError, match="eps"):
            eps_close_bound(problem, wrong)
        with pytest.raises(ValueError, match="eps"):
            close_attack(problem, wrong)
    for wrong in (0, -1, 1.5):
        with pytest.raises(ValueError, match="n_points"):
            nearest_model(problem, wrong)
        with pytest.raises(ValueError, match="max_points"):
            close_attack(problem, 0.1, max_points=wrong)
    whole = Problem(victim, data, AddRows(BOX.with_integer()), target)
    for call in (eps_close_bound, nearest_model):
        with pytest.raises(ValueError, match="relax"):
            call(whole, 1)
    endless = Problem(victim, data, AddRows(cp.Space.box(-np.inf, 1, 2)), target)
    with pytest.raises(ValueError, match="unbounded"):
        ball_bound(endless, 0.1)
