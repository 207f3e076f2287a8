"""Values out of files that people write, checked against the dataclass that they are for.

A field's type says what is taken; ``setting`` adds a range and a sentence, which an error repeats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from dicomdock.errors import DicomdockError

Value = TypeVar("Value")

_KINDS: Mapping[object, str] = MappingProxyType(
    {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text in quotes",
        Path: "a folder in quotes",
        tuple: "a list of texts",
    }
)


class Wrong(Exception):
    """A value that cannot be; its text is a sentence."""


def setting(default: Value, meaning: str, *, least: float = 0, most: float = math.inf) -> Value:
    """Return a field of a dataclass with its default, its meaning, and the numbers that it may hold."""
    made: Any = field(default=default, metadata={"meaning": meaning, "least": least, "most": most})
    return made  # type: ignore[no-any-return]


def meaning(item: Field[Any]) -> str:
    """Return what a field made by ``setting`` means; empty for others."""
    return str(item.metadata.get("meaning", ""))


def read_table(
    kind: type[Value], table: Mapping[str, object], where: str, *, error: type[DicomdockError]
) -> Value:
    """Make a dataclass of a table.

    Parameters
    ----------
    where : the file and the path to the table, to begin an error with.
    error : what is raised.

    Raises
    ------
    DicomdockError
        A key is not known, or a value is not what it must be.
    """
    try:
        return kind(**read_values(kind, table, where))
    except Wrong as wrong:
        raise error(str(wrong)) from None


def read_values(kind: type, table: Mapping[str, object], where: str) -> dict[str, object]:
    """Return the values of a table for the fields of a dataclass.

    Raises
    ------
    Wrong
        A key is not known, or a value is not what it must be.
    """
    hints = _hints(kind)
    known = {item.name: item for item in fields(kind)}
    values: dict[str, object] = {}
    for key, value in table.items():
        if key not in known:
            raise Wrong(f"{where}{key} is not known; known are {', '.join(known)}.")
        if is_dataclass(hints[key]) and isinstance(value, dict):
            inner: Any = hints[key]
            values[key] = inner(**read_values(inner, value, f"{where}{key}."))
        else:
            values[key] = _checked(hints[key], value, f"{where}{key}", known[key])
    return values


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)  # evaluates the text of every annotation


def _checked(hint: Any, value: object, where: str, item: Field[Any]) -> object:
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if kind is Literal:
        if value not in arguments:
            raise Wrong(f"{where} must be one of {', '.join(map(repr, arguments))}, not {value!r}.")
        return value
    if kind is tuple and isinstance(value, list):
        return tuple(_checked(arguments[0], inner, where, item) for inner in value)
    if isinstance(kind, type) and issubclass(kind, Mapping) and isinstance(value, dict):
        if arguments[1] is Any:
            return value
        return {key: _checked(arguments[1], inner, f"{where}.{key}", item) for key, inner in value.items()}
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser().absolute()
    if kind is float and type(value) is int:
        value = float(value)
    least, most = item.metadata.get("least", 0), item.metadata.get("most", math.inf)
    wrong = kind not in (bool, int, float, str) or type(value) is not kind
    if not wrong and isinstance(value, int | float) and kind is not bool:
        wrong = not least <= value <= most
    if wrong:
        limits = ""
        if kind in (int, float):
            limits = f" of at least {least}" if math.isinf(most) else f" from {least} to {most}"
        means = f" It is for: {meaning(item)}." if meaning(item) else ""
        raise Wrong(f"{where} must be {_KINDS.get(kind, 'a table')}{limits}, not {value!r}.{means}")
    return value
