"""MONAI Label's REST interface: its models, what they infer, labels that are submitted, and the next sample.

A series is sent as a NIfTI file with the request and not stored there; a server that has our origin server as
its data store (``--studies``) knows images by their Series Instance UID.

References
----------
MONAI Label 0.8, https://docs.monai.io/projects/label (the server's ``/docs`` describes the interface).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dicomdock.config.settings import Settings
from dicomdock.config.tools import MAX_LABELS, MAX_VALUE, Tool
from dicomdock.errors import ToolError
from dicomdock.sources import JsonValue
from dicomdock.tools.service import CHUNK, connected, exchange
from dicomdock.tools.step import Run, Step
from dicomdock.web.multipart.reader import read_parts
from dicomdock.web.response import Response
from dicomdock.web.transport import Http, Requests

MAX_JSON = 16 << 20  # bytes of an answer in JSON
MAX_MODELS = 500
FINAL = "final"
"""The tag of labels that a person has submitted."""
_JSON_START = b"{"
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Model:
    """A model of a server.

    Parameters
    ----------
    name, kind, description : as the server states them; ``kind`` is ``segmentation``, ``deepedit``, …
    labels : value of the label map -> name.
    dimension : of the images that it takes.
    """

    name: str
    kind: str = ""
    description: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    dimension: int = 3


@dataclass(frozen=True)
class Info:
    """What a server says of itself.

    Parameters
    ----------
    name, version : of its app.
    models : by name.
    strategies : for the next sample.
    """

    name: str
    version: str
    models: Mapping[str, Model]
    strategies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """An image that a server wants to have annotated next.

    Parameters
    ----------
    image : its id; the Series Instance UID where the server's data store is DICOMweb.
    study : Study Instance UID, where the server states it.
    """

    image: str
    study: str = ""


def info(http: Requests) -> Info:
    """Ask a server what it has.

    Raises
    ------
    ToolError
        It does not answer as MONAI Label does.
    Unreachable, TransactionError, AuthenticationError
        As requests to servers.
    """
    with http.request("GET", "/info/", accept="application/json", what="the look at its models") as answer:
        document = _json(answer)
    models = document.get("models")
    if not isinstance(models, dict) or len(models) > MAX_MODELS:
        raise ToolError("The server does not list models as MONAI Label does; check its address.")
    found = {str(name): _model(str(name), one) for name, one in models.items() if isinstance(one, dict)}
    strategies = document.get("strategies")
    return Info(
        _words(document.get("name")),
        _words(document.get("version")),
        found,
        tuple(map(str, strategies)) if isinstance(strategies, dict) else (),
    )


def infer(
    tool: Tool, settings: Settings, image: Path, run: Run, parameters: Mapping[str, JsonValue]
) -> Generator[Step, None, bytes]:
    """Let a model segment an image; yield steps and return the label map, a NIfTI file.

    Parameters
    ----------
    parameters : of the model, points among them.

    Raises
    ------
    ToolError, TimedOut, Cancelled
        It gave no label map or too much, took too long, or was cancelled.
    Unreachable, TransactionError, AuthenticationError, ProfileError
        As requests to servers.
    """
    with connected(tool, settings) as http:

        def work() -> bytes:
            params = json.dumps(parameters)
            body = FormBody({"params": params}, "file", image, "image.nii.gz")
            path = f"/infer/{quote(tool.model, safe='')}"
            with http.request(
                "POST", path, query=(("output", "image"),), body=body, what=f"the run of {tool.model}"
            ) as answer:
                return _label_map(tool, answer)

        return (yield from exchange(http, run, work))


def save_label(http: Http, image: str, labels: Path, tag: str = FINAL) -> None:
    """Submit a label map of an image.

    Parameters
    ----------
    image : the server's id of it.
    labels : a NIfTI file.

    Raises
    ------
    Unreachable, TransactionError, AuthenticationError
        As requests to servers.
    """
    body = FormBody({"params": "{}"}, "label", labels, "label.nii.gz")
    query = (("image", image), ("tag", tag))
    with http.request(
        "PUT", "/datastore/label", query=query, body=body, what="the submission of labels"
    ) as answer:
        _json(answer)


def next_sample(http: Http, strategy: str) -> Sample | None:
    """Ask which image is to be annotated next; None where there is none.

    Raises
    ------
    ToolError
        It does not answer as MONAI Label does.
    Unreachable, TransactionError, AuthenticationError
        As requests to servers.
    """
    path = f"/activelearning/{quote(strategy, safe='')}"
    with http.request(
        "POST", path, accept="application/json", body=JsonBody(b"{}"), what="the question for the next sample"
    ) as answer:
        document = _json(answer)
    if not document:
        return None
    image = document.get("SeriesInstanceUID") or document.get("id")
    if not isinstance(image, str) or not image:
        raise ToolError("The server does not name the next image as MONAI Label does.")
    return Sample(_words(image), _words(document.get("StudyInstanceUID")))


@dataclass(frozen=True)
class JsonBody:
    """A JSON document as the body of a request."""

    data: bytes
    content_type: str = "application/json"

    @property
    def length(self) -> int:
        """Its bytes."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """Return its bytes."""
        yield self.data


class FormBody:
    """Fields and one file as a form, in constant memory (RFC 7578).

    Parameters
    ----------
    fields : names and values.
    name, file, shown : of the file: its field, where it is, and the name that the server sees.
    """

    def __init__(self, fields: Mapping[str, str], name: str, file: Path, shown: str) -> None:
        boundary = f"dicomdock-{uuid.uuid4().hex}"
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._file = file
        heads = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        heads.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{shown}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head, self._end = "".join(heads).encode(), f"\r\n--{boundary}--\r\n".encode()

    @property
    def length(self) -> int:
        """Its bytes."""
        return len(self._head) + self._file.stat().st_size + len(self._end)

    def chunks(self) -> Iterator[bytes]:
        """Return its bytes from the beginning."""
        yield self._head
        with self._file.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
        yield self._end


def _label_map(tool: Tool, answer: Response) -> bytes:
    """Return the file of an answer: its body, or the part of a form that is one."""
    if answer.content_type.startswith("multipart/"):
        data, total = b"", 0
        for part in read_parts(answer.chunks(), answer.content_type):
            pieces = []
            for piece in part.chunks():
                total += len(piece)
                if total > tool.max_output:
                    raise ToolError(
                        f"The model {tool.model} gave more than {tool.max_output:,} bytes; nothing is stored."
                    )
                pieces.append(bytes(piece))
            if "filename" in part.headers.get("content-disposition", ""):
                data = b"".join(pieces)
    else:
        data = answer.read(tool.max_output)
    if not data or data.lstrip()[:1] == _JSON_START:
        raise ToolError(f"The model {tool.model} gave no label map; nothing was stored.")
    return data


def _json(answer: Response) -> dict[str, Any]:
    try:
        document = json.loads(answer.read(MAX_JSON) or b"{}")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ToolError("The server does not answer as MONAI Label does; check its address.")
    return document


def _model(name: str, one: Mapping[str, Any]) -> Model:
    dimension = one.get("dimension")
    return Model(
        name,
        _words(one.get("type")),
        _words(one.get("description")),
        _labels(one.get("labels")),
        dimension if isinstance(dimension, int) else 3,
    )


def _labels(given: object) -> dict[int, str]:
    """Return labels by value: a mapping states values, a list counts from 1; a background is none."""
    pairs: list[tuple[object, object]] = []
    if isinstance(given, dict):
        pairs = [(value, name) for name, value in given.items()]
    elif isinstance(given, list):
        pairs = list(enumerate(given, 1))
    labels: dict[int, str] = {}
    for value, name in pairs[: MAX_LABELS + 1]:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= MAX_VALUE:
            continue
        label = _words(name)[:64].strip()
        if value == int(value) and label:
            labels.setdefault(int(value), label)
    return dict(sorted(labels.items()))


def _words(value: object) -> str:
    text = _SPACES.sub(" ", value) if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:1000].strip()
