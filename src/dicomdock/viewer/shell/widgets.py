"""The few building blocks of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trame.widgets import html
from trame_vuetify.widgets.vuetify3 import VIcon

from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.state import ShellState

TOOL = names_of(ShellState).tool


def shown(expression: object) -> str:
    """Return a template that shows the value of an expression as text."""
    return "{{ " + str(expression) + " }}"


def checkbox(name: object, label: str) -> None:
    """Make a box that turns a field of the state on and off."""
    with html.Label():
        html.Input(
            type="checkbox",
            raw_attrs=[f':checked="{name}"', f'@change="{name} = $event.target.checked"'],
        )
        html.Span(label)


@contextmanager
def panel(name: str, title: str) -> Iterator[Any]:
    """Make the panel of a tool; it is there while its tool is on."""
    with html.Div(
        classes="panel", v_if=f"{TOOL} === '{name}'", raw_attrs=['role="region"', f'aria-label="{title}"']
    ) as made:
        html.H2(title)
        yield made


@contextmanager
def panel_part(title: str, when: str) -> Iterator[Any]:
    """Make a part of a panel with a title of its own; it is there while ``when`` holds."""
    with html.Div(v_show=when) as made:
        html.H3(title)
        yield made


def bar_button(
    icon: str,
    label: str,
    click: Any,
    *,
    on: str = "false",
    disabled: str = "false",
    testid: str = "",
) -> None:
    """Make a button of the bar."""
    with html.Button(
        classes=(f"[{on} ? 'on' : '']",),
        click=click,
        disabled=(disabled,),
        title=label,
        raw_attrs=[f'aria-label="{label}"', f'data-testid="{testid or label.lower()}"'],
    ):
        VIcon(icon, size=20)


def button(
    label: str,
    click: Any,
    *,
    on: str = "",
    main: bool = False,
    disabled: str = "",
    title: str = "",
    testid: str = "",
    **more: Any,
) -> None:
    """Make a button with a label."""
    classes = "btn main" if main else "btn"
    given: dict[str, Any] = {"classes": (f"['{classes}', {on} ? 'on' : '']",) if on else classes}
    if disabled:
        given["disabled"] = (disabled,)
    if title:
        given["title"] = title
    html.Button(label, click=click, raw_attrs=[f'data-testid="{testid or label.lower()}"'], **given, **more)


Handler = Callable[..., Any]
