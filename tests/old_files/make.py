"""Write the files of this folder: attacks of format 2, certificates of format 1, and what else convexpoison 0.1.0 saved.

Kept as the description of the files. It writes into an empty folder that is named on the command line, never over the old files:
a new run writes the present format.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

import convexpoison as cp

HINGE = cp.Victim("hinge", C_R=0.05, intercept="regularized")
GRID = {"dataset": ["digits_17"], "C_R": [0.09], "target": [{"label_flip": {"error": 0.1}}], "max_points": [2, 3]}
BOX = cp.Space.box(0.0, 1.0, 3)


def rows() -> dict[str, dict[str, np.ndarray]]:
    """Return the clean rows that files are about, by name."""
    rng = np.random.default_rng(17)
    X = rng.uniform(size=(40, 3)).round(2)
    scores = X @ [1.0, 0.5, -1.0] - 0.25
    labels = np.where(scores > 0.0, "yes", "no")
    digits = np.where(scores > 0.0, 7, 1)
    weights = rng.integers(1, 4, size=40).astype(float)
    responses = (scores + 0.1 * rng.normal(size=40)).round(3)
    return {
        "words": {"X": X, "y": labels},
        "digits": {"X": X, "y": digits},
        "weighted": {"X": X, "y": digits, "sample_weight": weights},
        "responses": {"X": X, "y": responses},
        "encoded": {"X": encoded()[0], "y": digits},
        "groups": {
            "X": np.column_stack([rng.integers(0, 3, size=40), np.eye(3)[rng.integers(0, 3, size=40), :2]]),
            "y": digits,
        },
    }


def encoded() -> tuple[np.ndarray, Any, pd.DataFrame]:
    """Return a table after scaling and one-hot encoding, the steps that did it, and the table."""
    rng = np.random.default_rng(18)
    table = pd.DataFrame(
        {"age": rng.integers(20, 60, size=40), "colour": rng.choice(["blue", "green", "red"], size=40)}
    )
    steps = ColumnTransformer([("scaled", StandardScaler(), ["age"]), ("coded", OneHotEncoder(), ["colour"])])
    return np.asarray(steps.fit_transform(table), dtype=float), steps, table


def flipped(part: dict[str, np.ndarray], victim: cp.Victim, every: int = 6) -> cp.LinearModel:
    """Return the model that the victim learns where one label in ``every`` is wrong."""
    first, second = np.unique(part["y"])
    other = np.where(part["y"] == first, second, first)
    return victim.fit(part["X"], np.where(np.arange(len(part["y"])) % every == 0, other, part["y"]))


def attacks(data: dict[str, dict[str, np.ndarray]]) -> dict[str, tuple[str, cp.AttackResult]]:
    """Return attacks by name, each with the name of its rows."""
    words, digits, weighted, responses = (data[name] for name in ("words", "digits", "weighted", "responses"))
    pair, sevens = (words["X"], words["y"]), (digits["X"], digits["y"])
    free = cp.Victim("hinge", C=0.5, intercept="free")
    logistic = cp.Victim("logistic", C_R=0.05, intercept="regularized", intercept_scaling=2.0)
    ridge = cp.Victim("squared", C_R=0.1, intercept="free")
    bent = ridge.fit(responses["X"], responses["y"] + 0.3 * responses["X"][:, 0])
    space = BOX.with_response(-2.0, 2.0)
    goal = cp.goals.ErrorRate(0.3, *pair)
    _, _, table = encoded()
    steps = ColumnTransformer([("scaled", StandardScaler(), ["age"]), ("coded", OneHotEncoder(), ["colour"])])
    pipeline = make_pipeline(steps, LinearSVC(loss="hinge", C=0.2, random_state=0, max_iter=100_000, tol=1e-9))
    pipeline.fit(table, np.where(np.arange(40) % 7 == 0, 8 - digits["y"], digits["y"]))
    return {
        "follow_the_leader": (
            "words", cp.attack(flipped(words, HINGE), pair, victim=HINGE, space=BOX, eps=0.05, test_data=pair),
        ),
        "optimal": ("digits", cp.attack(flipped(digits, free), sevens, victim=free, space=BOX, method="optimal")),
        "nearest": ("digits", cp.attack(flipped(digits, HINGE), sevens, victim=HINGE, space=BOX, method="nearest", max_points=4)),
        "least_mass": ("words", cp.attack(goal, pair, victim=HINGE, space=BOX, test_data=pair)),
        "min_max": ("words", cp.attack(goal, pair, victim=HINGE, space=BOX, method="min_max", max_points=5)),
        "logistic_on_goal": (
            "words",
            cp.attack(flipped(words, logistic), pair, victim=logistic, space=BOX, goal=goal, max_points=12),
        ),
        "weighted": (
            "weighted",
            cp.attack(
                flipped(digits, HINGE), sevens, victim=HINGE, space=BOX, max_points=5,
                bound_time_limit_s=0, sample_weight=weighted["sample_weight"],
            ),
        ),
        "regression": (
            "responses", cp.attack(bent, (responses["X"], responses["y"]), victim=ridge, space=space, max_points=6),
        ),
        "pipeline": ("encoded", cp.attack(pipeline, (table, digits["y"]), max_points=4)),
    }  # fmt: skip


def certificates(data: dict[str, dict[str, np.ndarray]]) -> dict[str, tuple[str, Any]]:
    """Return certificates by name, each with the name of its rows."""
    words, digits, weighted, responses = (data[name] for name in ("words", "digits", "weighted", "responses"))
    pair, sevens = (words["X"], words["y"]), (digits["X"], digits["y"])
    target = flipped(digits, HINGE)
    free = cp.Victim("squared_hinge", C_R=0.05, intercept="none")
    ridge = cp.Victim("squared", C=1.0, intercept="free")
    bent = ridge.fit(responses["X"], responses["y"] + 0.3 * responses["X"][:, 0])
    grouped = (data["groups"]["X"], digits["y"])
    aim = flipped(data["groups"], HINGE)
    X, steps, table = encoded()
    behind = cp.Space.behind(steps, table)
    cut = BOX.with_ball([0.5, 0.5, 0.5], 0.8).with_slab([1.0, 1.0, 0.0], 0.1, 1.8).with_labels([1])
    whole = cp.Space.box(0.0, 2.0, 3).with_integer([0]).with_one_hot([1, 2], at_most_one=True)
    out_of_reach = cp.LinearModel([0.0, 0.0, 40.0], 0.0, (1, 7))
    surest = int(np.argmax(HINGE.fit(*pair).decision_function(words["X"])))
    wrong = np.flatnonzero(words["y"] == "yes")[:3]
    bounds = {
        "target_box": ("words", cp.lower_bound(flipped(words, HINGE), pair, victim=HINGE, space=BOX)),
        "target_weighted": (
            "weighted",
            cp.lower_bound(target, sevens, victim=HINGE, space=BOX, sample_weight=weighted["sample_weight"]),
        ),
        "target_theorem_2": (
            "digits",
            cp.lower_bound(target, sevens, victim=HINGE, space=BOX, method="theorem_2", max_points=10),
        ),
        "target_ball_slab_label": ("digits", cp.lower_bound(target, sevens, victim=HINGE, space=cut)),
        "target_integer_one_hot": ("groups", cp.lower_bound(aim, grouped, victim=HINGE, space=whole)),
        "target_relaxed": ("groups", cp.lower_bound(aim, grouped, victim=HINGE, space=whole.relax())),
        "target_grid": (
            "encoded",
            cp.lower_bound(flipped({"X": X, "y": digits["y"]}, HINGE), (X, digits["y"]), victim=HINGE, space=behind),
        ),
        "target_constraints": (
            "digits",
            cp.lower_bound(target, sevens, victim=HINGE, space=BOX.with_constraints(lambda x: [x[0] <= 2.0])),
        ),
        "target_unattainable": ("digits", cp.lower_bound(out_of_reach, sevens, victim=HINGE, space=BOX)),
        "target_no_intercept": ("digits", cp.lower_bound(flipped(digits, free), sevens, victim=free, space=BOX)),
        "target_regression": (
            "responses",
            cp.lower_bound(
                bent, (responses["X"], responses["y"]), victim=ridge, space=BOX.with_response(-2.0, 2.0)
            ),
        ),
        "near_ball": ("digits", cp.lower_bound(target, sevens, victim=HINGE, space=BOX, delta=0.05)),
        "near_eps_close": ("digits", cp.lower_bound(target, sevens, victim=HINGE, space=BOX, eps=0.02)),
        "goal_flip": ("words", cp.lower_bound(cp.goals.Flip(words["X"][surest]), pair, victim=HINGE, space=BOX)),
        "goal_misclassify": (
            "words",
            cp.lower_bound(
                cp.goals.Misclassify(words["X"][wrong], words["y"][wrong]), pair, victim=HINGE, space=BOX
            ),
        ),
    }  # fmt: skip
    return {name: (about, bound.certificate) for name, (about, bound) in bounds.items()}


def main(folder: Path) -> None:
    """Write rows, attacks and certificates, and the numbers that a later version has to read from them."""
    folder.mkdir(parents=True)
    data = rows()
    for name, part in data.items():
        np.savez_compressed(folder / f"rows_{name}.npz", **part)
    expected: dict[str, Any] = {"attacks": {}, "certificates": {}}
    for name, (about, result) in attacks(data).items():
        history = result.history | {"seconds": np.zeros_like(result.history["seconds"])}
        kept = replace(result, seconds=0.0, history=history, provenance={"solver": "auto"})
        kept.save(folder / f"attack_{name}.npz")
        expected["attacks"][name] = {"rows": about, **numbers(kept)}
    for name, (about, certificate) in certificates(data).items():
        certificate.save(folder / f"certificate_{name}.npz")
        expected["certificates"][name] = {"rows": about, **claim(certificate)}
    sweep(folder / "sweep")
    networks(folder)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


def numbers(result: cp.AttackResult) -> dict[str, Any]:
    """Return what has to be read from a saved attack."""
    return {
        "to_dict": result.to_dict(),
        "points": result.points.tolist(),
        "labels": result.labels.tolist(),
        "counts": result.counts.tolist(),
        "n_distinct": result.n_distinct,
        "models": {
            name: [*getattr(result, name).coef.tolist(), getattr(result, name).intercept, getattr(result, name).classes]
            for name in ("model", "target", "clean")
        },
        "victim": [
            result.victim.loss.name, result.victim.C, result.victim.C_R, result.victim.intercept,
            result.victim.intercept_scaling,
        ],
        "gap": result.gap,
        "guarantee": None if result.guarantee is None else vars(result.guarantee),
        "history": {name: np.where(np.isfinite(v), v, -1.0).tolist() for name, v in result.history.items()},
        "certified": [result.bound.certificate is not None, result.induced_bound.certificate is not None],
    }  # fmt: skip


def claim(certificate: Any) -> dict[str, Any]:
    """Return what has to be read from a saved certificate."""
    space = certificate.space
    probes = np.random.default_rng(3).uniform(-0.5, 1.5, size=(6, space.n_features)).round(3)
    return {
        "kind": certificate.kind,
        "value": certificate.value if np.isfinite(certificate.value) else None,
        "note": certificate.note,
        "loss": certificate.victim.loss.name,
        "parts": sorted(space.parts - {"constraints"}),  # which no file holds
        "labels": list(space.labels),
        "response": space.response,
        "probes": probes.tolist(),
        "violation": space.violation(probes).tolist(),
    }


def sweep(store: Path) -> None:
    """Write the store of a sweep of two tasks, with their attacks."""
    cp.sweep(GRID, store=store, keep_results=True, progress=False)


def networks(folder: Path) -> None:
    """Write what the attacks on networks and their certification save."""
    from torch import nn

    from convexpoison import neural

    rng = np.random.default_rng(4)
    images = rng.uniform(size=(3, 1, 2, 2)).astype(np.float32)
    base = rng.uniform(size=(3, 1, 2, 2)).astype(np.float32)
    labels, places = np.array([0, 1, 1]), np.array([2, 5, 7])
    trace = {"upper": np.array([0.5, 0.25]), "judged_step": np.array([1.0])}
    poison = neural.PoisonResult(
        images, labels, base, labels, places, np.arange(9), "bilevel", 0.1, "linf", trace, "done", 1.5, {"seed": 0}
    )
    poison.save(folder / "poison_images.npz")
    steps = {name: np.array([0.5, 0.25]) for name in ("n_points", "max_loss_difference", "distance", "target_accuracy")}
    chosen = neural.ModelTargetedPoison(images, labels, places, np.array([2, 1, 1]), steps, "budget", {"eps": 0.1})
    chosen.save(folder / "poison_model_targeted.npz")
    network = neural.SmoothedClassifier(nn.Flatten(), sigma=0.25, random_state=0)
    memory = neural.MemoryClassifier(network, None)
    memory.remember(images, [0, 1, -1], [0.05, 0.02, 0.0], [0.25, 0.25, 0.25], [100, 100, 100])
    memory.save(folder / "memory.npz")
    neural.evaluate(
        network,
        np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2),
        [0, 1, 2, 0],
        n0=10,
        n=100,
        path=folder / "radii.tsv",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
