"""The checker: statements, what proves them, and their verification, without a solver or a trainer.

The kinds of certificates are loaded on first use, so that a checker loads no more than its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convexpoison.certificates.base import Certificate
from convexpoison.certificates.verification import Verification

if TYPE_CHECKING:
    from convexpoison.certificates.goal import GoalCertificate
    from convexpoison.certificates.near_target import NearTargetCertificate
    from convexpoison.certificates.target import TargetCertificate, certify

__all__ = [
    "Certificate",
    "GoalCertificate",
    "NearTargetCertificate",
    "TargetCertificate",
    "Verification",
    "certify",
]
_HOMES = {
    "GoalCertificate": "goal",
    "NearTargetCertificate": "near_target",
    "TargetCertificate": "target",
    "certify": "target",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
