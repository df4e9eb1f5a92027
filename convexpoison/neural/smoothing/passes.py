"""Passes of many batches through a network; on a CPU, several batches run concurrently.

Threads that share a batch synchronise after each layer, and wait for the noise, which comes from one random stream.
Threads with one batch each do not wait, so concurrent batches make better use of the processor.
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
"""Images of shape (n_rows, ...) and accompanying values of shape (n_rows,)."""
T = TypeVar("T")


def run(
    forward: Forward, batches: Iterator[Batch], n_batches: int,
    use: Callable[[torch.Tensor, torch.Tensor], T], then: Callable[[T], None],
) -> None:  # fmt: skip
    """Call ``then(use(outputs, rest))`` for each batch, in order.

    On a CPU, ``torch.get_num_threads()`` batches run concurrently, each on one thread, if there are at least that many.
    ``batches`` is advanced and ``then`` called by one thread at a time, in order, so that random numbers and the order of
    summation do not depend on the number of threads.

    Parameters
    ----------
    forward : Forward
        Opened, without gradients.
    batches : iterator of Batch
    n_batches : int
        Approximate number of batches.
    use : callable
        May run in several threads concurrently. A batch halved because memory ran out is passed in parts.
    then : callable
    """
    threads = torch.get_num_threads() if forward.device.type == "cpu" else 1
    models = _models(forward.model, threads) if n_batches >= threads > 1 else [forward.model]
    queue = _OrderedQueue(batches, then)

    def work(model: nn.Module) -> None:
        try:
            with torch.inference_mode():
                while (taken := queue.take()) is not None:
                    number, batch = taken
                    queue.give(number, _parts(forward, model, batch, use))
        finally:
            queue.closed = True  # exhausted or failed: the other threads can stop

    if len(models) == 1:
        work(forward.model)
        return
    with _one_thread_each(), ThreadPoolExecutor(threads) as pool:
        workers = [pool.submit(work, model) for model in models]
        try:
            for worker in workers:
                worker.result()
        finally:
            queue.closed = True


class _OrderedQueue(Generic[T]):
    """Hands batches to threads one at a time, and passes their results on in the order of the batches."""

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
    """Return ``use(outputs, rest)`` of a batch, in slices if memory runs out."""
    images, rest = batch
    parts, start = list[T](), 0
    while start < len(images):
        outputs = forward.halving(lambda size, start=start: model(images[start : start + size]))  # type: ignore[misc]
        parts.append(use(outputs, rest[start : start + len(outputs)]))
        start += len(outputs)
    return parts


def _models(model: nn.Module, count: int) -> list[nn.Module]:
    """Return the module and ``count - 1`` copies that share its weights, since modules may keep state between layers.

    If the module cannot be copied, it is returned alone.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    try:
        return [model, *(copy.deepcopy(model, dict(shared)) for _ in range(count - 1))]
    except Exception:  # a user's module may raise anything when copied
        return [model]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # new threads inherit this
    try:
        yield
    finally:
        torch.set_num_threads(before)
