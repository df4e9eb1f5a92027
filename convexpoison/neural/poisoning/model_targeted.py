"""Model-targeted poisoning of neural networks (MTP, Appendix F): follow the leader, usually over label-flipped images.

Without convexity nothing is promised: no bound, no convergence. What makes it work in practice (Appendix F.2) is kept: all
trainings start from the same weights and use all rows in every step, and the poison is chosen from held-out images of the
target class with a wrong label. The appendix says in passing that "the candidate set consists of digit 7, and the assigned labels
are 1"; its aim (digits 1 taken for 7) and its rule (images of the target class with a wrong label) say the reverse, done here.
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
"""A perceptron of three layers for two classes. Strong weight decay makes its training a smoother function of the rows."""


def flipped(X: Any, y: Any, target_class: int, label: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of one class with another label: the candidates of the attack, and the pool of random flips.

    Raises
    ------
    ValueError
        If the labels are the same, or there is no image of the class.
    """
    X, y = np.asarray(X), np.asarray(y)
    rows = np.flatnonzero(y == target_class)
    if target_class == label or not rows.size:
        raise ValueError(
            f"candidates are images of class {target_class} with another label; got label {label} and {rows.size} such images"
        )
    return X[rows], np.full(rows.size, label, dtype=np.int64)


def random_flips(candidates: Rows, n_points: int, random_state: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """That many of the candidates, drawn at random without replacement: the baseline of MTP's Appendix F.

    Where more are asked for than there are, all are taken as often as they fit, and the rest is drawn.
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
    """Accuracy on the target class of victims that begin with other weights than the attacker supposed (MTP, Figure 20).

    Parameters
    ----------
    victim : NeuralVictim
    data, poison, test : pairs (X, y)
    target_class : int
    seeds : iterable of int
        One initialisation each.
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
    """Add the candidate on which the current network's loss exceeds the target network's most; train anew; repeat.

    Parameters
    ----------
    target : Module
        What the victim shall learn: usually trained from the same initial weights on data with random flips.
    data : pair (X, y)
        The clean training rows; images of shape (n, channels, height, width) in [0, 1].
    candidates : pair (X, y), or PixelBox
        Images with the (wrong) labels under which they may be added; see :func:`flipped`. A candidate may be chosen again.
        A :class:`~convexpoison.neural.PixelBox` leaves image and label free, which by MTP's account (its
        Figure 18) fools the loss and not the network.
    victim : NeuralVictim
        All rows are in every step, whatever the batch size of its recipe.
    max_points : int
        Copies counted.
    copies : int
        Of the chosen candidate, at every step: 1 or 10 in the paper.
    eps : float
        The attack ends when no candidate's loss differs by more.
    test : pair (X, y)
        For the accuracies of the trace; the attack does not use it.
    target_class : int
    random_state : int
        Decides the initial weights of every training: those of the victim, and of the target, as far as they are known.
    device : optional
    checkpoint : path, optional
        An npz file that is written whole after each step; where it exists already, the attack goes on from it.
    progress : bool, optional
        Progress bar; on a terminal only, where not given.

    Returns
    -------
    ModelTargetedPoison

    Raises
    ------
    ValueError
        If there are no candidates, a count is not positive, or the checkpoint is of another attack or holds more points.
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
        while not (reason := run.look(max_points, eps)):
            bar.update(run.add(max_points))
            bar.set_postfix(difference=f"{run.trace['max_loss_difference'][-1]:.4g}")
            if checkpoint is not None:
                run.keep(Path(checkpoint))
    return run.finish(reason)


class _Run:
    """The state of one attack: what was chosen, and what was seen on the way."""

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
        """Each chosen image once."""
        points = [choice.point for choice in self.chosen] or np.empty((0, *np.shape(self.data[0])[1:]))
        return np.array(points, dtype=np.float32), np.array([choice.label for choice in self.chosen], dtype=np.int64)

    def look(self, max_points: int, eps: float) -> str:
        """Train on what there is, note how it went, find the next candidate; why to stop, or nothing."""
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
        """The candidate that :meth:`look` found; how many copies the budget left."""
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

    def keep(self, path: Path) -> None:
        """Choices and trace."""
        arrays = {f"trace_{name}": np.array(values) for name, values in self.trace.items()}
        arrays |= dict(zip(("points", "labels"), self._points(), strict=True))
        words = np.array(json.dumps({"identity": self._identity}))
        write_npz(path, arrays | {"chosen": self._places(), "counts": np.array(self.counts), "meta": words})

    def resume(self, path: Path, max_points: int) -> None:
        if not path.exists():
            return
        kept = read_npz(path)
        if "meta" not in kept or json.loads(str(kept["meta"]))["identity"] != self._identity:
            raise ValueError(f"{path} is of another attack; choose another file, or remove it to begin anew")
        if (done := int(kept["counts"].sum())) > max_points:
            raise ValueError(f"{path} holds {done} points already, more than max_points={max_points}; raise it")
        parts = zip(kept["points"], kept["labels"].tolist(), kept["chosen"].tolist(), strict=True)
        differences = kept["trace_max_loss_difference"].tolist()
        self.chosen = [Choice(x, y, k, d) for (x, y, k), d in zip(parts, differences, strict=False)]
        self.counts = kept["counts"].tolist()
        self.trace = {name: kept[f"trace_{name}"].tolist() for name in TRACE}
        self.before_s = self.trace["seconds"][-1]

    @cached_property
    def _identity(self) -> str:
        """What the choices and the trace depend on."""
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
