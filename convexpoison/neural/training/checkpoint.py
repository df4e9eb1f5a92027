"""Weights, optimiser and memory in one safetensors file: tensors and JSON metadata, without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from convexpoison._utils.files import whole_file

_FORMAT = "1"


def save_weights(path: Path, network: nn.Module) -> None:
    """Write the weights of a network, atomically."""
    _write(path, {f"network.{k}": v for k, v in network.state_dict().items()}, {})


def load_weights(path: Path, network: nn.Module) -> None:
    """Load weights from :func:`save_weights`, a checkpoint, or any safetensors file with the network's parameter names.

    Raises
    ------
    ValueError
        If the architecture differs, or the file is not a safetensors file.
    """
    tensors, _ = _read(path)
    own = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    _load_into(network, own or tensors, path)


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    memory: dict[str, Tensor],
    losses: list[float],
    identity: str,
) -> None:
    """Write the state of training, for :func:`load_checkpoint`."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"memory.{k}": v for k, v in memory.items()}
    plain: dict[str, dict[str, Any]] = {}
    for number, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{number}.{name}"] = value
            else:
                plain.setdefault(str(number), {})[name] = value
    _write(path, tensors, {"losses": json.dumps(losses), "identity": identity, "optimizer": json.dumps(plain)})


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, memory: dict[str, Tensor], identity: str
) -> list[float]:
    """Restore the state of training, and return the losses of the completed epochs.

    Raises
    ------
    ValueError
        If the checkpoint belongs to another run (objective, recipe, seed or data) or another network.
    """
    tensors, metadata = _read(path)
    if metadata.get("identity") != identity:
        raise ValueError(
            f"{path} is the checkpoint of another run: {metadata.get('identity')!r}, not {identity!r}. Choose another file, or "
            "delete it to start a new run"
        )
    _load_into(network, {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}, path)
    for key, value in tensors.items():
        if key.startswith("memory."):
            memory[key.removeprefix("memory.")] = value.to(next(network.parameters()).device)
    state: dict[int, dict[str, Any]] = {int(k): dict(v) for k, v in json.loads(metadata["optimizer"]).items()}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    losses: list[float] = json.loads(metadata["losses"])
    return losses


def _load_into(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        why = shorten(str(error), 300, placeholder=" ...")  # torch lists all parameter names
        raise ValueError(f"{path} contains the weights of another architecture: {why}") from None


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    data = save(stored, metadata={"format": _FORMAT, **metadata})
    with whole_file(path) as file:
        file.write(data)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a safetensors file: {error}") from None
