"""The encoding of messages: a JSON object a line, checked against the fields of the message."""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.rpc.messages import EVENTS, ORDERS, Attributes, Event, Order

M = TypeVar("M")
TYPE = "type"  # the key that names the message; no field has this name
MAX_QUOTED = 80  # characters of an unreadable line that an error may quote


class MessageError(DicomdockError):
    """A line between dock and viewer is not one of the messages that both know."""


def encode(message: Order | Event) -> bytes:
    """Write a message as one line."""
    return json.dumps({TYPE: type(message).__name__, **_plain(message)}).encode("ascii") + b"\n"


def decode_order(line: bytes) -> Order:
    """Read a line of the dock.

    Raises
    ------
    MessageError
        The line is not an order, or a field of it is missing, unknown or of the wrong type.
    """
    return _decode(line, ORDERS)


def decode_event(line: bytes) -> Event:
    """Read a line of a viewer.

    Raises
    ------
    MessageError
        The line is not an event, or a field of it is missing, unknown or of the wrong type.
    """
    return _decode(line, EVENTS)


def _decode(line: bytes, known: Mapping[str, type[M]]) -> M:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        # Quoted no further: what libraries print by mistake may be anything, but never long.
        raise MessageError(f"{line[:MAX_QUOTED]!r} is not a JSON message.") from error
    name = found.pop(TYPE, None) if isinstance(found, dict) else None
    kind = known.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MessageError(f"{name!r} is not a message of this direction; known are {', '.join(known)}.")
    return _build(kind, found, kind.__name__)


def _plain(value: Any) -> Any:
    if isinstance(value, Resource):
        return value.path  # keeps frames, and a server's own odd UIDs
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _build(kind: type[M], found: Mapping[str, Any], where: str) -> M:
    hints = _hints(kind)  # type: ignore[arg-type]  # a class is hashable
    if unknown := found.keys() - hints.keys():
        raise MessageError(f"{where} has no field {min(unknown)!r}.")
    values = {name: _read(hints[name], value, f"{where}.{name}") for name, value in found.items()}
    try:
        return kind(**values)
    except TypeError:
        missing = [one.name for one in fields(kind) if one.name not in found]  # type: ignore[arg-type]
        raise MessageError(f"{where} lacks {', '.join(missing)}.") from None


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(hint: Any, value: Any, where: str) -> Any:
    """Read a value of the annotated type, and no other."""
    if (reader := _READERS.get(hint)) is not None:
        return reader(value, where)
    if get_origin(hint) is tuple:
        (item, _) = get_args(hint)
        return tuple(_read(item, one, where) for one in _of(list, value, where))
    if get_origin(hint) in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        (other,) = (one for one in get_args(hint) if one is not type(None))
        return _read(other, value, where)
    if get_origin(hint) is Literal:
        if not isinstance(value, str) or value not in get_args(hint):
            raise MessageError(f"{where} must be one of {', '.join(get_args(hint))}.")
        return value
    return _build(hint, _of(dict, value, where), where)


def _of(kind: type[M], value: Any, where: str) -> M:
    # A bool is an int for Python, but not in a message.
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise MessageError(f"{where} must be {kind.__name__}, not {type(value).__name__}.")
    return value


def _read_resource(value: Any, where: str) -> Resource:
    try:
        return Resource.parse(_of(str, value, where))
    except InvalidInput as error:
        raise MessageError(f"{where}: {error}") from error


def _read_number(value: Any, where: str) -> float:
    return float(_of(int, value, where)) if isinstance(value, int) else _of(float, value, where)


_READERS: Mapping[Any, Callable[[Any, str], Any]] = {
    str: functools.partial(_of, str),
    int: functools.partial(_of, int),
    bool: functools.partial(_of, bool),
    float: _read_number,
    Path: lambda value, where: Path(_of(str, value, where)),
    Resource: _read_resource,
    Attributes: functools.partial(_of, dict),
}
