"""Finds modules that are gone, so that :mod:`convexpoison._utils.moved` can say where their names are now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Finder(MetaPathFinder, Loader):
    """At the end of ``sys.meta_path``: asked only where nothing else has the module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("convexpoison."):
            return None
        from convexpoison._utils.moved import MOVED

        if not any(module == fullname or module.startswith(f"{fullname}.") for module in MOVED):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        from convexpoison._utils.moved import MOVED, moved_name

        if module.__name__ in MOVED:
            module.__getattr__ = partial(moved_name, module.__name__)  # type: ignore[method-assign]


def install() -> None:
    """Have modules that are gone found."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
