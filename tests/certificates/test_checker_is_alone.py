"""Reading and checking a certificate needs neither a solver nor a trainer, and little of the library at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[1] / "old_files"
MOST_LINES = 4500
CODE = """
import json, sys
from pathlib import Path
import numpy as np
import convexpoison as cp

folder, name, rows = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
arrays = np.load(folder / rows)
X, y = arrays["X"], arrays["y"]
weight = arrays["sample_weight"] if "sample_weight" in arrays.files else None
found = cp.Certificate.load(folder / name)
verified = found.verify((X, y), weight)
ours = {m: getattr(sys.modules[m], "__file__", None) for m in sys.modules if m.split(".")[0] == "convexpoison"}
lines = sum(len(Path(file).read_text().splitlines()) for file in ours.values() if file)
foreign = sorted({m.split(".")[0] for m in sys.modules} & {"highspy", "cvxpy", "gurobipy", "sklearn", "torch", "matplotlib"})
print(json.dumps({"holds": bool(verified), "modules": sorted(ours), "lines": lines, "foreign": foreign}))
"""


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.glob("certificate_*.npz")))
def test_a_certificate_is_checked_without_solver_and_trainer(name: str) -> None:
    expected = json.loads((FILES / "expected.json").read_text())["certificates"]
    about = expected[name.removeprefix("certificate_").removesuffix(".npz")]
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(FILES), name, f"rows_{about['rows']}.npz"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["holds"]
    rooms = {module.split(".")[1] for module in found["modules"] if "." in module}
    assert not rooms & {"solvers", "loss_difference", "bounds", "attacks", "adapters", "results", "targets", "display"}
    assert not [module for module in found["modules"] if "trainers" in module or "implicit" in module]
    assert not found["foreign"]
    assert found["lines"] <= MOST_LINES
