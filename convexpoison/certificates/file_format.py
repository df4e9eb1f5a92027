"""Certificates as the arrays of an npz file: numbers as they are, words as JSON, nothing pickled."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np

from convexpoison._utils.files import NOT_NPZ, Arrays
from convexpoison.data.training_data import Classes
from convexpoison.learners.victim import Victim
from convexpoison.spaces.parts import Grid, OneHot
from convexpoison.spaces.space import Space

_FORMAT = 1
UNREADABLE = (*NOT_NPZ, KeyError, IndexError)
"""What reading a file that is not a certificate may end with."""


def header(kind: str, victim: Victim, space: Space, value: float, note: str, words: dict[str, Any]) -> Arrays:
    """What every certificate holds: everything of the space but its ``constraints``, and the words as JSON."""
    d = space.n_features
    classes = words.get("classes")
    meta = {
        "kind": kind,
        "format": _FORMAT,
        "victim": victim.to_dict(),
        "value": value if math.isfinite(value) else None,
        "one_hot": [[list(group.columns), group.at_most_one, group.relaxed] for group in space.one_hot],
        "labels": list(space.labels),
        "response": space.response,
        "note": note,
        **words,
        "classes": None if classes is None else [_plain(label) for label in classes],
    }
    return {
        "lower": space.lower,
        "upper": space.upper,
        "integer": space.integer,
        "ball_centers": np.array([ball.center for ball in space.balls]).reshape(-1, d),
        "ball_radii": np.array([ball.radius for ball in space.balls]),
        "slab_directions": np.array([slab.direction for slab in space.slabs]).reshape(-1, d),
        "slab_sides": np.array([[slab.lower, slab.upper] for slab in space.slabs]).reshape(-1, 2),
        "meta": np.array(json.dumps(meta)),
        **({} if space.grid is None else {"grid_offset": space.grid.offset, "grid_step": space.grid.step}),
    }


def kind_and_words(arrays: Arrays) -> tuple[str, dict[str, Any]]:
    """The kind of certificate, and its words."""
    words = json.loads(str(arrays["meta"]))
    if words["format"] != _FORMAT:
        raise ValueError(f"it says kind {words['kind']!r}, format {words['format']!r}")
    return str(words["kind"]), words


def shared_fields(arrays: Arrays, words: dict[str, Any]) -> dict[str, Any]:
    """Victim, space, value and note, every part checked as if a user had typed it."""
    if words.get("threat", "add") != "add":
        raise ValueError(f"its threat is {words['threat']!r}")
    return {
        "victim": Victim.from_dict(words["victim"]),
        "space": _space(arrays, words),
        "value": math.inf if words["value"] is None else float(words["value"]),
        "note": str(words["note"]),
    }


def classes_of(words: dict[str, Any]) -> Classes | None:
    """The pair of labels."""
    return None if words["classes"] is None else (words["classes"][0], words["classes"][1])


def _space(arrays: Arrays, words: dict[str, Any]) -> Space:
    space = Space.box(arrays["lower"], arrays["upper"]).with_labels(words["labels"])
    if words["response"] is not None:
        space = space.with_response(*words["response"])
    for center, radius in zip(arrays["ball_centers"], arrays["ball_radii"], strict=True):
        space = space.with_ball(center, float(radius))
    for direction, (lower, upper) in zip(arrays["slab_directions"], arrays["slab_sides"], strict=True):
        space = space.with_slab(direction, float(lower), float(upper))
    integer = np.array(arrays["integer"], dtype=bool)
    if integer.shape != (space.n_features,):
        raise ValueError(f"{integer.size} marks of integer columns for {space.n_features} columns")
    groups, grouped = [], space
    for columns, at_most_one, relaxed in words["one_hot"]:
        grouped = grouped.with_one_hot(columns, at_most_one=bool(at_most_one))  # which refuses columns that do not fit
        groups.append(OneHot(tuple(columns), bool(at_most_one), bool(relaxed)))
    # The columns of groups lie in [0, 1], whatever the file says.
    grid = Grid(*(np.asarray(arrays[f"grid_{part}"]) for part in ("offset", "step"))) if "grid_step" in arrays else None
    return replace(grouped, integer=integer, grid=grid, one_hot=tuple(groups))


def _plain(label: Any) -> Any:
    """A label that JSON can hold."""
    return label.item() if hasattr(label, "item") else label
