"""Files of any kind of certificate."""

from __future__ import annotations

import os

from convexpoison._utils.files import read_npz
from convexpoison.certificates.base import Claim
from convexpoison.certificates.file_format import UNREADABLE, kind_and_words
from convexpoison.certificates.goal import GoalCertificate
from convexpoison.certificates.near_target import NearCertificate
from convexpoison.certificates.target import Certificate

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
