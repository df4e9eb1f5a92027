"""The shape of the package: modules and rooms depend downwards only, and few modules lie at the root."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import convexpoison

ROOT = Path(convexpoison.__file__).parent
PACKAGE = ROOT.name
MOST_ROOT_MODULES = 10  # without __init__ and __main__

Graph = dict[str, set[str]]


def _modules(root: Path) -> dict[str, Path]:
    """Return the path of every module of the package below `root`, by its dotted name without the package's own."""
    modules = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield each dotted name that a module imports, inside functions too, but not for type checkers only."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _graph(root: Path) -> Graph:
    """Return the modules that each module imports; the package's front door, which imports lazily, is left out."""
    modules = _modules(root)
    graph: Graph = {}
    for name, path in modules.items():
        found = set()
        for imported in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            if imported.startswith(f"{PACKAGE}."):
                inner = imported.removeprefix(f"{PACKAGE}.")
                found.add(inner if inner in modules else inner.rpartition(".")[0])
        graph[name] = {other for other in found if other in modules} - {name, ""}
    graph.pop("", None)
    return graph


def _rooms(graph: Graph) -> Graph:
    """Return the rooms that each room imports; a module at the root is a room of its own."""
    rooms: Graph = {}
    for name, others in graph.items():
        room = name.partition(".")[0]
        rooms.setdefault(room, set()).update({other.partition(".")[0] for other in others} - {room})
    return rooms


def _circle(graph: Graph) -> list[str]:
    """Return one circle of the graph, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    circle = _circle(_graph(ROOT))
    assert not circle, f"these modules import each other: {' <- '.join(circle)}; move what they share to a lower room"


def test_rooms_import_downwards_only() -> None:
    circle = _circle(_rooms(_graph(ROOT)))
    assert not circle, (
        f"these rooms import each other: {' <- '.join(circle)}; see 'Where things are' in CONTRIBUTING.md"
    )


def test_few_modules_lie_at_the_root() -> None:
    at_root = sorted(path.name for path in ROOT.glob("*.py") if not path.name.startswith("__"))
    assert len(at_root) <= MOST_ROOT_MODULES, f"{len(at_root)} modules at the root: {at_root}; give new ones a room"


@pytest.mark.parametrize("late", [False, True])
def test_a_circle_is_found(tmp_path: Path, late: bool) -> None:
    """Find a circle of two rooms, also where one of the imports stands in a function."""
    for room, other in (("upper", "lower"), ("lower", "upper")):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
        line = f"from {PACKAGE}.{other}.work import run\n"
        text = f"def run():\n    {line}" if late and room == "lower" else line
        (tmp_path / room / "work.py").write_text(text)
    graph = _graph(tmp_path)
    assert _circle(graph)
    assert _circle(_rooms(graph))


def test_imports_for_type_checkers_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(f"from {PACKAGE}.two import run\n")
    (tmp_path / "two.py").write_text(f"if TYPE_CHECKING:\n    from {PACKAGE}.one import run\n")
    assert not _circle(_graph(tmp_path))
