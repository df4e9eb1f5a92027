"""What all commands keep to: JSON alone on standard output, exit statuses that help tells, completion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import convexpoison as cp
from convexpoison.cli.commands import main
from convexpoison.cli.options import EXIT_STATUS
from tests.cli.command import refused, run


@pytest.mark.parametrize("name", main.commands)
def test_help_ends_with_the_exit_statuses(name: str) -> None:
    told = " ".join(run(name, "-h").stdout.split())
    status = told[told.index("Exit status: ") :]
    assert all(number in status for number in ("0 ", "1 ", "2 bad input", "130 after Ctrl-C."))
    assert main.commands[name].epilog == EXIT_STATUS or name in ("verify", "sweep")


def test_every_command_that_answers_has_json() -> None:
    without = {name for name, command in main.commands.items() if not any(p.name == "as_json" for p in command.params)}
    assert without == {"completion"}


def test_a_solver_without_an_answer_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise cp.SolverError("no answer")

    monkeypatch.setattr("convexpoison.cli.attack.attack_function", fail)
    told = run("attack", "--dataset", "digits_17", "--target-error", 0.1, status=1)
    assert told.stdout == "" and told.stderr == "Error: no answer\n"


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convexpoison.cli.attack.attack_function", stop)
    told = run("attack", "--dataset", "digits_17", "--target-error", 0.1, status=130)
    assert told.stdout == "" and told.stderr == "interrupted\n"


def test_an_attack_that_ctrl_c_ends_tells_its_best_and_ends_with_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from convexpoison import api

    def stopped(*given: Any, **options: Any) -> Any:
        return replace(api.attack(*given, **options | {"max_points": 3}), stop_reason="interrupted")

    monkeypatch.setattr("convexpoison.cli.attack.attack_function", stopped)
    out = tmp_path / "run.npz"
    told = run("attack", "--dataset", "digits_17", "--target-error", 0.1, "--json", "--out", out, status=130)
    assert json.loads(told.stdout)["n_points"] == 3 and cp.AttackResult.load(out).n_points == 3


def test_json_is_alone_on_standard_output_of_the_program() -> None:
    command = [
        sys.executable,
        "-m",
        "convexpoison",
        "bound",
        "--dataset",
        "digits_17",
        "--target-error",
        "0.1",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout)["bound"]["certified"] is True


def test_a_saved_attack_knows_the_command_and_the_rows_that_made_it(tmp_path: Path) -> None:
    out = tmp_path / "a run.npz"
    run("attack", "--dataset", "digits_17", "--target-error", 0.1, "--max-points", 3, "--out", out)
    told = cp.AttackResult.load(out).provenance
    assert told["dataset"] == "digits_17" and told["image_shape"] == [8, 8]
    assert told["command"].startswith("convexpoison attack --dataset digits_17") and f"--out '{out}'" in told["command"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(shell: str) -> None:
    script = run("completion", shell).stdout
    assert "_CONVEXPOISON_COMPLETE" in script and "convexpoison" in script
    assert "is not one of" in refused("completion", "abacus")


def test_commands_and_options_are_completed() -> None:
    def completions(words: str, place: int) -> list[str]:
        asked = {"_CONVEXPOISON_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        code = "from convexpoison.cli.commands import main; main(prog_name='convexpoison')"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, timeout=60)
        return [line.split(",")[1] for line in done.stdout.splitlines()]

    assert completions("convexpoison re", 1) == ["report"]
    assert "--target-error" in completions("convexpoison attack --target", 2)
    assert completions("convexpoison attack --loss ", 3) == ["hinge", "squared_hinge", "logistic"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to ask")
def test_bash_takes_the_script() -> None:
    script = run("completion", "bash").stdout
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p convexpoison"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "_convexpoison_completion" in done.stdout


def test_the_group_is_the_one_that_is_documented() -> None:
    assert isinstance(main, click.Group)
    wanted = {"attack", "bound", "verify", "sweep", "minimax", "certify", "train", "poison", "report", "info", "demo"}
    assert wanted | {"completion"} == set(main.commands)
