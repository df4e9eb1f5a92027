"""Everything behind attack and lower_bound, each through the front door once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import convexpoison as cp
from convexpoison.cli.commands import main

VICTIMS = [
    cp.Victim("hinge", C_R=0.05),
    cp.Victim("hinge", C=0.05, intercept="free"),
    cp.Victim("logistic", C_R=0.02),
    cp.Victim("logistic", C=0.1, intercept="free"),
]


def target_of(victim, digits):
    return cp.targets.label_flip(victim, digits.train, error=0.1).model


@pytest.mark.parametrize("victim", VICTIMS, ids=lambda v: f"{v.loss.name}-{v.convention}-{v.intercept}")
def test_optimal_attack_meets_the_certified_bound(victim, digits):
    target = target_of(victim, digits)
    space = cp.Space.box(0, 1, 64)
    result = cp.attack(target, digits.train, victim=victim, space=space, method="optimal", test_data=digits.test)
    assert result.stop_reason == "exact"
    assert 0 <= result.n_points - result.bound.n_points <= 1
    assert result.history["max_loss_difference"][-1] < 1e-6
    assert victim.fit(*result.poisoned(*digits.train)).distance(result.model) < 1e-6
    assert result.bound.certificate.verify(digits.train).holds
    assert float(result.bound) == pytest.approx(result.bound.mass, rel=2e-6)


def test_nearest_needs_no_more_points_than_following_the_leader(digits):
    victim = VICTIMS[0]
    target = target_of(victim, digits)
    common = {"victim": victim, "space": cp.Space.box(0, 1, 64), "eps": 0.1}
    leader = cp.attack(target, digits.train, **common)
    nearest = cp.attack(target, digits.train, method="nearest", **common)
    bound = cp.lower_bound(target, digits.train, **common)
    assert nearest.stop_reason == leader.stop_reason == "close"
    assert bound.n_points <= nearest.n_points <= leader.n_points
    few = cp.attack(target, digits.train, victim=victim, method="nearest", max_points=5)
    assert (few.n_points, few.stop_reason) == (5, "budget")


def test_ball_of_targets(digits):
    victim = VICTIMS[0]
    target = target_of(victim, digits)
    common = {"victim": victim, "space": cp.Space.box(0, 1, 64)}
    exact = float(cp.lower_bound(target, digits.train, **common))
    bounds = [float(cp.lower_bound(target, digits.train, delta=delta, **common)) for delta in (0.0, 1e-4, 1e-2)]
    assert bounds[0] == pytest.approx(exact, rel=1e-6)
    assert bounds[0] >= bounds[1] >= bounds[2] > 0


def test_goal_is_bounded_through_the_same_door(digits):
    victim = VICTIMS[0]
    row = digits.X_test[0]
    bound = cp.lower_bound(cp.goals.Flip(row), digits.train, victim=victim, space=cp.Space.box(0, 1, 64))
    assert bound.certified and bound.n_points >= 1
    label = victim.fit(*digits.train).predict(row[None])[0]
    X, y = digits.train
    survived = victim.fit(
        np.vstack([X, np.repeat(row[None], bound.n_points - 1, axis=0)]),
        np.concatenate([y, np.full(bound.n_points - 1, 8 - label)]),
    )
    assert survived.predict(row[None])[0] == label


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"method": "optimal", "eps": 0.1}, "do not apply"),
        ({"method": "nearest", "copies": 2}, "do not apply"),
    ],
)
def test_options_that_do_not_apply_are_refused(arguments, sentence, digits):
    with pytest.raises(ValueError, match=sentence):
        cp.attack(VICTIMS[0].fit(*digits.train), digits.train, victim=VICTIMS[0], **arguments)


def test_bounds_refuse_what_does_not_fit_together(digits):
    model = VICTIMS[0].fit(*digits.train)
    with pytest.raises(ValueError, match="not both"):
        cp.lower_bound(model, digits.train, victim=VICTIMS[0], eps=0.1, delta=0.1)
    with pytest.raises(ValueError, match="pass victim="):
        cp.lower_bound(cp.goals.Flip(digits.X_test[0]), digits.train)
    with pytest.raises(ValueError, match="unknown method"):
        cp.lower_bound(model, digits.train, victim=VICTIMS[0], method="guess")


def test_certificate_goes_from_bound_to_verify(tmp_path, digits):
    run = CliRunner()
    proof, rows = tmp_path / "proof.npz", tmp_path / "rows.npz"
    made = run.invoke(
        main, ["bound", "--dataset", "digits_17", "--target-error", "0.1", "--certificate", str(proof), "--json"]
    )
    assert made.exit_code == 0, made.output
    np.savez(rows, X=digits.X_train, y=digits.y_train)
    checked = run.invoke(main, ["verify", str(proof), str(rows), "--json"])
    assert checked.exit_code == 0, checked.output
    claimed = json.loads(made.stdout)["bound"]["value"]
    assert json.loads(checked.stdout)["value"] >= claimed > 1
    np.savez(rows, X=digits.X_train, y=8 - digits.y_train)
    assert run.invoke(main, ["verify", str(proof), str(rows)]).exit_code == 1
