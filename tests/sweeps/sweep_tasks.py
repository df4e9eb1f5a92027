"""Tasks that the tests of sweeps run; in a module of their own, so that worker processes can import them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info


def draw(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    """Something random, with what numpy returns."""
    rng = np.random.default_rng(random_state)
    return {"drawn": rng.normal(), "power": np.float64(params["a"]) ** params.get("b", 1), "row": rng.normal(size=2)}


def fail_at_two(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    """Fails where a = 2, unless the file exists that the environment names."""
    if params["a"] == 2 and not Path(os.environ.get("SWEEP_TEST_MENDED", "nowhere")).exists():
        raise ArithmeticError("two is not allowed")
    return {"square": params["a"] ** 2}


def slow(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    """Leaves a mark each time it ends, so that repeated tasks are seen."""
    time.sleep(params["seconds"])
    with open(params["marks"], "a") as file:
        file.write(f"{params['a']}\n")
    return {"drawn": np.random.default_rng(random_state).normal()}


def threads(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    return {"most": max(pool["num_threads"] for pool in threadpool_info()), "process": os.getpid()}


def die(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    os._exit(3)


def no_dict(params: dict[str, Any], random_state: int) -> Any:
    return 3


def wrong_call(params: dict[str, Any]) -> dict[str, Any]:
    return {}


def leave(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    raise SystemExit("nothing to do here")
