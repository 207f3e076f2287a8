"""Fields of the settings of tools: what is chosen, and numbers with their sliders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from trame.widgets import html
from trame_client.widgets.core import AbstractElement

from dicomdock.viewer.features.segments.state import HISTOGRAM, SegmentsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import TYPED, shown

HISTOGRAM_PATH = names_of(SegmentsState).histogram
Options = Iterable[tuple[object, str]]
"""What is chosen from: the value as the page's language writes it, and its title."""


@contextmanager
def folded(title: str, testid: str) -> Iterator[None]:
    """Make a part of a panel that is folded until it is wanted."""
    with html.Details(raw_attrs=[f'data-testid="{testid}"']):
        html.Summary(title)
        yield


def choices(label: str, bound: object, options: Options) -> None:
    """Make a button for each value that a field of the state may have."""
    html.Div(label, classes="title")
    with html.Div(classes="row", raw_attrs=['role="group"', f'aria-label="{label}"']):
        for value, title in options:
            on = f"{bound} === {value}"
            html.Button(
                title,
                classes=(f"['btn', {on} ? 'on' : '']",),
                click=f"{bound} = {value}",
                raw_attrs=[f':aria-pressed="{on}"'],
            )


def selection(label: str, bound: object, options: Options, *, of: tuple[str, str, str] | None = None) -> None:
    """Make a list to choose the value of a field of the state from.

    Parameters
    ----------
    of : what is chosen from besides, where the page knows it: the list, and value and title of ``one`` of it.
    """
    with html.Label():
        html.Span(label, classes="title")
        with html.Select(raw_attrs=[f'v-model="{bound}"', f'aria-label="{label}"']):
            for value, title in options:
                html.Option(title, raw_attrs=[f':value="{value}"'])
            if of is not None:
                every, value, title = of
                html.Option(
                    shown(title), v_for=f"one in {every}", raw_attrs=[f':key="{value}"', f':value="{value}"']
                )


def number(label: str, bound: object, unit: str = "") -> None:
    """Make a number that can be typed."""
    with html.Label():
        html.Span(label, classes="title")
        _number(label, f"+{bound}", f"{bound} = {TYPED}")
        if unit:
            html.Span(unit, classes="faint")


def slider(label: str, slide: Any, unit: str = "") -> None:
    """Make a slider with its number.

    Parameters
    ----------
    slide : the names of trame-slicer's ``SliderState``.
    """
    html.Div(label, classes="title")
    with html.Div(classes="slider"):
        _range(label, slide, slide.value, f"{slide.value} = {TYPED}")
        limited = f"Math.min(Math.max({TYPED}, {slide.min_value}), {slide.max_value})"
        _number(label, f"+{slide.value}.toPrecision(3)", f"{slide.value} = {limited}")
        if unit:
            html.Span(unit, classes="faint")


def value_range(label: str, testid: str, slide: Any) -> None:
    """Make the two ends of a range of values.

    Parameters
    ----------
    testid : begins the test ids of both numbers.
    slide : the names of trame-slicer's ``RangeSliderState``.
    """
    low, high = f"{slide.value}[0]", f"{slide.value}[1]"
    html.Div(label, classes="title")
    _histogram(slide, low, high, testid)
    for end, bound, kept, typed in (
        ("from", low, f"[Math.min({TYPED}, {high}), {high}]", f"[{TYPED}, {high}]"),
        ("to", high, f"[{low}, Math.max({TYPED}, {low})]", f"[{low}, {TYPED}]"),
    ):
        with html.Div(classes="slider"):
            html.Span(end, classes="faint end")
            _range(f"{label} {end}", slide, bound, f"{slide.value} = {kept}")
            _number(
                f"{label} {end}", f"+{bound}.toPrecision(6)", f"{slide.value} = {typed}", f"{testid}-{end}"
            )


def _histogram(slide: Any, low: str, high: str, testid: str) -> None:
    """Draw the values of the volume, and over them the range that is chosen."""
    width, height = HISTOGRAM

    def at(value: str) -> str:
        part = f"({value} - {slide.min_value}) / ({slide.max_value} - {slide.min_value})"
        return f"{width} * Math.min(Math.max({part}, 0), 1)"

    with html.Div(classes="slider", v_if=HISTOGRAM_PATH):
        html.Span(classes="end")
        with AbstractElement(
            "svg",
            raw_attrs=[
                f'viewBox="0 0 {width} {height}"',
                'preserveAspectRatio="none"',
                'class="histogram"',
                'role="img"',
                'aria-label="Histogram of the values"',
                f'data-testid="{testid}-histogram"',
            ],
        ):
            AbstractElement("path", raw_attrs=[f':d="{HISTOGRAM_PATH}"'])
            AbstractElement(
                "rect",
                raw_attrs=[
                    'y="0"',
                    f'height="{height}"',
                    f':x="{at(low)}"',
                    f':width="{at(high)} - {at(low)}"',
                ],
            )
        html.Span(classes="beside")


def _range(label: str, slide: Any, bound: str, change: str) -> None:
    html.Input(
        type="range",
        raw_attrs=[
            f':min="{slide.min_value}"',
            f':max="{slide.max_value}"',
            f':step="{slide.step}"',
            f':value="{bound}"',  # behind its limits, by which the browser rounds it
            f'@input="{change}"',
            f'aria-label="{label}, slider"',
        ],
    )


def _number(label: str, value: str, change: str, testid: str = "") -> None:
    attributes = [f':value="{value}"', 'step="any"', f'@change="{change}"', f'aria-label="{label}"']
    if testid:
        attributes.append(f'data-testid="{testid}"')
    html.Input(type="number", raw_attrs=attributes)
