"""Model-targeted poisoning of neural networks (MTP, Appendix F): follow the leader, usually over label-flipped images.

Without convexity there is no guarantee: no bound, no convergence. The choices that work in practice (Appendix F.2) are kept:
all trainings start from the same weights and use all rows in every step, and the poison is chosen from held-out images of the
target class with a wrong label. The appendix states once that "the candidate set consists of digit 7, and the assigned labels
are 1"; its goal (digits 1 classified as 7) and its rule (images of the target class with a wrong label) imply the reverse,
which is done here.
"""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from convexpoison._utils.files import read_npz, write_npz
from convexpoison._utils.types import FloatArray
from convexpoison.neural.poisoning.candidates import Candidates, CandidateSet, Choice, PixelBox, Rows
from convexpoison.neural.poisoning.model_targeted_result import ModelTargetedPoison
from convexpoison.neural.smoothing.inputs import check_count
from convexpoison.neural.training.fit import Recipe
from convexpoison.neural.training.full_batch import class_accuracy, describe, train_full_batch
from convexpoison.neural.training.networks import mlp
from convexpoison.neural.training.objectives import Standard
from convexpoison.neural.training.victim import NeuralVictim

TRACE = ("n_points", "max_loss_difference", "distance", "target_accuracy", "accuracy", "seconds")


MLP = NeuralVictim(partial(mlp, 2), Standard(), Recipe(100, optimizer="adam", learning_rate=1e-3, weight_decay=1e-2))
"""A perceptron of three layers for two classes. With strong weight decay, its training is a smoother function of the rows."""


