"""Draws of a network's votes under noise, seeded per image, with many images and draws in one batch.

Each image has a separate random stream for each purpose, seeded by (seed, purpose, image content), and takes its draws from
it in blocks of fixed length. So the noise of an image does not depend on its position, its batch or the batch size, and the
draws that select a class are independent of those that certify it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convexpoison.neural.smoothing.forward import Forward, soft_votes
from convexpoison.neural.smoothing.noise import Noise
from convexpoison.neural.smoothing.passes import Batch, run


def seed_bytes(random_state: int | np.random.Generator | None) -> bytes:
    """Return the key of all streams of a classifier."""
    if isinstance(random_state, np.random.Generator):
        return random_state.bytes(16)
    return np.random.SeedSequence(random_state).generate_state(4).tobytes()


def stream_seed(seed: bytes, purpose: str, image: torch.Tensor) -> int:
    """Return the seed of an image's stream for one purpose: 63 bits of a hash, equal on every machine."""
    content = np.ascontiguousarray(image.detach().cpu().to(torch.float64).numpy()).tobytes()
    digest = hashlib.blake2b(content, key=seed, digest_size=8, person=purpose.encode()).digest()
    return int.from_bytes(digest, "little") >> 1


class Stream:
    """Infinite sequence of noisy copies of one image."""

    def __init__(self, row: torch.Tensor, sigma: float, noise: Noise, seed: int) -> None:
        self.row, self.sigma, self.noise = row, sigma, noise
        self.generator = torch.Generator(row.device).manual_seed(seed)

    def fill(self, rows: torch.Tensor) -> None:
        """Overwrite rows with the next noisy copies."""
        self.noise.fill(rows, self.sigma, self.generator)
        rows.add_(self.row)


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over the draws of each image.

    Attributes
    ----------
    n : int array of shape (n_images,)
    total : float array of shape (n_images, n_classes)
        Votes; for soft votes, the sum of the probabilities.
    squares : float array of the same shape
        Sum of the squares.
    """

    n: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    def top(self) -> np.ndarray:
        """Return the class with the most votes of each image."""
        return np.asarray(self.total.argmax(axis=1))

    def plus(self, other: Tally, where: np.ndarray) -> Tally:
        """Return a tally with the draws of ``other`` added to the images ``where``."""
        n, total, squares = self.n.copy(), self.total.copy(), self.squares.copy()
        n[where] += other.n
        total[where] += other.total
        squares[where] += other.squares
        return Tally(n, total, squares)


def tally(
    forward: Forward, stream_of: Callable[[int], Stream], sizes: Sequence[int], shape: tuple[int, ...], n_classes: int,
    beta: float | None,
) -> Tally:  # fmt: skip
    """Draw ``sizes[i]`` votes for image i.

    Parameters
    ----------
    forward : Forward
        Opened.
    stream_of : callable
        Returns the stream of image i; called once per image, in order, so that few streams exist at a time.
    sizes : sequence of int
    shape : tuple of int
        Shape of one image.
    n_classes : int
    beta : float or None
        Inverse temperature of soft votes; None: hard votes.

    Raises
    ------
    ValueError
        If the network returns NaN, another number of classes, or outputs that are not the declared probabilities.
    """
    votes = _Votes(forward.outputs, beta, torch.zeros(len(sizes), n_classes, device=forward.device))
    capacity = max(forward.batch_size, forward.block)
    run(forward, _batches(forward, stream_of, sizes, shape, capacity), -(-sum(sizes) // capacity), votes.of, votes.add)
    return votes.tally(np.asarray(sizes, dtype=np.int64))


def _batches(
    forward: Forward, stream_of: Callable[[int], Stream], sizes: Sequence[int], shape: tuple[int, ...], capacity: int
) -> Iterator[Batch]:
    """Yield batches of up to ``capacity`` noisy images, with the index of the image of each row."""
    width, device = int(np.prod(shape)), forward.device

    def empty() -> Batch:
        rows = torch.empty(capacity, width, dtype=forward.dtype, device=device)
        return rows, torch.empty(capacity, dtype=torch.int64, device=device)

    (rows, owners), filled, current = empty(), 0, -1
    for i, size in _blocks(sizes, forward.block):
        if filled + size > capacity:
            yield forward.layout(rows[:filled], shape), owners[:filled]
            (rows, owners), filled = empty(), 0  # the previous buffers are still in use
        if i != current:
            stream, current = stream_of(i), i
        stream.fill(rows[filled : filled + size])
        owners[filled : filled + size] = i
        filled += size
    if filled:
        yield forward.layout(rows[:filled], shape), owners[:filled]


def _blocks(sizes: Sequence[int], block: int) -> Iterator[tuple[int, int]]:
    for i, size in enumerate(sizes):
        for start in range(0, size, block):
            yield i, min(block, size - start)


@dataclass(frozen=True, eq=False)
class _Part:
    """Contribution of some rows: ``amount`` at the entries ``where`` of a sum, and flags of invalid outputs."""

    where: torch.Tensor
    amount: torch.Tensor
    nan: torch.Tensor
    improper: torch.Tensor


class _Votes:
    """Running sums on the device; invalid outputs are flagged there and reported at the end."""

    def __init__(self, kind: str, beta: float | None, zeros: torch.Tensor) -> None:
        self.kind, self.beta = kind, beta
        self.total = zeros.to(torch.int64 if beta is None else torch.float64)
        self.squares = torch.zeros_like(self.total)
        self.nan = torch.zeros((), dtype=torch.bool, device=zeros.device)
        self.improper = torch.zeros_like(self.nan)

    def of(self, outputs: torch.Tensor, owners: torch.Tensor) -> _Part:
        """Return the contribution of these rows. Thread-safe, since it changes no sum."""
        return self._hard(outputs, owners) if self.beta is None else self._soft(outputs, owners, self.beta)

    def _hard(self, outputs: torch.Tensor, owners: torch.Tensor) -> _Part:
        best, winners = outputs.max(dim=1)
        places = owners * self.total.shape[1] + winners
        nan = best.isnan().any()  # the maximum of a row that contains NaN is NaN
        return _Part(places, torch.ones_like(places), nan, torch.zeros_like(nan))

    def _soft(self, outputs: torch.Tensor, owners: torch.Tensor, beta: float) -> _Part:
        nan = outputs.isnan().any()
        improper = torch.zeros_like(nan)
        if self.kind == "probabilities":
            off = (outputs.float().sum(dim=1) - 1.0).abs().amax()
            improper = (outputs.amin() < -1e-6) | (off > 1e-3)
        return _Part(owners, soft_votes(outputs, self.kind, beta).double().clamp(0.0, 1.0), nan, improper)

    def add(self, part: _Part) -> None:
        self.nan |= part.nan
        self.improper |= part.improper
        if self.beta is None:
            self.total.view(-1).scatter_add_(0, part.where, part.amount)
        else:
            self.total.index_add_(0, part.where, part.amount)
            self.squares.index_add_(0, part.where, part.amount.square())

    def tally(self, n: np.ndarray) -> Tally:
        if bool(self.nan):
            raise ValueError("the network returned NaN for a noisy image, which cannot be certified; fix the network")
        if bool(self.improper):
            raise ValueError(
                "outputs='probabilities' was declared, but the network's rows are not nonnegative with sum 1; "
                "declare outputs='logits', or add a softmax"
            )
        total = np.asarray(self.total.cpu().numpy(), dtype=np.float64)
        squares = total if self.beta is None else np.asarray(self.squares.cpu().numpy())
        return Tally(n, total, squares)
