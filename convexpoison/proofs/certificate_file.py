"""Certificates as the arrays of an npz file: numbers as they are, words as JSON, nothing pickled."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convexpoison.mass.stationarity import Direction
from convexpoison.model import LinearModel
from convexpoison.spaces import OneHot, Space
from convexpoison.victim import Victim

if TYPE_CHECKING:
    from convexpoison.proofs.certificate import Certificate

_FORMAT = 1
Arrays = dict[str, np.ndarray]


def arrays_of(certificate: Certificate) -> Arrays:
    """Everything but ``space.constraints``."""
    target, space, v = certificate.target, certificate.space, certificate.direction
    d = space.n_features
    return {
        "coef": target.coef,
        "intercept": np.array(target.intercept),
        "direction_w": v.w,
        "direction_b": np.array(v.b),
        "lower": space.lower,
        "upper": space.upper,
        "integer": space.integer,
        "ball_centers": np.array([ball.center for ball in space.balls]).reshape(-1, d),
        "ball_radii": np.array([ball.radius for ball in space.balls]),
        "slab_directions": np.array([slab.direction for slab in space.slabs]).reshape(-1, d),
        "slab_sides": np.array([[slab.lower, slab.upper] for slab in space.slabs]).reshape(-1, 2),
        "meta": np.array(json.dumps(_words(certificate))),
    }


def fields_of(arrays: Arrays) -> dict[str, Any]:
    """What :class:`~convexpoison.proofs.certificate.Certificate` is made of, every part checked as if a user had typed it.

    Raises
    ------
    ValueError, KeyError, TypeError, IndexError, AttributeError
        If something is missing or of the wrong kind.
    """
    meta = json.loads(str(arrays["meta"]))
    if meta["kind"] != "certificate" or meta["format"] != _FORMAT:
        raise ValueError(f"it says kind {meta['kind']!r}, format {meta['format']!r}")
    victim = dict(meta["victim"])
    classes = None if meta["classes"] is None else (meta["classes"][0], meta["classes"][1])
    return {
        "victim": Victim(victim.pop("loss"), **victim),
        "target": LinearModel(arrays["coef"], float(arrays["intercept"]), classes),
        "space": _space(arrays, meta),
        "direction": Direction(np.asarray(arrays["direction_w"], dtype=np.float64), float(arrays["direction_b"])),
        "value": math.inf if meta["value"] is None else float(meta["value"]),
        "note": str(meta["note"]),
    }


def _words(certificate: Certificate) -> dict[str, Any]:
    victim, space, classes = certificate.victim, certificate.space, certificate.target.classes
    return {
        "kind": "certificate",
        "format": _FORMAT,
        "victim": {
            "loss": victim.loss.name,
            "C": victim.C,
            "C_R": victim.C_R,
            "intercept": victim.intercept,
            "intercept_scaling": victim.intercept_scaling,
        },
        "classes": None if classes is None else [_plain(label) for label in classes],
        "value": certificate.value if math.isfinite(certificate.value) else None,
        "one_hot": [[list(group.columns), group.at_most_one, group.relaxed] for group in space.one_hot],
        "labels": list(space.labels),
        "response": space.response,
        "note": certificate.note,
    }


def _space(arrays: Arrays, meta: dict[str, Any]) -> Space:
    space = Space.box(arrays["lower"], arrays["upper"]).with_labels(meta["labels"])
    if meta["response"] is not None:
        space = space.with_response(*meta["response"])
    for center, radius in zip(arrays["ball_centers"], arrays["ball_radii"], strict=True):
        space = space.with_ball(center, float(radius))
    for direction, (lower, upper) in zip(arrays["slab_directions"], arrays["slab_sides"], strict=True):
        space = space.with_slab(direction, float(lower), float(upper))
    integer = np.array(arrays["integer"], dtype=bool)
    if integer.shape != (space.n_features,):
        raise ValueError(f"{integer.size} marks of integer columns for {space.n_features} columns")
    groups, grouped = [], space
    for columns, at_most_one, relaxed in meta["one_hot"]:
        grouped = grouped.with_one_hot(columns, at_most_one=bool(at_most_one))  # which refuses columns that do not fit
        groups.append(OneHot(tuple(columns), bool(at_most_one), bool(relaxed)))
    return replace(space, integer=integer, one_hot=tuple(groups))


def _plain(label: Any) -> Any:
    """A label that JSON can hold."""
    return label.item() if hasattr(label, "item") else label
