"""The result of model-targeted poisoning of a network."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convexpoison._utils.files import read_npz, write_npz
from convexpoison._utils.types import FloatArray
from convexpoison.display.axes import BLUE, new_figure
from convexpoison.display.shown import Facts, Shown, frame_of

if TYPE_CHECKING:
    from torch import nn

_PANELS = (
    ("max_loss_difference", "maximum loss difference"),
    ("distance", "Euclidean distance to the target"),
    ("target_accuracy", "test accuracy on the target class"),
)


@dataclass(frozen=True, eq=False)
class ModelTargetedPoison(Shown):
    """The chosen images, and the convergence of the network to its target.

    Attributes
    ----------
    points : float32 array of shape (n_steps, channels, height, width)
        Chosen images, in order of choice.
    labels : int array of shape (n_steps,)
    chosen : int array of shape (n_steps,)
        Indices among the candidates; -1 for an image outside them.
    counts : int array of shape (n_steps,)
        Copies of each image.
    trace : dict of arrays of shape (n_steps + 1,)
        One entry per training, the clean one first: n_points, max_loss_difference (to the target network, over the candidates),
        distance (Euclidean, of the weights), target_accuracy (on the test images of the target class), accuracy, seconds.
    stop_reason : {"close", "budget"}
    settings : dict
    network : Module or None
        The final network of the victim; None in a result read from a file.
    """

    points: np.ndarray
    labels: np.ndarray
    chosen: np.ndarray
    counts: np.ndarray
    trace: dict[str, FloatArray]
    stop_reason: str
    settings: dict[str, Any] = field(default_factory=dict)
    network: nn.Module | None = None

    @property
    def n_points(self) -> int:
        """Poison images, copies counted."""
        return int(self.counts.sum())

    @property
    def poison(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels, copies written out."""
        return np.repeat(self.points, self.counts, axis=0), np.repeat(self.labels, self.counts)

    def to_frame(self) -> Any:
        """Return the trace as a pandas DataFrame."""
        return frame_of(self.trace, "ModelTargetedPoison.to_frame")

    def facts(self) -> Facts:
        """Return the main numbers by description, before and after poisoning."""
        ends = {words: (self.trace[name][0], self.trace[name][-1]) for name, words in _PANELS}
        changes = {f"{words}, clean -> poisoned": f"{a:.4g} -> {b:.4g}" for words, (a, b) in ends.items()}
        return {"poison images": self.n_points, **changes, "stopped because": self.stop_reason}

    def plot(self, axes: Any = None) -> Any:
        """Plot loss difference, distance and accuracy against the number of points (MTP, Figure 19).

        Parameters
        ----------
        axes : three matplotlib Axes, optional

        Returns
        -------
        array of three Axes
        """
        if axes is None:
            axes = new_figure(13.0, 3.8).subplots(1, 3)
        for ax, (name, words) in zip(axes, _PANELS, strict=True):
            ax.plot(self.trace["n_points"], self.trace[name], color=BLUE)
            ax.set(xlabel="poison points added", title=words)
            ax.grid(visible=True, alpha=0.3)
        return axes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all fields but the network to a compressed npz file, atomically and without pickle.

        The weights are saved separately: :func:`convexpoison.neural.training.checkpoint.save_weights`.
        """
        arrays = {name: getattr(self, name) for name in ("points", "labels", "chosen", "counts")}
        arrays |= {f"trace_{name}": values for name, values in self.trace.items()}
        meta = json.dumps({"kind": "model_targeted", "stop_reason": self.stop_reason, "settings": self.settings})
        write_npz(Path(path), arrays | {"meta": np.array(meta)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ModelTargetedPoison:
        """Read a file written by :meth:`save`.

        Raises
        ------
        ValueError
            If the file was not written by :meth:`save`.
        """
        arrays = read_npz(path)
        meta = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
        if meta.get("kind") != "model_targeted":
            raise ValueError(f"{path} is not a saved model-targeted poison of a network")
        trace = {name[6:]: values for name, values in arrays.items() if name.startswith("trace_")}
        points, labels, chosen, counts = (arrays[name] for name in ("points", "labels", "chosen", "counts"))
        return cls(points, labels, chosen, counts, trace, meta["stop_reason"], meta["settings"])
