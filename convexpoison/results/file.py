"""Results of attacks as npz files: numbers as they are, words as JSON, nothing pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convexpoison._utils.files import NOT_NPZ, read_npz, write_npz
from convexpoison.bounds.bound import Bound, TheTarget
from convexpoison.bounds.convergence import Guarantee
from convexpoison.certificates.target import TargetCertificate
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim

if TYPE_CHECKING:
    from convexpoison.results.attack_result import AttackResult

_FORMAT = 2
_PLAIN = ("eps", "stop_reason", "gap", "note", "seconds", "provenance", "info")
"""Fields that are plain numbers and words."""
_BOUNDS = (("bound", "target"), ("induced_bound", "model"))
"""Each bound and the model that it is about."""


def save_result(path: Path, result: AttackResult) -> None:
    """Write everything but ``original_points``, all of it or nothing."""
    arrays: dict[str, Any] = {"points": result.points, "labels": result.labels, "counts": result.counts}
    meta: dict[str, Any] = {"format": _FORMAT, "classes": result.target.classes}
    for name in ("model", "target", "clean"):
        model = getattr(result, name)
        arrays[f"{name}_coef"], arrays[f"{name}_intercept"] = model.coef, model.intercept
    arrays |= {f"history_{name}": values for name, values in result.history.items()}
    for name, _ in _BOUNDS:
        bound = getattr(result, name)
        meta[name] = bound.to_dict()
        if bound.certificate is not None:
            arrays |= {f"{name}__{key}": value for key, value in bound.certificate.to_arrays().items()}
    meta["victim"] = result.victim.to_dict()
    for name in ("guarantee", "reproduction"):
        part = getattr(result, name)
        meta[name] = None if part is None else vars(part)
    meta |= {name: getattr(result, name) for name in _PLAIN}
    write_npz(path, arrays | {"meta": np.array(json.dumps(meta))})


def read_result(path: Path) -> dict[str, Any]:
    """The fields of the result that :func:`save_result` wrote; ``reproduction`` is a dict or None.

    Raises
    ------
    ValueError
        If the file is not one of those.
    """
    try:
        arrays = read_npz(path)
    except NOT_NPZ as error:
        raise ValueError(f"{path} is not a saved attack: it is no npz file ({error})") from error
    if "meta" not in arrays:
        raise ValueError(f"{path} is not a saved attack: it has no 'meta' entry")
    meta = json.loads(str(arrays["meta"]))
    if "points" not in arrays or "victim" not in meta:
        raise ValueError(f"{path} is not a saved attack: it has the entries {', '.join(sorted(arrays))}")
    if meta["format"] != _FORMAT:
        raise ValueError(f"{path} has format {meta['format']}; this version reads format {_FORMAT}")
    models = {name: _model(name, arrays, meta) for name in ("model", "target", "clean")}
    guarantee = meta["guarantee"]
    return {
        **{name: arrays[name] for name in ("points", "labels", "counts")},
        **models,
        "victim": Victim.from_dict(meta["victim"]),
        **{name: _bound(name, models[about], arrays, meta) for name, about in _BOUNDS},
        "history": {name[8:]: values for name, values in arrays.items() if name.startswith("history_")},
        "guarantee": None if guarantee is None else Guarantee(**guarantee),
        "reproduction": meta.get("reproduction"),
        **{name: meta[name] for name in _PLAIN},
    }


def _model(name: str, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> LinearModel:
    classes = tuple(meta["classes"]) if meta["classes"] is not None else None
    return LinearModel(arrays[f"{name}_coef"], float(arrays[f"{name}_intercept"]), classes)


def _bound(name: str, about: LinearModel, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> Bound:
    told = meta[name]
    value, mass = (np.inf if told[key] is None else told[key] for key in ("value", "mass"))
    proof = {key.removeprefix(f"{name}__"): array for key, array in arrays.items() if key.startswith(f"{name}__")}
    certificate = TargetCertificate.from_arrays(proof) if proof else None
    return Bound(value, TheTarget(about), certificate, told["method"], mass, told["solver"])
