"""What model-targeted poisoning of a network gives back."""

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
    """The chosen images, and how the network came nearer to its target.

    Attributes
    ----------
    points : float32 array of shape (n_steps, channels, height, width)
        In the order in which they were chosen.
    labels : int array of shape (n_steps,)
    chosen : int array of shape (n_steps,)
        Places among the candidates; -1 for an image that is none of them.
    counts : int array of shape (n_steps,)
        Copies of each.
    trace : dict of arrays of shape (n_steps + 1,)
        One entry a training, the clean one first: n_points, max_loss_difference (over what may be added, to the target network),
        distance (Euclidean, of the weights), target_accuracy (on the test images of the target class), accuracy, seconds.
    stop_reason : {"close", "budget"}
    settings : dict
    network : Module or None
        What the victim ends up with; None in a result that was read from a file.
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
        """The trace as a pandas DataFrame."""
        return frame_of(self.trace, "ModelTargetedPoison.to_frame")

    def facts(self) -> Facts:
        """The main numbers in words, before and after."""
        ends = {words: (self.trace[name][0], self.trace[name][-1]) for name, words in _PANELS}
        told = {f"{words}, clean -> poisoned": f"{a:.4g} -> {b:.4g}" for words, (a, b) in ends.items()}
        return {"poison images": self.n_points, **told, "stopped because": self.stop_reason}

    def plot(self, axes: Any = None) -> Any:
        """Loss difference, distance and accuracy against the number of points (MTP, Figure 19).

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
        """Write everything but the network to a compressed npz file, without pickle; all of it or nothing.

        The weights go into a file of their own: :func:`convexpoison.neural.training.checkpoint.save_weights`.
        """
        arrays = {name: getattr(self, name) for name in ("points", "labels", "chosen", "counts")}
        arrays |= {f"trace_{name}": values for name, values in self.trace.items()}
        meta = json.dumps({"kind": "model_targeted", "stop_reason": self.stop_reason, "settings": self.settings})
        write_npz(Path(path), arrays | {"meta": np.array(meta)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ModelTargetedPoison:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is not one of those.
        """
        arrays = read_npz(path)
        meta = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
        if meta.get("kind") != "model_targeted":
            raise ValueError(f"{path} is not a saved model-targeted poison of a network")
        trace = {name[6:]: values for name, values in arrays.items() if name.startswith("trace_")}
        points, labels, chosen, counts = (arrays[name] for name in ("points", "labels", "chosen", "counts"))
        return cls(points, labels, chosen, counts, trace, meta["stop_reason"], meta["settings"])
