"""The effect of poison on training: networks trained from scratch, certified, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convexpoison._utils.types import FloatArray
from convexpoison.display.curves import plot_values
from convexpoison.display.shown import Facts, Shown, frame_of
from convexpoison.neural.evaluation.distortion import pgd_distortion
from convexpoison.neural.evaluation.evaluate import evaluate
from convexpoison.neural.poisoning.result import PoisonResult
from convexpoison.neural.smoothing.classifier import SmoothedClassifier
from convexpoison.neural.training.victim import NeuralVictim


@dataclass(frozen=True, eq=False)
class Retraining(Shown):
    """Networks trained from scratch, one per seed, evaluated on test images of the target class.

    Attributes
    ----------
    acr : float array of shape (n_seeds,)
        Average certified radius.
    aca : float array of shape (n_seeds,)
        Approximate certified accuracy: fraction of images certified correctly with a positive radius.
    accuracy : float array of shape (n_seeds,)
        Accuracy of the base network on all test images.
    distortion : float array of shape (n_seeds,)
        Mean l2 distortion of successful attacks (PACD, Table 5); NaN if not computed.
    n_images : int
        Number of test images of the target class.
    sigma : float
    seeds : int array of shape (n_seeds,)
    """

    acr: FloatArray
    aca: FloatArray
    accuracy: FloatArray
    distortion: FloatArray
    n_images: int
    sigma: float
    seeds: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per seed."""
        names = ("seeds", "acr", "aca", "accuracy", "distortion")
        return frame_of({name.removesuffix("s"): getattr(self, name) for name in names}, "Retraining.to_frame")

    def facts(self) -> Facts:
        """Return means and standard deviations over the seeds."""
        measures = {"average certified radius": self.acr, "approximate certified accuracy": self.aca}
        measures |= {"accuracy of the network": self.accuracy, "mean distortion of attacks": self.distortion}
        means = {name: _spread(values) for name, values in measures.items() if np.isfinite(values).all()}
        return {"networks": len(self.acr), "test images of the class": self.n_images, "sigma": self.sigma, **means}

    def plot(self, ax: Any = None) -> Any:
        """Plot the values of every network, and their means."""
        measures = {"certified radius": self.acr, "certified accuracy": self.aca, "accuracy": self.accuracy}
        return plot_values(measures, ax, title=f"{len(self.acr)} networks, {self.n_images} images of the class")

    def __str__(self) -> str:
        return f"ACR {_spread(self.acr)}, ACA {_spread(100.0 * self.aca)} % ({len(self.acr)} seeds, {self.n_images} images)"


def retrain(
    victim: NeuralVictim,
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    target: int,
    *,
    n_seeds: int = 5,
    sigma: float | None = None,
    n_test: int | None = 500,
    n0: int = 100,
    n: int = 100_000,
    alpha: float = 0.001,
    distortion: npt.ArrayLike | None = None,
    random_state: int = 0,
    device: str | torch.device | None = None,
) -> Retraining:
    """Train from scratch with several seeds, and certify the target class.

    Parameters
    ----------
    victim : NeuralVictim
    train, test : pair (X, y)
        ``train`` may be :meth:`PoisonResult.poisoned` or :meth:`PoisonResult.clean`.
    target : int
        The evaluated class.
    n_seeds : int
        Number of networks, with seeds ``random_state``, ``random_state + 1``, ...
    sigma : float, optional
        Noise level of certification; default: that of the victim's objective.
    n_test : int or None
        Number of test images of the class, drawn at random, the same for all seeds; None: all. PACD uses 500.
    n0, n, alpha
        As in :meth:`SmoothedClassifier.certify`.
    distortion : array, optional
        l2 budgets of :func:`pgd_distortion`; default: the mean distortion is not computed.
    random_state : int
    device : optional

    Raises
    ------
    ValueError
        If there is no test image of the class, no noise, or fewer than one seed.
    """
    sigma = victim.objective.sigma if sigma is None else sigma
    if not sigma > 0:
        raise ValueError("the victim trains without noise: pass sigma=, the noise level of certification")
    if n_seeds < 1:
        raise ValueError(f"n_seeds must be at least 1; got {n_seeds}")
    X_test, y_test = np.asarray(test[0], dtype=np.float32), np.asarray(test[1])
    own = np.flatnonzero(y_test == target)
    if not own.size:
        raise ValueError(f"class {target} has no test images; the classes are {np.unique(y_test).tolist()}")
    own = np.sort(np.random.default_rng(random_state).permutation(own)[:n_test])
    seeds = np.arange(random_state, random_state + n_seeds)
    rows = []
    for seed in seeds.tolist():
        network = victim.fit(*train, random_state=seed, device=device).network
        smoothed = SmoothedClassifier(network, sigma, random_state=seed)
        found = evaluate(smoothed, X_test[own], y_test[own], n0=n0, n=n, alpha=alpha, chunk=10, progress=False)
        away = np.nan if distortion is None else pgd_distortion(smoothed, X_test[own], y_test[own], distortion).mean
        aca = float((found.correct & (found.radius > 0.0)).mean())
        rows.append((found.acr, aca, _accuracy(network, X_test, y_test), away))
    acr, aca_, accuracy, away_ = np.array(rows, dtype=np.float64).T
    return Retraining(acr, aca_, accuracy, away_, len(own), float(sigma), seeds)


def transfer(
    poisons: Mapping[str, PoisonResult | None],
    victims: Mapping[str, NeuralVictim],
    data: tuple[Any, Any],
    test: tuple[Any, Any],
    target: int,
    **options: Any,
) -> dict[tuple[str, str], Retraining]:
    """Evaluate each poison with each victim, including other objectives and networks (PACD, Figs. 4 and 7).

    Parameters
    ----------
    poisons : dict of name to PoisonResult
        None denotes the clean training set, with the same images held out as for the first poison.
    victims : dict of name to NeuralVictim
    data : pair (X, y)
        The data that were attacked.
    test, target, **options
        As in :func:`retrain`.

    Returns
    -------
    dict of (poison, victim) to Retraining

    Raises
    ------
    ValueError
        If all values of ``poisons`` are None.
    """
    first = next((p for p in poisons.values() if p is not None), None)
    if first is None:
        raise ValueError("pass at least one PoisonResult; None denotes clean data")
    found = {}
    for name, poison in poisons.items():
        train = first.clean(*data) if poison is None else poison.poisoned(*data)
        for other, victim in victims.items():
            found[name, other] = retrain(victim, train, test, target, **options)
    return found


def _accuracy(network: torch.nn.Module, X: np.ndarray, y: np.ndarray) -> float:
    """Compute the accuracy of the base network, in evaluation mode."""
    where = next(network.parameters()).device
    right = 0
    with torch.no_grad():
        for rows in np.array_split(np.arange(len(y)), max(1, len(y) // 500)):
            right += int((network(torch.from_numpy(X[rows]).to(where)).argmax(1).cpu().numpy() == y[rows]).sum())
    return right / len(y)


def _spread(values: FloatArray) -> str:
    return f"{values.mean():.3f} ± {values.std():.3f}"
