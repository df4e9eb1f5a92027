"""Files that are written whole or not at all, and read without pickle."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import numpy as np

Arrays = dict[str, np.ndarray]
NOT_NPZ = (ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What :func:`read_npz` may end with where a file is no npz file of plain arrays, or damaged."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place only when all is written: a failure or a kill leaves what was there before.

    Until then it is a hidden file beside it, ``.NAME.*.tmp``.
    """
    # Not the process id as a name: after a kill the same id may come again and find the old file in its way.
    temporary = path.with_name(f".{path.name}.{token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_npz(path: Path, arrays: dict[str, Any]) -> None:
    """Through a temporary file beside it, so that a failure leaves no half-written file."""
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)


def read_npz(path: str | os.PathLike[str]) -> Arrays:
    """All arrays of an npz file; pickled objects are refused, and a file that is none leaves nothing open.

    Raises
    ------
    One of NOT_NPZ
        If the file is not one of those, or damaged.
    """
    with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
        return dict(file)
