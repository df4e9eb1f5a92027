"""Settings, splits, the four defenders and one run of the experiments on RMD (Carnerero-Cano et al., 2021)."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from stand_in import dog_ship
from threadpoolctl import threadpool_limits

import convexpoison as cp
from convexpoison.attacks.base import Budget
from convexpoison.attacks.minimax import minimax
from convexpoison.data.training_data import TrainingData
from convexpoison.poison import Poison
from convexpoison.problem import Problem
from convexpoison.threats import AddRows

BATCH = 17
"""Points optimised together (RMD, Appendix C.2)."""
DEFENDERS = ("small", "large", "clean", "rmd")
"""lambda fixed at the lower and at the upper end of its range; by cross-validation on clean data; learned under attack."""


@dataclass(frozen=True)
class Setting:
    """One row of RMD's Tables 1 to 3, rates of the attack excepted (:func:`attack`).

    ``lambda_max`` is the upper end of the range of lambda, whose lower end is -8; ``training`` is the learning rate and the
    number of epochs with which RMD trains a model that is tested (batches of 64); ``descent`` is eta and T of reverse mode.
    """

    name: str
    dataset: str
    lambda_max: float
    iterations: int
    training: tuple[float, int]
    descent: tuple[float, int]
    n_train: int = 512
    n_validation: int = 171
    budget: int = 85


SETTINGS = (
    Setting("MNIST 0-8", "mnist_08", float(np.log(200)), 100, (1e-2, 200), (0.10, 150)),
    Setting("FMNIST T-shirt-pullover", "fashion_mnist_02", float(np.log(400)), 100, (1e-2, 200), (0.08, 200)),
    Setting("ImageNet dog-fish", "dogfish", float(np.log(20_000)), 200, (1e-3, 300), (0.05, 200)),
)
STAND_IN = "dog-fish stand-in"
STAND_IN_WORDS = (
    f"{STAND_IN}: CIFAR-10's dogs against ships in 2,048 k-means features (`experiments/stand_in.py`), in the place of\n"
    "ImageNet's dogs against fish, whose feature files are not available."
)
SMOKE = Setting("digits 0-8 (smoke)", "digits_08", float(np.log(200)), 20, (1e-2, 50), (0.10, 150), 120, 60, 34)
LAMBDA_MIN, LAMBDA_CLEAN_RANGE, WARM_START = -8.0, (-8.0, 1.0), float(np.log(5))


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows to split into training and validation, the fixed test rows, and the box."""

    setting: Setting
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    space: cp.Space


@dataclass(frozen=True, eq=False)
class Split:
    """One random division; ``number`` is its seed."""

    number: int
    pool: Pool
    train: TrainingData
    validation: TrainingData


def options(description: str) -> argparse.Namespace:
    """Parse ``--scale``, ``--only`` (part of a data set's name), ``--splits`` and ``--n-jobs``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", choices=("smoke", "paper"), default="smoke")
    parser.add_argument("--only", default="", help="only the data sets whose name contains this text")
    parser.add_argument("--splits", type=int, help="random splits; 10 at paper scale, 2 at smoke scale")
    parser.add_argument("--hypergradient", choices=("implicit", "reverse"), default="implicit", help="rmd_figure2 only")
    parser.add_argument("--page", action="store_true", help="rmd_figure2 only: run nothing, write the page again")
    parser.add_argument("--n-jobs", type=int, default=1, help="number of splits to run in parallel")
    arguments = parser.parse_args()
    arguments.splits = arguments.splits or (10 if arguments.scale == "paper" else 2)
    return arguments


# -------------------------------------------------------------------- data


def pools(scale: str, only: str = "") -> Iterator[Pool]:
    """Yield the data sets of a scale; ImageNet from the user's feature files, else its stand-in."""
    for setting in (SMOKE,) if scale == "smoke" else SETTINGS:
        if setting.dataset != "dogfish":
            if only in setting.name:
                data = cp.datasets.load(setting.dataset)
                yield Pool(setting, data.X_train, data.y_train, data.X_test, data.y_test, data.space)
        elif only in setting.name or only in STAND_IN:
            yield from _features(setting, only)


def _features(setting: Setting, only: str) -> Iterator[Pool]:
    """Yield 2,048 features, normalised with the mean and standard deviation of the training rows, with box [-0.5, 0.5]."""
    try:
        data = cp.datasets.load("dogfish")
        parts = data.X_train, data.y_train, data.X_test, data.y_test
    except FileNotFoundError:
        parts, setting = dog_ship(), replace(setting, name=STAND_IN)
    if only not in setting.name:
        return
    X, y, X_test, y_test = parts
    mean, deviation = X.mean(axis=0), X.std(axis=0) + 1e-12
    space = cp.Space.box(-0.5, 0.5, X.shape[1])
    yield Pool(setting, (X - mean) / deviation, y, (X_test - mean) / deviation, y_test, space)


