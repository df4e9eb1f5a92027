"""Files that are written whole or not at all, and read without pickle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np


def write_npz(path: Path, arrays: dict[str, Any]) -> None:
    """Through a temporary file beside it, so that a failure leaves no half-written file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