def flipped(X: Any, y: Any, target_class: int, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of one class with another label: the candidates of the attack and of random flips.

    Raises
    ------
    ValueError
        If the labels are equal, or the class has no images.
    """
    X, y = np.asarray(X), np.asarray(y)
    rows = np.flatnonzero(y == target_class)
    if target_class == label or not rows.size:
        raise ValueError(
            f"candidates are images of class {target_class} with another label; got label {label} and {rows.size} such images"
        )
    return X[rows], np.full(rows.size, label, dtype=np.int64)


def random_flips(candidates: Rows, n_points: int, random_state: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``n_points`` candidates at random without replacement: the baseline of MTP's Appendix F.

    If ``n_points`` exceeds the number of candidates, all are repeated as often as possible, and the remainder is drawn.
    """
    X, y = (np.asarray(part) for part in candidates)
    rounds, rest = divmod(check_count("n_points", n_points, 0), len(y))
    drawn = np.random.default_rng(random_state).permutation(len(y))[:rest]
    rows = np.concatenate([np.tile(np.arange(len(y)), rounds), drawn])
    return X[rows], y[rows]


def retrained_accuracies(
    victim: NeuralVictim,
    data: Rows,
    poison: Rows,
    test: Rows,
    target_class: int,
    seeds: Iterable[int],
    *,
    device: str | torch.device | None = None,
) -> FloatArray:
    """Compute the accuracy on the target class for other initial weights than the attacker assumes (MTP, Figure 20).

    Parameters
    ----------
    victim : NeuralVictim
    data, poison, test : pairs (X, y)
    target_class : int
    seeds : iterable of int
        Seeds of the initial weights.
    device : optional

    Returns
    -------
    array of shape (n_seeds,)
    """
    X, y = _joined(data, poison)
    networks = (train_full_batch(victim, X, y, random_state=seed, device=device) for seed in seeds)
    return np.array([class_accuracy(network, *test, target_class) for network in networks])


def model_targeted(
    target: nn.Module,
    data: Rows,
    candidates: Rows | PixelBox,
    *,
    victim: NeuralVictim = MLP,
    max_points: int,
    copies: int = 1,
    eps: float = 0.0,
    test: Rows,
    target_class: int,
    random_state: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> ModelTargetedPoison:
    """Add the candidate with the largest loss difference to the target network and retrain, repeatedly.

    Parameters
    ----------
    target : Module
        Target network: usually trained from the same initial weights on data with random flips.
    data : pair (X, y)
        The clean training rows; images of shape (n, channels, height, width) in [0, 1].
    candidates : pair (X, y), or PixelBox
        Images with the (wrong) labels under which they may be added; see :func:`flipped`. A candidate may be chosen again.
        A :class:`~convexpoison.neural.PixelBox` allows every image and label; according to MTP (Figure 18), this raises the
        loss difference but does not mislead the network.
    victim : NeuralVictim
        Every step uses all rows; the batch size of the recipe is ignored.
    max_points : int
        Maximal number of poison images, copies counted.
    copies : int
        Copies of the chosen candidate per step: 1 or 10 in the paper.
    eps : float
        Tolerance: the attack stops when no loss difference exceeds it.
    test : pair (X, y)
        Test data for the accuracies in the trace; not used by the attack.
    target_class : int
    random_state : int
        Seed of the initial weights of every training: the victim's, as known to the attacker, and the target's.
    device : optional
    checkpoint : path, optional
        An npz file, written atomically after each step; if it exists, the attack resumes from it.
    progress : bool, optional
        Whether to show a progress bar; default: only on a terminal.

    Returns
    -------
    ModelTargetedPoison

    Raises
    ------
    ValueError
        If there are no candidates, a count is not positive, or the checkpoint belongs to another attack or has more points.
    """
    check_count("max_points", max_points), check_count("copies", copies)
    aim = copy.deepcopy(target).to(device).eval()
    source = candidates.search(data, aim) if isinstance(candidates, PixelBox) else CandidateSet(candidates, aim)
    train = partial(train_full_batch, victim, random_state=random_state, device=device)
    settings = {"victim": describe(victim, random_state), "copies": copies, "target_class": target_class}
    run = _Run(aim, data, source, train, test, settings)
    if checkpoint is not None:
        run.resume(Path(checkpoint), max_points)
    hidden = None if progress is None else not progress
    with tqdm(total=max_points, initial=run.n_points, desc="points", disable=hidden, file=sys.stderr) as bar:
        while not (reason := run.retrain(max_points, eps)):
            bar.update(run.add(max_points))
            bar.set_postfix(difference=f"{run.trace['max_loss_difference'][-1]:.4g}")
            if checkpoint is not None:
                run.save(Path(checkpoint))
    return run.finish(reason)


class _Run:
    """The state of one attack: the chosen images and the trace."""

    def __init__(
        self,
        target: nn.Module,
        data: Rows,
        candidates: Candidates,
        train: Callable[[Any, Any], nn.Module],
        test: Rows,
        settings: dict[str, Any],
    ) -> None:
        self.target, self.data, self.candidates, self.train = target, data, candidates, train
        self.test, self.settings = test, settings
        self.chosen, self.counts = list[Choice](), list[int]()
        self.trace: dict[str, list[float]] = {name: [] for name in TRACE}
        self.before_s, self.start = 0.0, perf_counter()
        self.network: nn.Module = target
        self._next: Choice | None = None

    @property
    def n_points(self) -> int:
        return sum(self.counts)

    @property
    def poison(self) -> Rows:
        points, labels = self._points()
        return np.repeat(points, self.counts, axis=0), np.repeat(labels, self.counts)

    def _points(self) -> Rows:
        """Return the chosen images and their labels, without copies."""
        points = [choice.point for choice in self.chosen] or np.empty((0, *np.shape(self.data[0])[1:]))
        return np.array(points, dtype=np.float32), np.array([choice.label for choice in self.chosen], dtype=np.int64)

    def retrain(self, max_points: int, eps: float) -> str:
        """Retrain, record the trace and find the next candidate; return the stop reason, or "" to continue."""
        self.network = self.train(*_joined(self.data, self.poison))
        self._next = self.candidates.best(self.network)
        difference = self._next.difference
        found = (
            self.n_points, difference, _distance(self.network, self.target),
            class_accuracy(self.network, *self.test, self.settings["target_class"]), class_accuracy(self.network, *self.test),
            self.before_s + perf_counter() - self.start,
        )  # fmt: skip
        for name, value in zip(TRACE, found, strict=True):
            self.trace[name].append(value)
        return "close" if difference <= eps else "budget" if self.n_points >= max_points else ""

    def add(self, max_points: int) -> int:
        """Add the candidate found by :meth:`retrain`, and return its number of copies within the budget."""
        assert self._next is not None
        self.chosen.append(self._next)
        self.counts.append(min(self.settings["copies"], max_points - self.n_points))
        return self.counts[-1]

    def finish(self, reason: str) -> ModelTargetedPoison:
        trace = {name: np.array(values) for name, values in self.trace.items()}
        counts = np.array(self.counts, dtype=np.int64)
        return ModelTargetedPoison(*self._points(), self._places(), counts, trace, reason, self.settings, self.network)

    def _places(self) -> np.ndarray:
        return np.array([choice.place for choice in self.chosen], dtype=np.intp)

    def save(self, path: Path) -> None:
        """Write the choices and the trace, for :meth:`resume`."""
        arrays = {f"trace_{name}": np.array(values) for name, values in self.trace.items()}
        arrays |= dict(zip(("points", "labels"), self._points(), strict=True))
        words = np.array(json.dumps({"identity": self._identity}))
        write_npz(path, arrays | {"chosen": self._places(), "counts": np.array(self.counts), "meta": words})

    def resume(self, path: Path, max_points: int) -> None:
        if not path.exists():
            return
        kept = read_npz(path)
        if "meta" not in kept or json.loads(str(kept["meta"]))["identity"] != self._identity:
            raise ValueError(
                f"{path} belongs to another attack; choose another file, or delete it to start a new attack"
            )
        if (done := int(kept["counts"].sum())) > max_points:
            raise ValueError(f"{path} has {done} points, more than max_points={max_points}; increase max_points")
        parts = zip(kept["points"], kept["labels"].tolist(), kept["chosen"].tolist(), strict=True)
        differences = kept["trace_max_loss_difference"].tolist()
        self.chosen = [Choice(x, y, k, d) for (x, y, k), d in zip(parts, differences, strict=False)]
        self.counts = kept["counts"].tolist()
        self.trace = {name: kept[f"trace_{name}"].tolist() for name in TRACE}
        self.before_s = self.trace["seconds"][-1]

    @cached_property
    def _identity(self) -> str:
        """Digest of the inputs on which the choices and the trace depend."""
        digest = hashlib.sha256(json.dumps(self.settings).encode())
        parts = (
            *self.data,
            *self.candidates.content(),
            *self.test,
            *(p.detach().cpu() for p in self.target.parameters()),
        )
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def _joined(data: Rows, poison: Rows) -> tuple[np.ndarray, np.ndarray]:
    X = np.concatenate([np.asarray(data[0], dtype=np.float32), np.asarray(poison[0], dtype=np.float32)])
    return X, np.concatenate([np.asarray(data[1], dtype=np.int64), np.asarray(poison[1], dtype=np.int64)])


def _distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    with torch.no_grad():
        return float(torch.sqrt(sum(((a.double() - b.double()) ** 2).sum() for a, b in pairs)))  # type: ignore[arg-type]