def split(pool: Pool, number: int) -> Split:
    """Draw balanced training and validation rows with the seed ``number``."""
    rng, chosen = np.random.default_rng(number), ([], [])
    sizes = pool.setting.n_train, pool.setting.n_validation
    for k, label in enumerate(np.unique(pool.y)):
        rows = rng.permutation(np.flatnonzero(pool.y == label))
        ends = [(size + k) // 2 for size in sizes]
        chosen[0].extend(rows[: ends[0]])
        chosen[1].extend(rows[ends[0] : sum(ends)])
    train, validation = (TrainingData.from_user((pool.X[part], pool.y[part])) for part in chosen)
    return Split(number, pool, train, validation)


# -------------------------------------------------------------------- defenders and attack


def lambda_clean(data: TrainingData) -> float:
    """Choose the lambda of a grid over [-8, 1] with the least logistic loss in 5-fold cross-validation on clean rows."""
    grid = np.linspace(*LAMBDA_CLEAN_RANGE, 19)
    # The intercept is a column of ones, because it is regularised like the other parameters.
    X = np.column_stack([data.X.toarray() if hasattr(data.X, "toarray") else data.X, np.ones(data.n_samples)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn announces changes of its own attributes
        search = LogisticRegressionCV(
            Cs=np.exp(-grid), cv=5, fit_intercept=False, scoring="neg_log_loss", max_iter=2000, tol=1e-6
        ).fit(X, data.y)
    return -float(np.log(np.ravel(search.C_)[0]))


def attack(part: Split, defender: str, hypergradient: str = "implicit") -> tuple[Poison, float]:
    """Compute the poison against a defender, with scaled steps; also return lambda before the attack."""
    setting = part.pool.setting
    start = {
        "small": LAMBDA_MIN,
        "large": setting.lambda_max,
        "clean": lambda_clean(part.train) if defender == "clean" else 0.0,
        "rmd": WARM_START,
    }[defender]
    task = (
        Problem(cp.Victim("logistic", C=float(np.exp(-start))), part.train, AddRows(part.pool.space)),
        Budget(setting.budget, rows=part.validation, random_state=part.number, progress=False),
    )
    learns = defender == "rmd"
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.filterwarnings("ignore", message=".*lie outside the space")  # features outside RMD's box
        poison = minimax(
            *task,
            tune="l2" if learns else None,
            lambda_range=(LAMBDA_MIN, setting.lambda_max),
            batch_size=BATCH,
            iterations=setting.iterations if learns else min(100, setting.iterations),
            clean_iterations=50,
            hypergradient=hypergradient,
            inner_rate=setting.descent[0],
            inner_steps=setting.descent[1],
        )
    return poison, float(poison.info["lambda_clean"][0])


def victims(part: Split, poison: Poison, clean: float) -> Iterator[tuple[int, float, TrainingData]]:
    """Yield the number of points, lambda and the training rows before the attack and after every batch."""
    X = part.train.X.toarray() if hasattr(part.train.X, "toarray") else part.train.X
    for n, lam in [(0, clean), *((batch["n_points"], batch["lambda"][0]) for batch in poison.info["batches"])]:
        rows = np.vstack([X, poison.points[:n]]), np.concatenate([part.train.y, poison.labels[:n]])
        yield n, lam, TrainingData.from_user(rows)


def run(part: Split, defender: str, hypergradient: str = "implicit") -> list[dict[str, Any]]:
    """Compute one row for each number of poison points."""
    started = perf_counter()
    poison, clean = attack(part, defender, hypergradient)
    seconds, rows = perf_counter() - started, []
    signed = np.where(part.pool.y_test == np.unique(part.pool.y)[1], 1.0, -1.0)
    for n, lam, data in victims(part, poison, clean):
        model = cp.Victim("logistic", C=float(np.exp(-lam))).fit(data.X, data.y)
        trained = descend(data, lam, *part.pool.setting.training, seed=part.number)
        held_out = part.validation
        rows.append(
            {
                "data": part.pool.setting.name,
                "split": part.number,
                "defender": defender,
                "points": n,
                "fraction": round(n / part.pool.setting.n_train, 4),
                "lambda": round(lam, 4),
                "test error": round(error(model, part.pool.X_test, signed), 5),
                "test error, RMD's training": round(error(trained, part.pool.X_test, signed), 5),
                "squared norm": float(f"{model.coef @ model.coef + model.intercept**2:.5g}"),
                "validation loss": float(f"{_loss(model, held_out):.5g}"),
                "seconds": round(seconds, 1),
            }
        )
    return rows


def error(model: cp.LinearModel, X: np.ndarray, signed: np.ndarray) -> float:
    """Return the share of misclassified rows."""
    return float(np.mean((model.decision_function(X) > 0) != (signed > 0)))


def _loss(model: cp.LinearModel, data: TrainingData) -> float:
    return float(np.logaddexp(0.0, -data.y * model.decision_function(data.X)).mean())


def descend(data: TrainingData, lam: float, rate: float, epochs: int, seed: int) -> cp.LinearModel:
    """Train a model to be tested as RMD does (Table 3): stochastic gradient descent from 0 in batches of 64."""
    X = np.column_stack([data.X.toarray() if hasattr(data.X, "toarray") else data.X, np.ones(data.n_samples)])
    y, rng, theta, ridge = data.y, np.random.default_rng(seed), np.zeros(X.shape[1]), np.exp(lam) / data.n_samples
    for _ in range(epochs):
        order = rng.permutation(len(y))
        for k in range(0, len(y), 64):
            batch = order[k : k + 64]
            slopes = -y[batch] / (1.0 + np.exp(y[batch] * (X[batch] @ theta)))
            theta = theta - rate * (slopes @ X[batch] / len(batch) + ridge * theta)
    return cp.LinearModel(theta[:-1], float(theta[-1]))
