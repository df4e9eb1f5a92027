"""Batched forward passes of a frozen network in evaluation mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from torch import nn

_CUDA_BATCH = 4096
"""Rows per batch; smaller batches leave a GPU idle."""
_CPU_BATCH = (100, 500)
"""Least and most rows per batch: smaller batches add call overhead, larger ones gain nothing."""
_WIDEST = 12 << 20
"""Bytes of the largest activation on a CPU; beyond this size caches lose their effect."""
_BLOCK = {"cpu": 100, "cuda": 1000}
"""Draws per block of an image's random stream; changing it changes the noise of a seed."""
_FREED = 31 << 20
"""Bytes; the GNU allocator adapts its threshold to freed blocks of up to 32 MiB."""
_HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}

T = TypeVar("T")


class Forward:
    """Runs a module on batches of images.

    The device and precision of the module are read at each use, so that it may be moved between calls. Its training flags,
    gradients and the memory layout of its parameters are restored after use.

    Parameters
    ----------
    model : torch.nn.Module
    outputs : {"logits", "probabilities"}
    batch_size : int or None
        Maximal number of rows per batch; halved permanently, with one warning, when memory runs out.
    precision : {"float32", "float16", "bfloat16"}
        Half precision uses autocast, on CUDA only.
    channels_last : bool
        Use channels-last layout for 4-d inputs and the weights of convolutions.
    """

    def __init__(
        self, model: nn.Module, outputs: str, batch_size: int | None, precision: str, channels_last: bool
    ) -> None:
        self.model, self.outputs = model, outputs
        self.precision, self.channels_last = precision, channels_last
        self._batch_size, self._default = batch_size, _CPU_BATCH[0]
        self._warned = False
        self._check_precision()

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        parameter = self._parameter()
        return torch.device("cpu") if parameter is None else parameter.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters."""
        parameter = self._parameter()
        return torch.float32 if parameter is None else parameter.dtype

    @property
    def batch_size(self) -> int:
        """Maximal number of rows per batch."""
        return self._batch_size or (_CUDA_BATCH if self.device.type == "cuda" else self._default)

    @property
    def block(self) -> int:
        """Draws per block of an image's stream."""
        return _BLOCK.get(self.device.type, 1000)

    def _parameter(self) -> nn.Parameter | None:
        return next((p for p in self.model.parameters() if p.is_floating_point()), None)

    def _check_precision(self) -> None:
        if self.precision in _HALVES and self.device.type != "cuda":
            raise ValueError(
                f"precision={self.precision!r} needs a model on CUDA; this one is on {self.device}: use 'float32', or "
                "move the model"
            )

    @contextmanager
    def open(self, gradients: bool = False) -> Iterator[Forward]:
        """Set evaluation mode, memory layout and precision within a ``with`` block.

        Parameters
        ----------
        gradients : bool
            Enable derivatives with respect to the input; otherwise inference mode is used.
        """
        self._check_precision()
        with ExitStack() as stack:
            stack.enter_context(_evaluating(self.model))
            if self.channels_last:
                stack.enter_context(_weights_channels_last(self.model))
            if self.device.type == "cpu":
                _keep_freed_memory()
            if self.precision in _HALVES:
                stack.enter_context(torch.autocast(self.device.type, dtype=_HALVES[self.precision]))
            if not gradients:
                stack.enter_context(torch.inference_mode())
            yield self

    def first(self, image: torch.Tensor) -> Any:
        """Return the network's output for a batch of one image, and set the default batch size by the layers' width."""
        widest = 1

        def look(module: nn.Module, inputs: Any, outputs: Any) -> None:
            nonlocal widest
            if isinstance(outputs, torch.Tensor):
                widest = max(widest, outputs.numel() * outputs.element_size())

        with self.open(), ExitStack() as stack:
            for module in self.model.modules():
                if not isinstance(module, torch.jit.ScriptModule):  # these accept no hooks
                    stack.enter_context(module.register_forward_hook(look))
            output = self.model(self.layout(self.flat(image)[None].clone(), tuple(image.shape)))
        least, most = _CPU_BATCH
        self._default = min(max(_WIDEST // widest // least * least, least), most)
        return output

    def layout(self, rows: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """View flat rows as a batch of images; a channels-last row is stored as (height, width, channel)."""
        if self._moves_channels(shape):
            channels, *space = shape
            return rows.view(len(rows), *space, channels).permute(0, 3, 1, 2)
        return rows.view(len(rows), *shape)

    def flat(self, image: torch.Tensor) -> torch.Tensor:
        """Flatten one image to a row in the order that :meth:`layout` expects."""
        if self._moves_channels(tuple(image.shape)):
            image = image.permute(1, 2, 0)
        return image.to(self.device, self.dtype).reshape(-1)

    def unflat(self, row: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Return a row as an image on the CPU; the inverse of :meth:`flat`."""
        return self.layout(row[None], shape)[0].detach().cpu().contiguous()

    def _moves_channels(self, shape: tuple[int, ...]) -> bool:
        return self.channels_last and len(shape) == 3

    def halving(self, work: Callable[[int], T]) -> T:
        """Return ``work(batch_size)``; halve the batch size and retry when memory runs out."""
        while True:
            size = self.batch_size
            try:
                return work(size)
            except (RuntimeError, MemoryError) as exc:
                if not out_of_memory(exc) or size == 1:
                    raise
                self._batch_size = size // 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"out of memory with batches of {size} rows on {self.device}: continuing with {self.batch_size}, and "
                    "with fewer if that is still too many; pass a smaller batch_size to avoid this",
                    RuntimeWarning,
                    stacklevel=2,
                )


def soft_votes(outputs: torch.Tensor, kind: str, beta: float) -> torch.Tensor:
    """Compute probabilities at inverse temperature ``beta`` (MACER, Section 3)."""
    if kind == "logits":
        return torch.softmax(beta * outputs.float(), dim=1)
    if beta == 1.0:
        return outputs
    return torch.softmax(beta * outputs.float().clamp_min(torch.finfo(torch.float32).tiny).log(), dim=1)


@cache
def _keep_freed_memory() -> None:
    """Make the GNU allocator keep up to 62 MB of freed memory instead of returning it to the system.

    It keeps blocks up to the size of the largest block freed so far, and twice that size in total. Otherwise every page that
    is allocated again costs a page fault: up to a third of the forward pass of a small network (measured). Other allocators
    are not affected. For larger activations, see the allocator's environment variables (``docs/scaling.rst``).
    """
    torch.empty(_FREED, dtype=torch.uint8)


def out_of_memory(exc: BaseException) -> bool:
    text = str(exc).lower()
    known = "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text
    return isinstance(exc, (torch.OutOfMemoryError, MemoryError)) or known


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def _weights_channels_last(model: nn.Module) -> Iterator[None]:
    before = [(p, p.data) for p in model.parameters() if p.dim() == 4]
    try:
        for parameter, data in before:
            parameter.data = data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        for parameter, data in before:
            parameter.data = data
