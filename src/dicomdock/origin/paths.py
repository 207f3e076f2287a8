"""Find the transaction of a request by its path, in one step for all of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

Answer = Callable[[Request], Awaitable[Response]]
_SLASHES = re.compile("/{2,}")
_FOUND = "dicomdock.path"


@dataclass(slots=True)
class _Node:
    """One segment of the paths, and what may follow it."""

    literal: dict[str, _Node] = field(default_factory=dict)
    variable: tuple[str, _Node] | None = None
    rest: str = ""  # the name of all that follows
    answers: Mapping[str, Answer] | None = None


class Paths(BaseRoute):
    """All transactions, found by the segments of a path.

    A refusal of a method names every one of the path (RFC 9110 §10.2.1).

    Parameters
    ----------
    answers : path with ``{names}`` (``{name:path}`` for all that follows) -> what answers each method.
    """

    def __init__(self, answers: Mapping[str, Mapping[str, Answer]]) -> None:
        self.answers = answers
        self._root = _Node()
        for path, methods in answers.items():
            self._add(path.strip("/").split("/"), methods)

    def _add(self, segments: Sequence[str], methods: Mapping[str, Answer]) -> None:
        node = self._root
        for segment in segments:
            name = segment.strip("{}")
            if segment == name:
                node = node.literal.setdefault(name, _Node())
            elif name.endswith(":path"):
                node.rest = name.removesuffix(":path")
            else:
                node.variable = node.variable or (name, _Node())
                node = node.variable[1]
        node.answers = methods

    def _find(self, path: str) -> tuple[Mapping[str, Answer], dict[str, str]] | None:
        node, named = self._root, dict[str, str]()
        segments = path[1:].split("/")
        for number, segment in enumerate(segments):
            if node.rest:
                named[node.rest] = "/".join(segments[number:])
                break
            if following := node.literal.get(segment):
                node = following
            elif node.variable and segment:
                named[node.variable[0]] = segment
                node = node.variable[1]
            else:
                return None
        return (node.answers, named) if node.answers is not None else None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a path; slashes may be doubled, as clients put addresses together."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path, root = scope["path"], scope.get("root_path", "")
        path = _SLASHES.sub("/", path) if "//" in path else path
        found = self._find(path.removeprefix(root) if root and path.startswith(f"{root}/") else path)
        if found is None:
            return Match.NONE, {}
        answers, named = found
        child = {"endpoint": self, _FOUND: answers, "path_params": {**scope.get("path_params", {}), **named}}
        return Match.FULL if scope["method"] in answers else Match.PARTIAL, child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that matched."""
        answers: Mapping[str, Answer] = scope[_FOUND]
        answer = answers.get(scope["method"])
        if answer is None:
            headers = {"Allow": ", ".join((*answers, "OPTIONS"))}
            refusal = PlainTextResponse("Method Not Allowed", 405, headers)
            options = scope["method"] == "OPTIONS"
            await (Response(status_code=204, headers=headers) if options else refusal)(scope, receive, send)
            return
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)
