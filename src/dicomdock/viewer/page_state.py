"""The state that the viewer shares with its page, as a dataclass a feature instead of keys in strings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from types import SimpleNamespace, TracebackType
from typing import Any, Generic, TypeVar, cast

from trame_server.utils.typed_state import TypedState

A_TURN = 1e-4
"""Seconds; timers of the event loop that were set before, for no time at all, end first.

wslink sends what is published a turn of its loop later, and an answer at once: without a turn between them an
answer would reach the page before the state that was changed ahead of it.
"""

T = TypeVar("T")


class PageState(Generic[T]):
    """trame's typed state under the plain names of its fields, as the page's templates write them.

    In a ``with`` block several changes reach the page together.

    Parameters
    ----------
    state : trame's.
    fields_of : the dataclass; its defaults are the initial values.
    prefix : before each name, where the page has several of the kind: ``Red`` makes ``Red_at`` of ``at``.

    Attributes
    ----------
    data : the present values; setting one changes the page.
    name : the key of each field, for templates and ``bind_changes``.
    """

    data: T
    name: T

    def __init__(self, state: Any, fields_of: type[T], prefix: str = "") -> None:
        self.name = names_of(fields_of, prefix)
        self._state = state
        self._typed = TypedState(_PlainKeys(state, prefix), fields_of)
        self.data = self._typed.data
        self._inner = {
            getattr(self.name, one.name): getattr(self._typed.name, one.name)
            for one in fields(cast(Any, fields_of))
        }

    def bind_changes(self, changes: Mapping[Any, Callable[..., Any]]) -> None:
        """Call a function with the new values when its field, or one of its tuple of fields, changes."""
        inner = self._inner
        self._typed.bind_changes(
            {
                tuple(inner[one] for one in key) if isinstance(key, tuple) else inner[key]: call
                for key, call in changes.items()
            }
        )

    def toggle(self, name: Any) -> None:
        """Turn a field on or off, by its key."""
        self._state[name] = not self._state[name]

    def __enter__(self) -> T:

        self._state.__enter__()
        return self.data

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.__exit__(kind, error, trace)


def names_of(fields_of: type[T], prefix: str = "") -> T:
    """Return the keys of a state on the page, each as the field that it is the key of.

    They are strings, typed as the fields are, so that mypy knows which there are.
    """
    names = {one.name: f"{prefix}_{one.name}" if prefix else one.name for one in fields(cast(Any, fields_of))}
    return cast(T, SimpleNamespace(**names))


class _PlainKeys:
    """trame's state as its typed state uses it; keys lose the class that these have in front."""

    def __init__(self, state: Any, prefix: str) -> None:
        self._state, self._prefix = state, f"{prefix}_" if prefix else ""

    def _plain(self, key: str) -> str:
        return self._prefix + key.rpartition("__")[2]

    def __getitem__(self, key: str) -> Any:
        return self._state[self._plain(key)]

    def __setitem__(self, key: str, value: Any) -> None:
        self._state[self._plain(key)] = value

    def setdefault(self, key: str, value: Any) -> Any:
        return self._state.setdefault(self._plain(key), value)

    def change(self, *keys: str) -> Any:
        return self._state.change(*map(self._plain, keys))


def answer_changes(server: Any) -> None:
    """Answer the page when it has set keys with the values that they have then.

    What was published before reaches the page before the answer, so the page knows which value is newer. Keys
    are set one after another, as the user did: what follows from one must not overwrite the next.
    """

    async def changed(changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        for one in changes:
            server.protocol_call("trame.state.update", [one])
        await asyncio.sleep(A_TURN)
        return {one["key"]: server.state[one["key"]] for one in changes}

    server.controller.trigger("set")(changed)
