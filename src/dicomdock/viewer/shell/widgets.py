"""The few building blocks of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trame.widgets import client, html
from trame_client.ui.core import AbstractLayout
from trame_client.widgets.core import AbstractElement

from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.state import KeysState, ShellState

TOOL, KEY_LABELS = names_of(ShellState).tool, names_of(KeysState).key_labels
TYPED = "Number($event.target.value)"  # what a user chose in an input, in the page's language


def shown(expression: object) -> str:
    """Return a template that shows the value of an expression as text."""
    return "{{ " + str(expression) + " }}"


def key_of(action: str) -> str:
    """Return the expression that gives the keys of an action in brackets, behind a title; empty for none."""
    keys = f"{KEY_LABELS}['{action}']"
    return f"({keys} ? ' (' + {keys} + ')' : '')"


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
    """Make the panel of a tool; it is there while its tool is on.

    The browser compiles it when it is first shown; before the first image it has enough to do.
    """
    template = f"panel_{name}"
    place = client.ServerTemplate(name=template, v_if=f"{TOOL} === '{name}'")
    made = html.Div(
        classes="panel", raw_attrs=['role="region"', f'aria-label="{title}"'], connect_parent=False
    )
    with AbstractLayout(place.server, made, template_name=template):
        html.H2(title)
        yield made


@contextmanager
def panel_part(title: str, when: str) -> Iterator[Any]:
    """Make a part of a panel with a title of its own; it is there while ``when`` holds."""
    with html.Div(v_show=when) as made:
        html.H3(title)
        yield made


def icon(name: str | tuple[str], size: int, **more: Any) -> None:
    """Make an icon, which says nothing to screen readers.

    Parameters
    ----------
    name : one of Material Design Icons, ``mdi-brush``; in a tuple, an expression that gives it.
    size : pixels.
    """
    classes = f"mdi {name}" if isinstance(name, str) else (f"['mdi', {name[0]}]",)
    html.I(classes=classes, style=f"font-size:{size}px", raw_attrs=['aria-hidden="true"'], **more)


def bar_button(
    name: str,
    label: str,
    click: Any,
    *,
    on: str = "false",
    disabled: str = "false",
    testid: str = "",
    key: str = "",
) -> None:
    """Make a button of the bar; ``key`` is the action of ``shell.keys`` that does the same."""
    with html.Button(
        classes=(f"[{on} ? 'on' : '']",),
        click=click,
        disabled=(disabled,),
        title=(f"'{label}' + {key_of(key)}",) if key else label,
        raw_attrs=[f'aria-label="{label}"', f'data-testid="{testid or label.lower()}"'],
    ):
        icon(name, 20)


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


def question(title: str, words: str, when: object, leave: Any, testid: str, answers: Sequence[str]) -> None:
    """Make the question before unsaved work gives its place to something else.

    Parameters
    ----------
    when : it is asked while this holds.
    leave : called with the answer: ``stay``, ``drop`` or ``save``.
    testid : begins the test ids of the dialog and its buttons.
    answers : labels of the buttons, in that order.
    """
    with html.Div(classes="dialog-ground", v_if=when):
        with html.Div(
            classes="dialog",
            raw_attrs=[
                'role="alertdialog"',
                'aria-modal="true"',
                'aria-label="Not saved"',
                f'data-testid="{testid}-dialog"',
            ],
        ):
            html.H2(title)
            html.P(words)
            with html.Div(classes="row"):
                for answer, label in zip(("stay", "drop", "save"), answers, strict=True):
                    button(
                        label, (leave, f"['{answer}']"), main=answer == "save", testid=f"{testid}-{answer}"
                    )


def numbers_table(label: str, titles: object, rows: object, testid: str) -> None:
    """Make a table that is there while it has rows.

    Parameters
    ----------
    label : what the numbers are, for those who do not see the page.
    titles, rows : fields of the state: the head of each column, and the cells of each row.
    """
    with html.Div(
        classes="numbers",
        v_show=f"{rows}.length",
        raw_attrs=['tabindex="0"', 'role="region"', f'aria-label="{label}"'],
    ):
        with html.Table(raw_attrs=[f'data-testid="{testid}"']):
            with html.Tr():
                html.Th(shown("title"), v_for=f"title in {titles}", key="title", raw_attrs=['scope="col"'])
            with html.Tr(v_for=f"(row, i) in {rows}", key="i"):
                html.Td(shown("cell"), v_for="(cell, j) in row", key="j")


def plot(
    label: str,
    testid: str,
    curves: object,
    size: tuple[float, float],
    margins: tuple[float, float, float, float],
    numbers: Sequence[tuple[str, float, float, str]],
) -> None:
    """Make a plot of lines, and the legend below it.

    Parameters
    ----------
    label : what is plotted, for those who do not see the page.
    curves : field of the state: the lines, each with ``name``, ``colour`` and ``points``.
    size : width and height of the area between the axes.
    margins : beside that area: left, top, right and bottom.
    numbers : at the axes: text, position, and which end of it stands there (``start``, ``end``).
    """
    (width, height), (left, top, right, bottom) = size, margins
    with AbstractElement(
        "svg",
        raw_attrs=[
            f'viewBox="{-left:g} {-top:g} {width + left + right:g} {height + top + bottom:g}"',
            'class="plot"',
            'role="img"',
            f'aria-label="{label}"',
            f'data-testid="{testid}"',
        ],
    ):
        AbstractElement("path", raw_attrs=[f'd="M0 0V{height:g}H{width:g}"', 'class="axis"'])
        AbstractElement(
            "polyline",
            v_for=f"(one, i) in {curves}",
            key="i",
            raw_attrs=[':points="one.points"', ':stroke="one.colour"', 'class="curve"'],
        )
        for text, x, y, anchor in numbers:
            AbstractElement(
                "text",
                text,
                raw_attrs=[f'x="{x:g}"', f'y="{y:g}"', f'text-anchor="{anchor}"', 'class="tick"'],
            )
    with html.Div(classes="row"):
        with html.Span(v_for=f"(one, i) in {curves}", key="i", classes="row"):
            html.Span(classes="swatch", style=("{ background: one.colour }",))
            html.Span("{{ one.name }}")


def select_colours(chosen: object, palettes: object, label: str, testid: str) -> None:
    """Make the choice of a colour table.

    Parameters
    ----------
    chosen, palettes : the keys of the chosen name, and of the list of names.
    label : for screen readers.
    """
    with html.Select(
        raw_attrs=[
            f':value="{chosen}"',
            f'@change="{chosen} = $event.target.value"',
            f'aria-label="{label}"',
            f'data-testid="{testid}"',
        ]
    ):
        html.Option("{{ name }}", v_for=f"name in {palettes}", key="name", value=("name",))


def window_fields(
    width: object, centre: object, unit: object, change: Any, *, testid: str = "", of: str = ""
) -> None:
    """Make the two numbers of a window.

    Parameters
    ----------
    width, centre, unit : fields of the state.
    change : called with both numbers; null for the one that was not typed.
    testid : begins the test ids of both.
    of : whose window it is, where there are several.
    """
    for label, key, given in (
        ("Width", width, f"[{TYPED}, null]"),
        ("Centre", centre, f"[null, {TYPED}]"),
    ):
        attributes = [f':value="{key}"', 'step="any"', f'data-testid="{testid}{label.lower()}"']
        if of:
            attributes.append(f'aria-label="{label} of the window of {of}"')
        with html.Label():
            html.Span(label, style="width:52px")
            html.Input(type="number", raw_attrs=attributes, change=(change, given))
            html.Span(shown(unit), v_show=unit, classes="faint")


Handler = Callable[..., Any]
