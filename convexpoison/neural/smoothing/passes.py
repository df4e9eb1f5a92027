"""Many batches through a network, on a CPU several at a time.

Threads that share a batch wait for each other after each layer, and all of them for the noise, which comes from one random
stream. Threads that have a batch each do not wait; so the more batches there are, the more of a processor they get.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

import torch
from torch import nn

from convexpoison.neural.smoothing.forward import Forward

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images of shape (n_rows, ...), and something of shape (n_rows,) that goes with them."""
T = TypeVar("T")


def run(
    forward: Forward, batches: Iterator[Batch], n_batches: int,
    use: Callable[[torch.Tensor, torch.Tensor], T], then: Callable[[T], None],
) -> None:  # fmt: skip
    """``then(use(outputs, rest))`` for each batch, in order.

    On a CPU as many batches are under way as torch has threads (``torch.set_num_threads``), if there are so many; each then
    runs on one thread. ``batches`` is advanced and ``then`` called by one thread at a time, in order: so the random numbers
    and the order of sums do not depend on how many threads there are.

    Parameters
    ----------
    forward : Forward
        Opened, without gradients.
    batches : iterator of Batch
    n_batches : int
        About how many.
    use : callable
        May run in several threads at a time. A batch that was halved for want of memory comes in parts.
    then : callable
    """
    threads = torch.get_num_threads() if forward.device.type == "cpu" else 1
    models = _models(forward.model, threads) if n_batches >= threads > 1 else [forward.model]
    line = _Line(batches, then)

    def work(model: nn.Module) -> None:
        try:
            with torch.inference_mode():
                while (taken := line.take()) is not None:
                    number, batch = taken
                    line.give(number, _parts(forward, model, batch, use))
        finally:
            line.closed = True  # nothing is left, or something went wrong: the others need not go on

    if len(models) == 1:
        work(forward.model)
        return
    with _one_thread_each(), ThreadPoolExecutor(threads) as pool:
        workers = [pool.submit(work, model) for model in models]
        try:
            for worker in workers:
                worker.result()
        finally:
            line.closed = True


class _Line(Generic[T]):
    """Where threads take batches, one after the other, and give back what came of them, which goes on in the same order."""

    def __init__(self, batches: Iterator[Batch], then: Callable[[T], None]) -> None:
        self.batches, self.then = enumerate(batches), then
        self.taking, self.giving = Lock(), Lock()
        self.given = dict[int, list[T]]()
        self.next, self.closed = 0, False

    def take(self) -> tuple[int, Batch] | None:
        with self.taking:
            return None if self.closed else next(self.batches, None)

    def give(self, number: int, parts: list[T]) -> None:
        with self.giving:
            self.given[number] = parts
            while self.next in self.given:
                for part in self.given.pop(self.next):
                    self.then(part)
                self.next += 1


def _parts(forward: Forward, model: nn.Module, batch: Batch, use: Callable[[torch.Tensor, torch.Tensor], T]) -> list[T]:
    """``use(outputs, rest)`` of a batch, in slices where memory runs out."""
    images, rest = batch
    parts, start = list[T](), 0
    while start < len(images):
        outputs = forward.halving(lambda size, start=start: model(images[start : start + size]))  # type: ignore[misc]
        parts.append(use(outputs, rest[start : start + len(outputs)]))
        start += len(outputs)
    return parts


def _models(model: nn.Module, count: int) -> list[nn.Module]:
    """The module, and copies of it with the same weights, for a module may keep something of its own between its layers.

    Alone where it cannot be copied.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    try:
        return [model, *(copy.deepcopy(model, dict(shared)) for _ in range(count - 1))]
    except Exception:  # what a module of the user's own raises when it is copied, nobody knows
        return [model]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # new threads take it over
    try:
        yield
    finally:
        torch.set_num_threads(before)
