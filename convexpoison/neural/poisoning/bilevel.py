"""Poison by bilevel optimisation (PACD, Algorithm 1), to lower the certified radius of networks trained on it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from convexpoison.neural.poisoning.bilevel_settings import BilevelSettings
from convexpoison.neural.poisoning.hypergradients import Hypergradient, approx_grad, loss_of, reverse_mode
from convexpoison.neural.poisoning.image_ball import ImageBall
from convexpoison.neural.training.checkpoint import load_checkpoint, save_checkpoint
from convexpoison.neural.training.objectives import Batch, Memory, Objective
from convexpoison.neural.training.seeding import seeded
from convexpoison.neural.training.victim import NeuralVictim

SAVE_EVERY_S = 60.0
"""Minimal time between two checkpoints; one more is written at the end."""
_JUDGED_ROWS = 2_000
"""Noisy images per forward pass in the evaluation of the poison."""
_ADAM = (0.9, 0.999, 1e-12)
"""Decay rates and epsilon. The latter is smaller than torch's 1e-8, since derivatives in a pixel are often below that."""


@dataclass(frozen=True, eq=False)
class PoisonTask:
    """Data and objective of an attack, as tensors on one device.

    Attributes
    ----------
    X, y : tensors
        The victim's training set.
    rows : long tensor of shape (n_poison,)
        Rows of the training set that may be changed.
    ball : ImageBall
        The balls around these rows.
    X_judged, y_judged : tensors
        Validation images on which the attack is evaluated; none is in the training set.
    upper : Objective
        The upper-level objective, to be minimised.
    """

    X: Tensor
    y: Tensor
    rows: Tensor
    ball: ImageBall
    X_judged: Tensor
    y_judged: Tensor
    upper: Objective


