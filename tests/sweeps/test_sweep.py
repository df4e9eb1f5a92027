"""Sweeps: what they run, that nothing depends on how they run it, and what a store remembers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweep_tasks
from joblib import parallel_config

import convexpoison as cp
from convexpoison.datasets import Dataset
from convexpoison.sweeps import SweepResult
from convexpoison.sweeps.recipes import Rows, make

pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")

FLIP = {"label_flip": {"error": 0.1}}
HERE = str(Path(__file__).parent)


def table(result: SweepResult) -> Any:
    """Without what depends on the clock."""
    frame = result.to_frame()
    return frame.drop(columns=[name for name in frame.columns if name.split(".")[-1] == "seconds"])


def same(one: SweepResult, other: SweepResult) -> None:
    pandas.testing.assert_frame_equal(table(one), table(other))


# -------------------------------------------------------------------- attacks and bounds


def test_attacks_are_those_of_attack_itself(digits: Dataset, tmp_path: Path) -> None:
    grid = {
        "dataset": ["digits_17"],
        "victim": [{"loss": "hinge", "C_R": 0.05}, {"loss": "logistic", "C": 1.0, "intercept": "free"}],
        "target": [FLIP],
        "max_points": [4],
        "seed": [3],
    }
    result = cp.sweep(grid, store=tmp_path, keep_results=True)
    assert len(result) == 2 and not result.failed
    for k, victim in enumerate([cp.Victim("hinge", C_R=0.05), cp.Victim("logistic", C=1.0, intercept="free")]):
        target = cp.targets.label_flip(victim, digits.train, error=0.1, random_state=3).model
        direct = cp.attack(
            target, digits.train, victim=victim, space=digits.space, test_data=digits.test, max_points=4, random_state=3
        )
        kept = result.attack(k)
        np.testing.assert_array_equal(kept.points, direct.points)
        assert kept.bound.value == direct.bound.value
        row = result.to_frame().iloc[k]
        assert row["bound.value"] == direct.bound.value and row["accuracy"] == direct.history["accuracy"][-1]
        assert row["victim.loss"] == victim.loss.name and row["target.label_flip.error"] == 0.1
    assert "provenance" in result.records[0].result and "provenance.numpy" not in result.to_frame()


def test_bounds_and_what_is_in_memory(digits: Dataset) -> None:
    victim = cp.Victim("hinge", C_R=0.05)
    target = cp.targets.label_flip(victim, digits.train, error=0.1).model
    space = digits.space
    grid = {"dataset": [digits, digits.train], "victim": [victim], "target": [target], "space": [space]}
    result = cp.sweep(grid, "lower_bound")
    expected = cp.lower_bound(target, digits.train, victim=victim, space=space)
    frame = result.to_frame()
    assert frame["value"].tolist() == [expected.value] * 2 and frame["certified"].all()
    assert frame["dataset"][0].startswith("Dataset:") and frame["dataset"][1].startswith('["ndarray:')


def test_a_bound_for_a_goal(digits: Dataset) -> None:
    grid = {"dataset": ["digits_17"], "C_R": [0.05], "target": [{"flip": {"row": 3}}]}
    found = cp.sweep(grid, "lower_bound").to_frame()["n_points"][0]
    goal = cp.goals.Flip(digits.X_test[3])
    direct = cp.lower_bound(goal, digits.train, victim=cp.Victim(C_R=0.05), space=digits.space)
    assert found == direct.n_points > 0


def test_an_attack_on_a_goal_with_an_option_of_its_method(digits: Dataset) -> None:
    grid = {
        "dataset": ["digits_17"],
        "C_R": [0.05],
        "target": [{"error_rate": {"rate": 0.5}}],
        "method": ["label_flip"],
        "choose": ["random"],
        "max_points": [6],
        "seed": [2],
    }
    found = cp.sweep(grid).to_frame().iloc[0]
    direct = cp.attack(
        cp.goals.ErrorRate(0.5, *digits.test), digits.train, victim=cp.Victim(C_R=0.05), space=digits.space,
        method="label_flip", choose="random", max_points=6, random_state=2, test_data=digits.test,
    )  # fmt: skip
    assert found["n_points"] == direct.n_points == 6
    assert found["induced_bound.value"] == direct.induced_bound.value


def test_the_usual_method_for_a_goal_has_its_options() -> None:
    grid = {"dataset": ["digits_17"], "C_R": [0.05], "target": [{"error_rate": {"rate": 0.05}}], "max_iter": [5]}
    result = cp.sweep(grid | {"n_starts": [1], "seed": [0]})
    assert not result.failed, result.failed[0].error
    named = cp.sweep(grid | {"n_starts": [1], "seed": [0], "method": ["fewest_points"]})
    assert result.to_frame()["n_points"].tolist() == named.to_frame()["n_points"].tolist()
    with pytest.raises(ValueError, match="unknown parameter max_iter"):
        cp.sweep(grid | {"target": [FLIP], "max_points": [1]})
    with pytest.raises(TypeError, match="choose"):
        cp.sweep(grid | {"choose": ["random"]})


def test_test_rows_judge_a_target_only_where_asked(digits: Dataset) -> None:
    victim = cp.Victim("hinge", C_R=0.05)
    for options, rows in (
        ({}, {}),
        ({"evaluate": "test"}, {"evaluate": digits.test}),
        ({"flip": "test"}, {"flip": digits.test}),
    ):
        recipe = {"label_flip": {"error": 0.1, **options}}
        made = make(recipe, Rows(digits.train, digits.test), victim, 0)
        direct = cp.targets.label_flip(victim, digits.train, error=0.1, **rows).model
        np.testing.assert_array_equal(made.coef, direct.coef)
    without = Rows(digits.train)
    for options in ({"evaluate": "test"}, {"flip": "test"}, {"evaluate": "held_out"}):
        with pytest.raises(ValueError, match="where there are test rows"):
            make({"label_flip": {"error": 0.1, **options}}, without, victim, 0)


def test_a_subpopulation(digits: Dataset) -> None:
    target = {"subpopulation": {"rank": 1, "label": 1, "n_clusters": 4}}
    grid = {"dataset": ["digits_17"], "C_R": [0.05], "target": [target], "seed": [0]}
    found = cp.sweep(grid, "lower_bound")
    assert not found.failed, found.failed[0].error
    victim = cp.Victim(C_R=0.05)
    groups = cp.targets.subpopulations(*digits.train, label=1, n_clusters=4, random_state=0)
    second = cp.targets.best_classified(groups, victim.fit(*digits.train))[1]
    model = cp.targets.subpopulation_target(victim, digits.train, second).model
    expected = cp.lower_bound(model, digits.train, victim=victim, space=digits.space).value
    assert found.to_frame()["value"].tolist() == [expected]


def test_options_of_a_recipe_may_be_arrays() -> None:
    target = {"label_flip": {"error": np.float64(0.1), "quantiles": np.array([0.3, 0.5]), "copies": (5, 30)}}
    result = cp.sweep({"dataset": ["digits_17"], "C_R": [0.05], "target": [target], "max_points": [1]})
    assert not result.failed, result.failed[0].error
    assert result.records[0].params["target"]["label_flip"]["copies"] == [5, 30]


def test_a_target_is_shared_where_the_seed_is(digits: Dataset) -> None:
    grid = {"dataset": ["digits_17"], "C_R": [0.05], "target": [FLIP], "max_points": [1, 2]}
    own = cp.sweep(grid).to_frame()
    shared = cp.sweep(grid | {"seed": [0]}).to_frame()
    assert own["bound.value"].nunique() == 2 and own["random_state"].nunique() == 2
    assert shared["bound.value"].nunique() == 1 and shared["random_state"].tolist() == [0, 0]


# -------------------------------------------------------------------- the same result however it is run


def test_neither_n_jobs_nor_the_order_nor_a_store_changes_the_result(tmp_path: Path) -> None:
    grid = {"a": [1, 2, 3], "b": [0.5, 2]}
    alone = cp.sweep(grid, sweep_tasks.draw, random_state=7)
    assert alone.to_frame()["drawn"].nunique() == 6
    same(alone, cp.sweep(grid, sweep_tasks.draw, n_jobs=2, random_state=7, store=tmp_path))
    same(alone, cp.sweeps.load(tmp_path))
    with parallel_config(backend="threading", n_jobs=2):
        same(alone, cp.sweep(grid, sweep_tasks.draw, random_state=7))
    turned = cp.sweep({"b": [2, 0.5], "a": [3, 2, 1]}, sweep_tasks.draw, random_state=7)
    pandas.testing.assert_frame_equal(table(turned)[::-1].reset_index(drop=True), table(alone))
    other = cp.sweep(grid, sweep_tasks.draw, random_state=8)
    assert not set(other.to_frame()["drawn"]) & set(alone.to_frame()["drawn"])


def test_attacks_by_two_processes(tmp_path: Path) -> None:
    grid = {"dataset": ["digits_17"], "C_R": [0.05, 0.1], "target": [FLIP], "max_points": [3, 6]}
    same(cp.sweep(grid), cp.sweep(grid, n_jobs=2, store=tmp_path))


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_dask_cluster(processes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="dask[distributed] is not installed")
    monkeypatch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)
    grid = {"a": [1, 2, 3], "b": [0.5, 2]}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=processes, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        result = cp.sweep(grid, sweep_tasks.draw, random_state=7)
        attacks = cp.sweep({"dataset": ["digits_17"], "C_R": [0.05, 0.1], "target": [FLIP], "max_points": [3]})
        where = set(cp.sweep({"a": [1, 2, 3, 4]}, sweep_tasks.threads).to_frame()["process"])
    assert (os.getpid() in where) is not processes
    same(result, cp.sweep(grid, sweep_tasks.draw, random_state=7))
    same(attacks, cp.sweep({"dataset": ["digits_17"], "C_R": [0.05, 0.1], "target": [FLIP], "max_points": [3]}))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_one_thread_a_task(n_jobs: int) -> None:
    assert cp.sweep({"a": [1, 2]}, sweep_tasks.threads, n_jobs=n_jobs).to_frame()["most"].tolist() == [1, 1]


# -------------------------------------------------------------------- the store


def test_a_larger_grid_runs_only_what_is_new(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    grid = {"a": [1, 3], "marks": [str(marks)], "seconds": [0]}
    first = cp.sweep(grid, sweep_tasks.slow, store=tmp_path / "store")
    grown = cp.sweep(grid | {"a": [1, 2, 3]}, sweep_tasks.slow, store=tmp_path / "store")
    assert marks.read_text().split() == ["1", "3", "2"]
    assert [record.params["a"] for record in grown.records] == [1, 2, 3]
    assert [record.result for record in grown.records[::2]] == [record.result for record in first.records]
    smaller = cp.sweep(grid | {"a": [2.0]}, sweep_tasks.slow, store=tmp_path / "store")
    assert len(smaller) == 1 and len(marks.read_text().split()) == 3
    assert [record.params["a"] for record in cp.sweeps.load(tmp_path / "store").records] == [2, 1, 3]


def test_failures_are_recorded_and_retried_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(**options: Any) -> SweepResult:
        return cp.sweep({"a": [1, 2, 3]}, sweep_tasks.fail_at_two, store=tmp_path / "store", **options)

    result = run()
    (failed,) = result.failed
    assert failed.params == {"a": 2} and "fail_at_two" in failed.error and "two is not allowed" in failed.error
    assert result.to_frame()["status"].tolist() == ["ok", "failed", "ok"]
    assert "1 failed" in repr(result)
    mended = tmp_path / "mended"
    mended.touch()
    monkeypatch.setenv("SWEEP_TEST_MENDED", str(mended))
    assert len(run().failed) == 1  # nobody asked to try again
    again = run(retry_failed=True)
    assert not again.failed and again.to_frame()["square"].tolist() == [1, 4, 9]
    assert not cp.sweeps.load(tmp_path / "store").failed


def test_a_task_that_returns_no_dict_has_failed() -> None:
    (failed,) = cp.sweep({"a": [1]}, sweep_tasks.no_dict).failed
    assert "returns an AttackResult or a dict" in failed.error
    (failed,) = cp.sweep({"a": [1]}, sweep_tasks.leave).failed
    assert "nothing to do here" in failed.error


SCRIPT = """
import signal
import sys
import convexpoison as cp
import sweep_tasks
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job that was started in the background ignores it
if __name__ == "__main__":
    store, marks, n_jobs = sys.argv[1:]
    grid = {"a": list(range(12)), "marks": [marks], "seconds": [0.15]}
    cp.sweep(grid, sweep_tasks.slow, store=store, n_jobs=int(n_jobs))
