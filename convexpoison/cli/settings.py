"""Repeatable ``--option name=value``: keyword arguments of a library function, checked against its annotations."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click
import yaml

_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    NoneType: (NoneType,),
}


def settings_option(flag: str, help: str) -> Callable[[Any], Any]:
    """Return the option whose values :func:`read_settings` reads."""
    name = flag.removeprefix("--").replace("-", "_") + "s"
    return click.option(flag, name, multiple=True, metavar="NAME=VALUE", help=help)


def read_settings(
    pairs: Sequence[str],
    function: Callable[..., Any],
    what: str,
    *,
    flag: str = "--option",
    without: Sequence[str] = (),
) -> dict[str, Any]:
    """Read keyword arguments from pairs ``name=value``.

    Parameters
    ----------
    pairs : sequence of str
        A value is read as JSON, or else as YAML: numbers, true, false, null, strings, lists.
    function : callable
        Its parameters with a default can be set.
    what : str
        The name of the function in messages.
    flag : str
        The option that the pairs belong to.
    without : sequence of str
        Parameters that have options of their own.

    Raises
    ------
    click.UsageError
        If a pair has no "=", a name is unknown or repeated, or a value has the wrong type; the message lists what is accepted.
    """
    known = known_settings(function, without)
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        name = name.replace("-", "_")
        if not equals or name not in known:
            takes = f"NAME=VALUE, with a name of {', '.join(known)}" if known else "no further settings"
            raise click.UsageError(f"{flag} {pair}: {what} takes {takes}")
        if name in found:
            raise click.UsageError(f"{flag} {pair}: {name} is given twice")
        value, hint = _value(flag, pair, text), hints[name]
        if _plain(hint) and not _fits(value, hint):
            raise click.UsageError(f"{flag} {pair}: {name} must be {_in_words(hint)}; got {value!r}")
        found[name] = value
    return found


def known_settings(function: Callable[..., Any], without: Sequence[str] = ()) -> list[str]:
    """Return the names of the parameters that have a default."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is not p.empty and p.name not in without]


def _value(flag: str, pair: str, text: str) -> Any:
    try:
        return json.loads(text)  # first, since 1e-4 is no number in YAML
    except json.JSONDecodeError:
        pass
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise click.UsageError(f"{flag} {pair}: the value is neither JSON nor YAML") from None


def _plain(hint: Any) -> bool:
    """Return whether the annotation determines the allowed values; other types are checked by the function."""
    if hint in _SCALARS or get_origin(hint) is Literal:
        return True
    return get_origin(hint) in (Union, UnionType, tuple) and all(_plain(part) for part in get_args(hint))


def _fits(value: Any, hint: Any) -> bool:
    if hint in _SCALARS:
        return isinstance(value, _SCALARS[hint]) and (not isinstance(value, bool) or hint is bool)
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return value in parts
    if get_origin(hint) is tuple:
        return isinstance(value, list) and len(value) == len(parts) and all(map(_fits, value, parts))
    return any(_fits(value, part) for part in parts)


def _in_words(hint: Any) -> str:
    parts = get_args(hint)
    if hint is NoneType:
        return "null"
    if hint in _SCALARS:
        return {int: "an integer", float: "a number", bool: "true or false", str: "a string"}[hint]
    if get_origin(hint) is Literal:
        return " or ".join(map(str, parts))
    if get_origin(hint) is tuple:
        return f"[{', '.join(map(_in_words, parts))}]"
    return " or ".join(map(_in_words, parts))
