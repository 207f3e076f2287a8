"""The part of the measuring panel that shows the image along a path."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.curved.logic import MOST_WIDTH, SCALE
from dicomdock.viewer.features.curved.state import CurvedState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import TYPED, button, shown

CURVED = names_of(CurvedState)
SHARES = (
    "[$event.offsetX / $event.currentTarget.clientWidth, $event.offsetY / $event.currentTarget.clientHeight]"
)


def curved_part(server: Any) -> None:
    """Build the part; it is there while an image along a path is shown."""
    control = server.controller
    with html.Div(v_if=CURVED.curved_path, classes="curved"):
        html.H3(shown(f"'Along ' + {CURVED.curved_name}"))
        html.P(shown(CURVED.curved_words), raw_attrs=['role="status"', 'data-testid="curved-words"'])
        with html.Div(
            v_show=CURVED.curved_picture,
            classes="image",
            style=(CURVED.curved_box,),
            raw_attrs=['data-testid="curved-image"'],
            click=(control.look_along, SHARES),
        ):
            html.Img(
                raw_attrs=[
                    f':src="{CURVED.curved_picture}"',
                    f":alt=\"'The series along ' + {CURVED.curved_name}\"",
                ]
            )
            with html.Div(classes="mark", style=(CURVED.curved_mark,)):
                html.Span(shown(CURVED.curved_left))
                html.Span(shown(CURVED.curved_right))
            with html.Div(classes="scale", style=(CURVED.curved_scale,)):
                html.Span(f"{SCALE:g} mm")
        _slider("Position", "along", "mm", CURVED.curved_at, "0", CURVED.curved_length, "any", "curved-at")
        _slider("Turn", "about", "°", CURVED.curved_angle, "-180", "180", "1", "curved-angle")
        with html.Label():
            html.Span("Width")
            html.Input(
                type="number",
                raw_attrs=[
                    f':value="{CURVED.curved_width}"',
                    'min="1"',
                    f'max="{MOST_WIDTH:g}"',
                    f'@change="{CURVED.curved_width} = {TYPED}"',
                    'aria-label="Width of the image in mm"',
                    'data-testid="curved-width"',
                ],
            )
            html.Span("mm", classes="faint")
        with html.Div(classes="row"):
            button(
                "PNG",
                control.curved_as_png,
                title="The image, a pixel for each of its own",
                testid="curved-png",
            )
            button("Close", control.close_curved, testid="curved-close")


def _slider(
    label: str, how: str, unit: str, name: Any, least: str, most: Any, step: str, testid: str
) -> None:
    with html.Label():
        html.Span(label)
        html.Input(
            type="range",
            raw_attrs=[
                f'min="{least}"',
                f':max="{most}"',
                f'step="{step}"',
                f':value="{name}"',
                f'@input="{name} = {TYPED}"',
                f":aria-valuetext=\"Math.round({name}) + ' {unit}'\"",
                f'aria-label="{label} {how} the path"',
                f'data-testid="{testid}"',
            ],
        )
        html.Span(shown(f"Math.round({name}) + ' {unit}'"), classes="faint")
