"""Files of any kind of certificate."""

from __future__ import annotations

import os

from convexpoison.approximate.certificate import NearCertificate
from convexpoison.files import read_npz
from convexpoison.goal_bounds.certificate import GoalCertificate
from convexpoison.proofs.certificate import Certificate
from convexpoison.proofs.certificate_file import UNREADABLE, kind_and_words
from convexpoison.proofs.claim import Claim

_KINDS: tuple[type[Claim], ...] = (Certificate, GoalCertificate, NearCertificate)


def load_certificate(path: str | os.PathLike[str]) -> Claim:
    """Read what ``certificate.save(path)`` wrote, whichever kind it is.

    Raises
    ------
    ValueError
        If the file is none of those.
    """
    try:
        kind = kind_and_words(read_npz(path))[0]
        found = next((cls for cls in _KINDS if cls.kind == kind), None)
        if found is None:
            raise ValueError(f"it says kind {kind!r}")
    except UNREADABLE as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is not a certificate that this version reads ({why})") from error
    return found.load(path)
