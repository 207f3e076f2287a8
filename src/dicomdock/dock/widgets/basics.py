"""Buttons, fields, marks and messages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeVar

from nicegui import ui
from nicegui.events import GenericEventArguments

State = Literal["remote", "here", "both", "partly", "coming"]
"""Where a study or series is; one mark each, the same in every list."""

STATE_WORDS: Mapping[State, str] = {
    "remote": "on the server",
    "here": "on this computer only",
    "both": "on this computer and on the server",
    "partly": "partly on this computer",
    "coming": "being downloaded",
}
_UNDO = "undo"
E = TypeVar("E", bound=ui.element)
Kind = Literal["note", "success", "failure"]
_COLOURS: Mapping[Kind, str] = {"note": "note", "success": "good", "failure": "bad"}


def button(
    text: str,
    on_click: Callable[..., Any] | None = None,
    *,
    icon: str | None = None,
    kind: Literal["plain", "main", "danger"] = "plain",
    key: str = "",
    testid: str = "",
) -> ui.button:
    """Make a button.

    Parameters
    ----------
    text : what it does, a verb.
    on_click : called on a click, or when its key is pressed.
    icon : name of a Material icon.
    kind : ``main`` for the one thing that the page is for; ``danger`` for what cannot be undone.
    key : the key that presses it, wherever the focus is but in a field; shown in the list of keys.
    testid : how tests find it.
    """
    made = (
        ui.button(text, on_click=on_click, icon=icon, color=None)
        .props("no-caps unelevated")
        .classes(f"btn {kind}")
    )
    if key:
        made.props["data-help"] = text  # in the list of keys, whatever the tooltip says at that moment
    return _named(made, key, testid)


def icon_button(
    icon: str, label: str, on_click: Callable[..., Any] | None = None, *, key: str = "", testid: str = ""
) -> ui.button:
    """Make a button that shows only an icon; the label is its tooltip and its name for screen readers."""
    made = ui.button(on_click=on_click, icon=icon, color=None).props("flat round dense").classes("icon-btn")
    made.props["aria-label"] = made.props["title"] = label
    return _named(made, key, testid)


def field(
    label: str,
    value: str = "",
    *,
    on_enter: Callable[..., Any] | None = None,
    key: str = "",
    testid: str = "",
) -> ui.input:
    """Make a text field with its label inside."""
    made = ui.input(label, value=value).props("outlined dense").classes("field")
    if on_enter is not None:
        made.on("keydown.enter", on_enter)
    return _named(made, key, testid)


def choice(
    label: str,
    options: Mapping[str, str],
    value: str,
    on_change: Callable[..., Any] | None = None,
    *,
    testid: str = "",
) -> ui.select:
    """Make a field to choose one of a few values from."""
    made = ui.select(dict(options), label=label, value=value, on_change=on_change)
    return _named(made.props("outlined dense options-dense").classes("field"), "", testid)


def mark(state: State) -> ui.element:
    """Show where a study or series is, by shape and, on hover and for screen readers, by word."""
    made = ui.element("span").classes(f"mark {state}")
    made.props["role"] = "img"
    made.props["aria-label"] = made.props["title"] = STATE_WORDS[state]
    return made


def empty(
    title: str, text: str = "", *, whole: bool = False, testid: str = ""
) -> AbstractContextManager[ui.element]:
    """Fill a place where nothing is yet; the buttons of the way out go inside the ``with``.

    Parameters
    ----------
    whole : the page has nothing else, so that the title is its heading.
    """
    box = ui.element("div").classes("empty").props('role="status"')
    with box:
        words = ui.label(title).classes("empty-title")
        if whole:
            words.props('role="heading" aria-level="1"')
        if text:
            ui.label(text).classes("empty-text")
        doors = ui.element("div").classes("doors")
    _named(box, "", testid)
    return doors


def say(
    message: str, *, kind: Kind = "note", seconds: float = 6.0, undo: Callable[..., Any] | None = None
) -> None:
    """Show a message at the foot of the page; a failure stays until it is closed.

    Parameters
    ----------
    message : one plain sentence.
    kind : what it is about.
    seconds : how long it is shown.
    undo : what its Undo button does.
    """
    ink = f"on-{_COLOURS[kind]}"  # else Quasar writes in white, on light grounds too
    options: dict[str, Any] = {
        "message": message,  # drawn by Quasar as text, never as markup
        "color": _COLOURS[kind],
        "textColor": ink,
        "position": "bottom",
        "multiLine": len(message) > 80,
        "timeout": 0 if kind == "failure" else seconds * 1000,
        "actions": [{"label": "Close", "color": ink}] if kind == "failure" else [],
    }
    shown = json.dumps(options)
    if undo is not None:
        waiting: dict[str, Callable[..., Any]] = ui.context.client.storage.setdefault(_UNDO, {})
        number = str(len(waiting))
        waiting[number] = undo
        button = f"{{label: 'Undo', color: '{ink}', handler: () => emitEvent('{_UNDO}', '{number}')}}"
        ui.run_javascript(f"Quasar.Notify.create({{...{shown}, actions: [{button}]}})")
    else:
        ui.run_javascript(f"Quasar.Notify.create({shown})")


def mark_saved(name: str) -> None:
    """Write into the page which preference was saved last; tests and assistive scripts can wait for it."""
    ui.run_javascript(f"document.documentElement.dataset.saved = {json.dumps(name)}")


def listen_for_undo() -> None:
    """Enable Undo buttons in the messages of the page that is being built; the shell does so for all."""

    async def undo(event: GenericEventArguments) -> None:
        waiting = ui.context.client.storage.get(_UNDO, {})
        do = waiting.get(str(event.args))
        done = do() if do is not None else None
        if isinstance(done, Awaitable):
            await done

    ui.on(_UNDO, undo)


def _named(element: E, key: str, testid: str) -> E:
    if key:
        element.props["aria-keyshortcuts"] = key
    if testid:
        element.props["data-testid"] = testid
    return element
