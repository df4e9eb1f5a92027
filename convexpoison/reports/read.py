"""Saved runs of any kind: attacks, certificates, stores of sweeps, records of certified images, poisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convexpoison._utils.files import Arrays, read_npz
from convexpoison.certificates import Certificate
from convexpoison.certificates.file_format import UNREADABLE
from convexpoison.results.attack_result import AttackResult

if TYPE_CHECKING:
    from convexpoison.certificates.base import Certificate

_KINDS = "an attack, a certificate or a poison (.npz), the radii of certify (.tsv), or the folder of a sweep"


def read_run(path: Path) -> Any:
    """Load the result in a file, or in the folder of a sweep.

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    ValueError
        If it is not a run, or is damaged; the message gives the reason.
    """
    if path.is_dir():
        from convexpoison.sweeps.result import SweepResult

        return SweepResult.load(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is neither a file nor a folder; give {_KINDS}")
    try:
        return _reader(path)(path)
    except (*UNREADABLE, OSError) as error:
        raise ValueError(f"{path} cannot be read as a run ({_words(error)}); give {_KINDS}") from error


def claims_of(result: Any) -> dict[str, Certificate]:
    """Return the certificates of a result by name: those of the bounds of an attack, or that of a bound."""
    names = ("bound", "induced_bound") if isinstance(result, AttackResult) else ("",)
    parts = {name or "certificate": getattr(result, name) if name else result for name in names}
    return {name: part.certificate for name, part in parts.items() if getattr(part, "certificate", None) is not None}


def claims_in(path: Path) -> dict[str, Certificate]:
    """Load the claims in a file: a certificate, or the bounds of a saved attack.

    Raises
    ------
    ValueError
        If it is neither, or an attack whose bounds are the trivial 0 and have no certificate.
    """
    try:
        is_attack = "history_n_points" in read_npz(path)
    except UNREADABLE:
        is_attack = False  # load_certificate raises with the reason
    if not is_attack:
        return {"certificate": Certificate.load(path)}
    claims = claims_of(AttackResult.load(path))
    if not claims:
        raise ValueError(f"{path} has no certificates: its bounds are the trivial 0, and there is nothing to verify")
    return claims


def _reader(path: Path) -> Callable[[Path], Any]:
    """Return the function that reads such a file."""
    if path.suffix != ".npz":
        from convexpoison.neural.evaluation.evaluation import Evaluation

        return Evaluation.read
    arrays = read_npz(path)
    if "history_n_points" in arrays:
        return AttackResult.load
    if "base_images" in arrays:
        from convexpoison.neural.poisoning.result import PoisonResult

        return PoisonResult.load
    if _kind(arrays) == "model_targeted":
        from convexpoison.neural.poisoning.model_targeted_result import ModelTargetedPoison

        return ModelTargetedPoison.load
    return Certificate.load


def _kind(arrays: Arrays) -> Any:
    return json.loads(str(arrays["meta"])).get("kind") if "meta" in arrays else None


def _words(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
