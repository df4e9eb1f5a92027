"""Grids and YAML files: what they mean, and what is refused before any task starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweep_tasks
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import convexpoison as cp
from convexpoison.cli.commands import main
from convexpoison.sweeps.grid import make_tasks, read_plan

FLIP = {"label_flip": {"error": 0.1}}
GOOD = {"dataset": ["digits_17"], "C_R": [0.05], "target": [FLIP], "max_points": [2]}


def test_a_task_that_comes_twice_counts_once() -> None:
    tasks = make_tasks([{"a": [1, 2]}, {"a": [2.0, np.int64(1), 3]}], "job", 0)
    assert [task.params["a"] for task in tasks] == [1, 2, 3]


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=6, unique=True), st.integers(0, 2**40))
def test_seeds_belong_to_the_parameters(values: list[float], random_state: int) -> None:
    tasks = make_tasks({"a": values}, "job", random_state)
    for task in tasks:
        (alone,) = make_tasks({"a": [task.params["a"]]}, "job", random_state)
        assert (alone.key, alone.random_state) == (task.key, task.random_state)
    assert len({task.random_state for task in tasks}) == len(tasks)  # 15 pairs at most, 2**32 seeds


def test_yaml(tmp_path: Path) -> None:
    text = "task: lower_bound\nrandom_state: 4\ngrid:\n  C: [1e-3, 2, 1.5e2, -1E+2]\n  name: [e3, no1]\n"
    plan = read_plan(text)
    assert plan.grid == {"C": [1e-3, 2, 150.0, -100.0], "name": ["e3", "no1"]}
    assert (plan.task, plan.random_state) == ("lower_bound", 4)
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    assert read_plan(file) == read_plan(str(file)) == plan
    assert read_plan("- {a: [1]}\n- {b: [2]}\n").grid == [{"a": [1]}, {"b": [2]}]


@pytest.mark.parametrize(
    ("grid", "task", "message"),
    [
        ({}, "attack", "the grid is empty"),
        ([], "attack", "the grid is empty"),
        ({"a": []}, sweep_tasks.draw, "at least one value|non-empty"),
        ({"a": 3}, sweep_tasks.draw, "list"),
        ("grid: {}\nfoo: 3\n", "attack", "foo beside 'grid'"),
        ("just words", "attack", "must contain parameters"),
        ("a: [1\n", "attack", "is not YAML"),
        (GOOD | {"epsilon": [0.1]}, "attack", "unknown parameter epsilon; there are dataset, .*eps"),
        (GOOD | {"copies": [1]}, "lower_bound", "unknown parameter copies"),
        (GOOD | {"dataset": ["iris"]}, "attack", "unknown data set 'iris'; choose one of"),
        (GOOD | {"method": ["best"]}, "attack", "unknown method 'best'; choose one of follow_the_leader"),
        (GOOD | {"method": ["kkt"], "max_points": [None]}, "attack", "method='kkt' has a budget; pass max_points.*in the task"),
        (GOOD | {"method": ["optimal"], "copies": [2]}, "attack", "max_points, copies do not apply.*in the task"),
        (GOOD | {"method": ["min_max"], "max_points": [5]}, "attack", "method='min_max' needs a goal.*in the task"),
        (GOOD | {"loss": ["hing"]}, "attack", "hing"),
        (GOOD | {"C_R": [-1]}, "attack", "C_R must be positive.*in the task"),
        (GOOD | {"C": [1]}, "attack", "exactly one of C"),
        (GOOD | {"victim": [cp.Victim(C=1)]}, "attack", "give victim or C_R, not both"),
        (GOOD | {"space": ["round"]}, "attack", "unknown space 'round'"),
        (GOOD | {"target": [{"flip_labels": {}}]}, "attack", "unknown recipe 'flip_labels'.*choose one of label_flip"),
        (GOOD | {"target": [{"label_flip": {"rate": 0.1}}]}, "attack", "its options are error, flip"),
        (GOOD | {"target": [{"label_flip": 0.1}]}, "attack", "takes options"),
        (GOOD | {"seed": [1.5]}, "attack", "seed must be an integer"),
        ({"dataset": ["digits_17"], "C_R": [1]}, "attack", "the grid needs 'target'"),
        ({"target": [FLIP], "C_R": [1]}, "attack", "the grid needs 'dataset'"),
        ({"dataset": ["digits_17"], "target": [FLIP]}, "attack", "needs a victim: give C or C_R"),
        ({"a": [lambda x: x]}, sweep_tasks.draw, "has no hash"),
        ({"a": [1]}, "atack", "unknown task 'atack'; choose one of attack, lower_bound"),
        ({"a": [1]}, "no_such_module:run", "cannot be imported"),
        ({"a": [1]}, "sweep_tasks:run", "has no function 'run'"),
        ({"a": [1]}, 3, "must be a name or a callable"),
        ({"a": [1]}, sweep_tasks.wrong_call, "task\\(params, random_state\\)"),
        ({"a": [1]}, lambda params, random_state: {}, "it is a lambda"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_leaves_nothing(grid: Any, task: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        cp.sweep(grid, task, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a file"):
        cp.sweep(tmp_path / "grid.yaml")
    with pytest.raises(ValueError, match="pass store="):
        cp.sweep(GOOD, keep_results=True)
    for wrong in (-1, 0.5, True):
        with pytest.raises(ValueError, match="random_state must be a non-negative integer"):
            cp.sweep(GOOD, random_state=wrong)  # type: ignore[arg-type]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written to"):
        cp.sweep({"a": [1]}, sweep_tasks.draw, store=tmp_path / "file")
    here = sweep_tasks.draw

    def inner(params: dict[str, Any], random_state: int) -> dict[str, Any]:
        return here(params, random_state)

    with pytest.raises(TypeError, match="a closure over variables"):
        cp.sweep({"a": [1]}, inner, store=tmp_path / "store")
    assert not cp.sweep({"a": [1, 2]}, inner, n_jobs=2).failed  # without a store nothing is mixed up


# -------------------------------------------------------------------- the table


def test_names_that_clash_and_columns_of_several_kinds(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra 'frame')")
    result = cp.sweep([{"a": [1, "x"], "power": [3]}, {"b": [[1, 2]], "a": [2]}], fake)
    frame = result.to_frame()
    assert frame["result.power"].tolist() == [7, 7, 7] and frame["power"].dropna().tolist() == [3, 3]
    assert frame["result.seconds"].tolist() == [0, 0, 0] and (frame["seconds"] > 0).all()
    assert frame["b"].dropna().tolist() == ["[1, 2]"]
    result.to_parquet(tmp_path / "table.parquet")
    again = pandas.read_parquet(tmp_path / "table.parquet")
    assert again["a"].tolist() == ["1", "x", "2"] and list(again.columns) == list(frame.columns)
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def fake(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    return {"power": 7, "seconds": 0, "words": {"status": "fine"}}


def test_a_heat_map_shows_means() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    result = cp.sweep([{"a": [1, 2], "b": [1, 2], "c": [0, 5]}, {"a": [3], "b": [3], "c": [0]}], product)
    ax = result.plot("a", "b", "product")
    shown = ax.images[0].get_array()
    assert shown.shape == (3, 3) and shown[1, 1] == 4 + 2.5 and shown[2, 2] == 9
    assert shown.mask.sum() == 4 and len(ax.texts) == 5
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3"]
    with pytest.raises(ValueError, match="no column 'z'; the columns are a, b"):
        result.plot("a", "z")
    with pytest.raises(ValueError, match="distinct columns"):
        result.plot("a", "a", "product")
    with pytest.raises(ValueError, match="is not numeric"):
        result.plot("a", "b", "status")


def product(params: dict[str, Any], random_state: int) -> dict[str, Any]:
    return {"product": params["a"] * params["b"] + params["c"]}


# -------------------------------------------------------------------- the command line


def run(*arguments: Any, status: int = 0) -> Any:
    result = CliRunner().invoke(main, ["sweep", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


def test_the_command(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra 'frame')")
    grid, store, parquet = tmp_path / "grid.yaml", tmp_path / "store", tmp_path / "table.parquet"
    grid.write_text(
        "dataset: [digits_17]\nC_R: [0.05]\nmax_points: [2, 3]\nseed: [1]\ntarget:\n  - label_flip: {error: 0.1}\n"
    )
    facts = json.loads(run(grid, "--store", store, "--json", "--parquet", parquet, "--keep-results").stdout)
    assert (facts["tasks"], facts["finished"], facts["failed"], facts["interrupted"]) == (2, 2, [], False)
    assert pandas.read_parquet(parquet)["n_points"].tolist() == [2, 3]
    assert cp.sweeps.load(store).attack(1).n_points == 3
    assert "2 tasks: 2 finished, 0 failed, 0 pending" in run(grid, "--store", store).stdout


def test_the_exit_status_tells_failures_and_bad_input(tmp_path: Path) -> None:
    grid, store = tmp_path / "grid.yaml", tmp_path / "store"
    grid.write_text("task: sweep_tasks:fail_at_two\ngrid:\n  a: [1, 2]\n")
    facts = json.loads(run(grid, "--store", store, "--json", status=1).stdout)
    assert facts["failed"][0]["params"] == {"a": 2} and "two is not allowed" in facts["failed"][0]["error"]
    assert "failed: {'a': 2}: ArithmeticError" in run(grid, "--store", store, "--retry-failed", status=1).stdout
    assert "is not a file" in run(tmp_path / "no.yaml", "--store", store, status=2).stderr
    refused = run(grid, "--store", tmp_path / "other", "--task", "nothing", status=2)
    assert "unknown task 'nothing'" in refused.stderr and refused.stdout == ""


def test_a_folder_that_is_not_there_is_told_before_the_work(tmp_path: Path, pandas: Any) -> None:
    (tmp_path / "grid.yaml").write_text("task: sweep_tasks:draw\ngrid:\n  a: [1, 2]\n")
    table = tmp_path / "no" / "t"
    refused = run(tmp_path / "grid.yaml", "--store", tmp_path / "store", "--parquet", table, status=2)
    assert "does not exist" in refused.stderr and not (tmp_path / "store").exists()


def test_the_example_is_a_good_grid() -> None:
    plan = read_plan(Path(__file__).parents[2] / "examples" / "grid.yaml")
    assert len(make_tasks(plan.grid, "attack", 0)) == 16
