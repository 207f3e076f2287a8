"""Messages between the dock and a viewer process: one JSON object a line, one frozen dataclass a message.

The dock writes ``Order``s to the viewer's standard input; the viewer writes ``Event``s to its standard
output. A ``Request`` is an event that is answered: by any number of ``Progress`` and one ``Reply``, all with
the request's number. The field list of a dataclass is the only list of what a message holds.
"""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, InvalidInput

M = TypeVar("M")
Attributes: TypeAlias = Mapping[str, Any]
"""An item in the DICOM JSON model (PS3.18 F.2), passed through unread."""
TYPE = "type"  # the key that names the message; no field has this name
MAX_QUOTED = 80  # characters of an unreadable line that an error may quote


class MessageError(DicomdockError):
    """A line between dock and viewer is not one of the messages that both know."""


# ---- Dock to viewer


@dataclass(frozen=True)
class Start:
    """Begin: the first line that a viewer reads.

    Parameters
    ----------
    secret : authorises the viewer's page from then on.
    one_time_token : opens the page a single time instead.
    settings : the dock's.
    port : to listen on; 0 for any free one.
    """

    secret: str = field(repr=False)
    one_time_token: str = field(repr=False)
    settings: Settings
    port: int = 0


@dataclass(frozen=True)
class OpenStudy:
    """Show a study.

    Parameters
    ----------
    resource : the study, or the series of it to begin with.
    pulling : it is being downloaded.
    coming : the series that are being downloaded, as their server describes them.
    """

    resource: Resource
    pulling: bool = False
    coming: tuple[Attributes, ...] = ()


@dataclass(frozen=True)
class PullChanged:
    """The download of the study began or ended.

    Parameters
    ----------
    running : it runs.
    reason : why it ended incomplete; empty otherwise.
    """

    running: bool
    reason: str = ""


@dataclass(frozen=True)
class ExpectSeries:
    """The server's description of the images of a series that is being downloaded.

    Parameters
    ----------
    series : Series Instance UID.
    metadata : one item for each instance.
    """

    series: str
    metadata: tuple[Attributes, ...]


@dataclass(frozen=True)
class Close:
    """End, after saving what was drawn."""


@dataclass(frozen=True)
class Progress:
    """How far a request is.

    Parameters
    ----------
    request : its number.
    done, total : instances.
    """

    request: int
    done: int
    total: int


@dataclass(frozen=True)
class ServersReply:
    """Where the study can be sent.

    Parameters
    ----------
    request : the number of the request.
    servers : names, in the user's order.
    default : the one that is proposed; empty for none.
    remark : a sentence for the user; may be empty.
    """

    request: int
    servers: tuple[str, ...]
    default: str
    remark: str = ""


StoreStatus = Literal["stored", "warning", "duplicate", "failed", "unconfirmed", "unsent"]


@dataclass(frozen=True)
class InstanceResult:
    """The server's answer for one instance.

    Parameters
    ----------
    instance, series : UIDs.
    status : the outcome; ``unsent`` where sending ended before.
    code : Failure or Warning Reason, where the server gave one.
    reason : the same as a sentence.
    """

    instance: str
    series: str
    status: StoreStatus
    code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class SendReply:
    """What became of each instance.

    Parameters
    ----------
    request : the number of the request.
    results : one for each instance.
    problem : why sending ended early; empty otherwise.
    """

    request: int
    results: tuple[InstanceResult, ...]
    problem: str = ""


@dataclass(frozen=True)
class FetchReply:
    """The download of missing source images began.

    Parameters
    ----------
    request : the number of the request.
    servers : where they come from.
    """

    request: int
    servers: tuple[str, ...]


@dataclass(frozen=True)
class ErrorReply:
    """The request failed.

    Parameters
    ----------
    request : the number of the request.
    message : why, a sentence for the user.
    """

    request: int
    message: str


Reply: TypeAlias = ServersReply | SendReply | FetchReply | ErrorReply
Order: TypeAlias = Start | OpenStudy | PullChanged | ExpectSeries | Close | Progress | Reply


# ---- Viewer to dock


@dataclass(frozen=True)
class Ready:
    """The page can be opened.

    Parameters
    ----------
    port : where it listens on 127.0.0.1.
    """

    port: int


@dataclass(frozen=True)
class SeriesShown:
    """The viewer begins to show a series.

    Parameters
    ----------
    series : Series Instance UID.
    """

    series: str


@dataclass(frozen=True)
class Settled:
    """Nothing is being loaded any more."""


@dataclass(frozen=True)
class StudyChanged:
    """Something was written to the study in the archive."""


@dataclass(frozen=True)
class ListServers:
    """Ask where the study can be sent.

    Parameters
    ----------
    request : its number.
    origin : the connection that the study came by; empty where it is unknown.
    """

    request: int
    origin: str


@dataclass(frozen=True)
class SendSeries:
    """Ask to send what was made on this computer.

    Parameters
    ----------
    request : its number.
    server : name.
    series : Series Instance UIDs.
    """

    request: int
    server: str
    series: tuple[str, ...]


@dataclass(frozen=True)
class FetchSources:
    """Ask to download the images that objects of the study refer to.

    Parameters
    ----------
    request : its number.
    """

    request: int


Request: TypeAlias = ListServers | SendSeries | FetchSources
Event: TypeAlias = Ready | SeriesShown | Settled | StudyChanged | Request

ORDERS: Mapping[str, type[Order]] = {kind.__name__: kind for kind in get_args(Order)}
EVENTS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


# ---- Encoding


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
