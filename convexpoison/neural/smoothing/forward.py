"""A network as smoothing sees it: frozen, in evaluation mode, fed with many rows at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from torch import nn

_CUDA_BATCH = 4096
"""Rows at a time; fewer leave a GPU idle."""
_CPU_BATCH = (100, 500)
"""Fewest and most rows at a time: fewer cost calls, and more gain nothing."""
_WIDEST = 12 << 20
"""Bytes of the largest of a CPU's activations, beyond which caches are of less use."""
_BLOCK = {"cpu": 100, "cuda": 1000}
"""Draws that an image takes from its random stream at a time; part of what a seed means."""
_FREED = 31 << 20
"""Bytes; the GNU allocator learns from blocks of up to 32 MiB."""
_HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}

T = TypeVar("T")


class Forward:
    """Runs a module on batches of images.

    Where the module is and of what precision is looked up when it is used, so that it may be moved in the meantime. The
    module is lent, not owned: its training flags, parameters' memory layout and gradients are as before afterwards.

    Parameters
    ----------
    model : torch.nn.Module
    outputs : {"logits", "probabilities"}
    batch_size : int or None
        Most rows at a time; halved for good, with one warning, when memory runs out.
    precision : {"float32", "float16", "bfloat16"}
        Half precision is by autocast, on CUDA.
    channels_last : bool
        Feed 4-d inputs, and keep the convolutions' weights, in channels-last layout.
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
        """Where the parameters are."""
        parameter = self._parameter()
        return torch.device("cpu") if parameter is None else parameter.device

    @property
    def dtype(self) -> torch.dtype:
        """The parameters' precision."""
        parameter = self._parameter()
        return torch.float32 if parameter is None else parameter.dtype

    @property
    def batch_size(self) -> int:
        """Most rows at a time."""
        return self._batch_size or (_CUDA_BATCH if self.device.type == "cuda" else self._default)

    @property
    def block(self) -> int:
        """Draws that an image takes from its stream at a time."""
        return _BLOCK.get(self.device.type, 1000)

    def _parameter(self) -> nn.Parameter | None:
        return next((p for p in self.model.parameters() if p.is_floating_point()), None)

    def _check_precision(self) -> None:
        if self.precision in _HALVES and self.device.type != "cuda":
            raise ValueError(
                f"precision={self.precision!r} needs a model on CUDA; this one is on {self.device}: use 'float32', or move "
                "it"
            )

    @contextmanager
    def open(self, gradients: bool = False) -> Iterator[Forward]:
        """Evaluation mode, the memory layout and the precision, for as long as it lasts.

        Parameters
        ----------
        gradients : bool
            Whether derivatives in the input are wanted; otherwise in inference mode.
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
        """The network's answer to a batch of one image; how wide its layers turn out decides the default batch size."""
        widest = 1

        def look(module: nn.Module, inputs: Any, outputs: Any) -> None:
            nonlocal widest
            if isinstance(outputs, torch.Tensor):
                widest = max(widest, outputs.numel() * outputs.element_size())

        with self.open(), ExitStack() as stack:
            for module in self.model.modules():
                if not isinstance(module, torch.jit.ScriptModule):  # they take no hooks
                    stack.enter_context(module.register_forward_hook(look))
            answer = self.model(self.layout(self.flat(image)[None].clone(), tuple(image.shape)))
        least, most = _CPU_BATCH
        self._default = min(max(_WIDEST // widest // least * least, least), most)
        return answer

    def layout(self, rows: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Flat rows as a batch of images; in channels-last order a row's memory holds (height, width, channel)."""
        if self._moves_channels(shape):
            channels, *space = shape
            return rows.view(len(rows), *space, channels).permute(0, 3, 1, 2)
        return rows.view(len(rows), *shape)

    def flat(self, image: torch.Tensor) -> torch.Tensor:
        """One image as a row in the order that :meth:`layout` expects."""
        if self._moves_channels(tuple(image.shape)):
            image = image.permute(1, 2, 0)
        return image.to(self.device, self.dtype).reshape(-1)

    def unflat(self, row: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """A row as an image again, on the CPU."""
        return self.layout(row[None], shape)[0].detach().cpu().contiguous()

    def _moves_channels(self, shape: tuple[int, ...]) -> bool:
        return self.channels_last and len(shape) == 3

    def halving(self, work: Callable[[int], T]) -> T:
        """``work(batch_size)``, again with half the batch when memory runs out."""
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
                    f"out of memory with {size} rows at a time on {self.device}: going on with {self.batch_size}, and "
                    "with fewer where that is too many; pass a smaller batch_size to avoid the attempt",
                    RuntimeWarning,
                    stacklevel=2,
                )


def soft_votes(outputs: torch.Tensor, kind: str, beta: float) -> torch.Tensor:
    """Probabilities at inverse temperature ``beta`` (MACER, Section 3)."""
    if kind == "logits":
        return torch.softmax(beta * outputs.float(), dim=1)
    if beta == 1.0:
        return outputs
    return torch.softmax(beta * outputs.float().clamp_min(torch.finfo(torch.float32).tiny).log(), dim=1)


@cache
def _keep_freed_memory() -> None:
    """Have the GNU allocator keep what layers free, up to 62 MB, instead of returning it to the system.

    It keeps blocks up to the size of the largest that was freed so far, and twice that in all. Otherwise each page that comes
    back costs a fault: up to a third of a small network's forward pass (measured). Other allocators lose nothing. For larger
    activations there are the allocator's own environment variables (``docs/scaling.rst``).
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