"""


def start(tmp_path: Path, n_jobs: int) -> tuple[subprocess.Popen[str], Path]:
    """A sweep of 12 tasks in a process of its own; its store."""
    script, store = tmp_path / "script.py", tmp_path / "store"
    script.write_text(SCRIPT)
    paths = os.pathsep.join([HERE, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-W", "error", str(script), str(store), str(tmp_path / "marks"), str(n_jobs)]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    return process, store


def wait_for_records(store: Path, least: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(store.glob("[0-9a-f]*.json"))) < least:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_killed_sweep_goes_on_without_losing_or_repeating_a_task(tmp_path: Path, n_jobs: int) -> None:
    process, store = start(tmp_path, n_jobs)
    wait_for_records(store, 4)
    os.killpg(process.pid, signal.SIGKILL)  # the workers as well
    process.communicate()
    finished = cp.sweeps.load(store)
    n_finished = len(finished) - len(finished.pending)
    assert 4 <= n_finished < 12 and not finished.failed
    marks = tmp_path / "marks"
    marks.write_text("")
    grid = {"a": list(range(12)), "marks": [str(marks)], "seconds": [0.15]}
    resumed = cp.sweep(grid, sweep_tasks.slow, store=store, n_jobs=n_jobs)
    ran = sorted(map(int, marks.read_text().split()))
    assert ran == sorted(record.params["a"] for record in finished.pending)
    same(resumed, cp.sweep(grid, sweep_tasks.slow, n_jobs=2))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path: Path, n_jobs: int) -> None:
    process, store = start(tmp_path, n_jobs)
    wait_for_records(store, 3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "pending" in said and f"Finished tasks are in {store}; the same call again runs the rest" in said
    assert "Traceback" not in said
    found = cp.sweeps.load(store)
    assert 3 <= len(found) - len(found.pending) < 12 and not found.failed


def test_an_interrupted_attack_is_not_finished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from convexpoison.attacks.evaluate import Recorder

    look = Recorder.record

    def interrupted_once(self: Recorder) -> Any:
        if len(self.run.points) == 2:
            monkeypatch.setattr(Recorder, "record", look)
            raise KeyboardInterrupt
        return look(self)

    monkeypatch.setattr(Recorder, "record", interrupted_once)
    grid = {"dataset": ["digits_17"], "C_R": [0.05], "target": [FLIP], "max_points": [5]}
    result = cp.sweep(grid, store=tmp_path)
    assert result.interrupted and len(result.pending) == 1
    assert cp.sweep(grid, store=tmp_path).to_frame()["n_points"].tolist() == [5]


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a worker process died"):
        cp.sweep({"a": [1, 2]}, sweep_tasks.die, n_jobs=2, store=tmp_path)


def test_stores_of_other_things_say_so(tmp_path: Path) -> None:
    store = tmp_path / "store"
    cp.sweep({"a": [1]}, sweep_tasks.draw, store=store)
    with pytest.raises(ValueError, match="contains results of 'sweep_tasks:draw', not of 'sweep_tasks:threads'"):
        cp.sweep({"a": [1]}, sweep_tasks.threads, store=store)
    with pytest.warns(UserWarning, match="none of the 1 tasks in the store"):
        cp.sweep({"a": [5]}, sweep_tasks.draw, store=store)
    record = next(store.glob("[0-9a-f]*.json"))
    record.write_text(json.dumps(json.loads(record.read_text()) | {"version": "0.0.1"}))
    with pytest.warns(UserWarning, match=r"has records of convexpoison 0\.0\.1"):
        cp.sweep({"a": [1, 5]}, sweep_tasks.draw, store=store)
    record.write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        cp.sweeps.load(store)
    head = store / "sweep.json"
    head.write_text(json.dumps(json.loads(head.read_text()) | {"format": 99}))
    with pytest.raises(ValueError, match="has format 99"):
        cp.sweep({"a": [1]}, sweep_tasks.draw, store=store)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").touch()
    with pytest.raises(ValueError, match="is not the store of a sweep"):
        cp.sweep({"a": [1]}, sweep_tasks.draw, store=tmp_path / "letters")
    with pytest.raises(ValueError, match="is not the store of a sweep"):
        cp.sweeps.load(tmp_path / "nowhere")