class BilevelRun:
    """The state of an attack between outer steps.

    All randomness of a step derives from the seed and the index of the step, so that an interrupted and resumed run gives
    (on CPU) the same poison as an uninterrupted one.

    Parameters
    ----------
    task : PoisonTask
    victim : NeuralVictim
    settings : BilevelSettings
    random_state : int
    """

    def __init__(self, task: PoisonTask, victim: NeuralVictim, settings: BilevelSettings, random_state: int) -> None:
        self.task, self.victim, self.settings, self.random_state = task, victim, settings, random_state
        self.device = task.X.device
        mask = torch.ones(len(task.X), dtype=torch.bool, device=self.device)
        mask[task.rows] = False
        self.clean_rows = mask.nonzero()[:, 0]
        self.n_poison = min(settings.batch_poison, len(task.rows))
        self.n_clean = min(settings.batch_size - self.n_poison, len(self.clean_rows))
        once = max(-(-len(self.clean_rows) // max(1, self.n_clean)), -(-len(task.rows) // self.n_poison))
        self.steps_per_epoch = settings.steps_per_epoch or once
        self.cycle = settings.reinitialize_every * self.steps_per_epoch
        self.n_steps = settings.epochs * self.steps_per_epoch
        self.memory: Memory = {
            "poison": task.ball.base.clone(),
            "trace": torch.empty(0, 3, dtype=torch.float64),
            "judged": torch.empty(0, 2, dtype=torch.float64),
        }
        self._begin(0)

    @property
    def done(self) -> int:
        """Outer steps taken."""
        return len(self.memory["trace"])

    @property
    def best(self) -> Tensor:
        """The poison with the best evaluation; the current one before the first evaluation."""
        return self.memory.get("best", self.memory["poison"])

    def step(self) -> None:
        """Take one outer step: train, compute the hypergradient, move a batch of poison within its balls."""
        number = self.done
        if number % self.cycle == 0:
            self._begin(number // self.cycle)
        with _seeded(self._seed(1, number), self.device) as generator:
            if number % self.cycle == 0:
                for ahead in range(self.settings.warm_up):
                    self._train(number + ahead, generator)
            found, lower = self._derive(number, generator)
        self._move(self._rows(number)[1], found.gradient)
        entry = torch.tensor([[found.value, lower, found.residual]], dtype=torch.float64)
        self.memory["trace"] = torch.cat([self.memory["trace"].cpu(), entry])
        if self.done % self.cycle == 0:
            self._judge()

    # -------------------------------------------------------------------- lower level

    def _begin(self, cycle: int) -> None:
        """Start a cycle: initialise the network and reset all moments of Adam."""
        recipe, settings = self.victim.recipe, self.settings
        self.network = self.victim.build(self._seed(2, cycle)).to(self.device).train()
        if settings.lower_optimizer == "adam":
            self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
                self.network.parameters(), lr=settings.lower_rate, weight_decay=recipe.weight_decay
            )
        else:
            self.optimizer = torch.optim.SGD(
                self.network.parameters(), lr=settings.lower_rate, weight_decay=recipe.weight_decay
            )
        kept = {name: self.memory[name] for name in ("poison", "trace", "judged", "best") if name in self.memory}
        zeros = torch.zeros_like(self.memory["poison"])
        counts = torch.zeros(len(zeros), device=self.device)
        own = {f"objective.{k}": v for k, v in self._start_objective().items()}
        self.memory = kept | {"mean": zeros, "square": zeros.clone(), "count": counts} | own

    def _start_objective(self) -> Memory:
        return self.victim.objective.start(len(self.task.X), self.device)

    def _batch(self, number: int, poison: Tensor, generator: torch.Generator) -> Batch:
        """Return the mini-batch of clean images and ``poison``, augmented as in the victim's training."""
        clean, changed = self._rows(number)
        rows = torch.cat([clean, self.task.rows[changed]])
        X = torch.cat([self.task.X[clean], poison])
        if self.victim.recipe.augment is not None:
            X = self.victim.recipe.augment(X, generator)
        return Batch(X, self.task.y[rows], rows, number % self.cycle // self.steps_per_epoch, generator)

    def _train(self, number: int, generator: torch.Generator) -> float:
        """Take one step of the victim's training on the current poison, and return the loss."""
        batch = self._batch(number, self.memory["poison"][self._rows(number)[1]], generator)
        loss = self.victim.objective.loss(self.network, batch, self._objective_memory())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def _derive(self, number: int, generator: torch.Generator) -> tuple[Hypergradient, float]:
        """Take the lower-level steps; return the hypergradient after them and the last training loss."""
        settings, poison = self.settings, self.memory["poison"][self._rows(number)[1]]

        def make_batch(images: Tensor) -> Batch:
            return self._batch(number, images, generator)

        lower = loss_of(self.network, self.victim.objective, make_batch, self._objective_memory())
        upper = loss_of(self.network, self.task.upper, lambda _: self._validation(number, generator))

        if settings.hypergradient == "reverse":
            values: list[float] = []

            def watched(parameters: tuple[Tensor, ...], images: Tensor) -> Tensor:
                value = lower(parameters, images)
                values.append(float(value.detach()))
                return value

            start = tuple(self.network.parameters())
            found, after = reverse_mode(upper, [watched] * settings.lower_steps, start, poison, settings.lower_rate)
            with torch.no_grad():
                for p, new in zip(start, after, strict=True):
                    p.copy_(new)
            return found, values[-1]
        trained = [self._train(number, generator) for _ in range(settings.lower_steps)]
        state = {k.removeprefix("system."): v for k, v in self.memory.items() if k.startswith("system.")}
        found = approx_grad(
            upper, lower, tuple(self.network.parameters()), poison, solver=settings.hypergradient,
            steps=settings.system_steps, learning_rate=settings.system_rate,
            damping=settings.damping + self.victim.recipe.weight_decay, state=state,
        )  # fmt: skip
        self.memory |= {f"system.{k}": v for k, v in found.state.items()}
        return found, trained[-1]

    def _validation(self, number: int, generator: torch.Generator) -> Batch:
        """Return a batch of validation images of the target, or all if there are fewer."""
        n = min(self.settings.batch_validation, len(self.task.y_judged))
        rows = self._part(4, len(self.task.y_judged), n, number)
        return Batch(self.task.X_judged[rows], self.task.y_judged[rows], rows, 0, generator)

    def _objective_memory(self) -> Memory:
        """Return the objective's tensors under its own names; the objective changes them in place."""
        return {k.removeprefix("objective."): v for k, v in self.memory.items() if k.startswith("objective.")}

    # -------------------------------------------------------------------- upper level

    def _move(self, changed: Tensor, slope: Tensor) -> None:
        """Take one projected step of a batch of poison, or the same step for all poison images."""
        memory, rate = self.memory, self.settings.poison_rate
        if self.settings.shared:
            changed = torch.arange(len(self.task.rows), device=self.device)
            slope = slope.mean(0, keepdim=True).expand(len(changed), *slope.shape[1:])
        if self.settings.poison_optimizer == "adam":
            first, second, tiny = _ADAM
            memory["count"][changed] += 1
            memory["mean"][changed] = first * memory["mean"][changed] + (1.0 - first) * slope
            memory["square"][changed] = second * memory["square"][changed] + (1.0 - second) * slope**2
            count = memory["count"][changed].view(-1, *[1] * (slope.dim() - 1))
            size = (memory["square"][changed] / (1.0 - second**count)).sqrt() + tiny
            slope = memory["mean"][changed] / (1.0 - first**count) / size
        memory["poison"][changed] = self.task.ball.of(changed).project(memory["poison"][changed] - rate * slope)

    def _judge(self) -> None:
        """Evaluate the network on the validation images, and store the poison if the upper objective is the least so far."""
        draws = getattr(self.task.upper, "k", 1)
        generator = torch.Generator(self.device).manual_seed(self._seed(5, 0))
        total = 0.0
        with torch.no_grad():
            everything = torch.arange(len(self.task.y_judged), device=self.device)
            for rows in torch.split(everything, max(1, _JUDGED_ROWS // draws)):
                batch = Batch(self.task.X_judged[rows], self.task.y_judged[rows], rows, 0, generator)
                total += float(self.task.upper.loss(self.network, batch, {})) * len(rows)
        value, before = total / len(self.task.y_judged), self.memory["judged"].cpu()
        if not len(before) or value < float(before[:, 1].min()):
            self.memory["best"] = self.memory["poison"].clone()
        entry = torch.tensor([[float(self.done), value]], dtype=torch.float64)
        self.memory["judged"] = torch.cat([before, entry])

    # -------------------------------------------------------------------- seeds and files

    def _rows(self, number: int) -> tuple[Tensor, Tensor]:
        """Return a step's clean rows of the training set and its positions in the poison."""
        clean = self.clean_rows[self._part(3, len(self.clean_rows), self.n_clean, number)]
        return clean, self._part(6, len(self.task.rows), self.n_poison, number)

    def _part(self, purpose: int, total: int, n: int, number: int) -> Tensor:
        """Return ``n`` of ``total`` indices: a step's consecutive share of a permutation drawn for its epoch."""
        epoch, within = divmod(number, self.steps_per_epoch)
        order = np.random.default_rng([self.random_state, purpose, epoch]).permutation(total)
        return torch.from_numpy(np.take(order, np.arange(within * n, (within + 1) * n), mode="wrap")).to(self.device)

    def _seed(self, purpose: int, number: int) -> int:
        return int(np.random.SeedSequence([self.random_state, purpose, number]).generate_state(1)[0])

    def save(self, path: Path, identity: str) -> None:
        """Write the state of the run, for :meth:`load`."""
        save_checkpoint(path, self.network, self.optimizer, self.memory, [], identity)

    def load(self, path: Path, identity: str) -> None:
        """Restore the state from a file written by :meth:`save`."""
        load_checkpoint(path, self.network, self.optimizer, self.memory, identity)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """Yield a generator for noise; seed the global one (dropout) likewise, and restore it afterwards."""
    with seeded(seed, device):
        yield torch.Generator(device).manual_seed(seed)


def drive(
    run: BilevelRun, checkpoint: Path | None, identity: str, time_limit_s: float | None, progress: bool | None,
    callback: Callable[[BilevelRun], None] | None = None,
) -> str:  # fmt: skip
    """Run outer steps until the last one, the time limit or Ctrl-C, and return the stop reason."""
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint, identity)
    start = saved = perf_counter()
    reason = "done"
    shown = None if progress is None else not progress
    try:
        with tqdm(total=run.n_steps, initial=run.done, desc="outer steps", disable=shown, file=sys.stderr) as bar:
            while run.done < run.n_steps:
                if time_limit_s is not None and perf_counter() - start > time_limit_s:
                    reason = "time limit"
                    break
                run.step()
                bar.update()
                bar.set_postfix(upper=f"{float(run.memory['trace'][-1, 0]):.4g}")
                if callback is not None:
                    callback(run)
                if checkpoint is not None and perf_counter() - saved > SAVE_EVERY_S:
                    run.save(checkpoint, identity)
                    saved = perf_counter()
    except KeyboardInterrupt:
        # The interrupted step may have changed the network: the file on disk is consistent, the state in memory may not be.
        return "interrupted"
    if checkpoint is not None:
        run.save(checkpoint, identity)
    return reason
