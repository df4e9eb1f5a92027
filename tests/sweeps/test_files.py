"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convexpoison._utils.files import whole_file, write_npz


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with whole_file(path) as file:
        file.write(b"first")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"seco")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.npz"
    with pytest.raises(OSError), monkeypatch.context() as patch:
        # as after kill -9: the temporary file stays
        patch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError("killed")))
        patch.setattr("pathlib.Path.unlink", lambda *args, **options: None)
        write_npz(path, {"a": np.ones(3)})
    assert len(list(tmp_path.iterdir())) == 1 and not path.exists()
    write_npz(path, {"a": np.ones(3)})
    with np.load(path) as file:
        assert file["a"].tolist() == [1, 1, 1]
