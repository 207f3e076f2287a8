"""The panel of the volume that lies over the shown one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.fusion.state import FusionState
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.series.suv_types import suv_types
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import (
    TYPED,
    button,
    checkbox,
    panel,
    select_colours,
    shown,
    window_fields,
)

FUSION, SERIES = names_of(FusionState), names_of(SeriesState)


def fusion_panel(server: Any, by_hand: Callable[[Any], None], dose: Callable[[Any], None]) -> None:
    """Build the panel, with ``by_hand`` below the volume and ``dose`` at its end."""
    control = server.controller
    with panel("fusion", "Fusion and dose"):
        html.P("A series of the same frame of reference is shown over the present one, in its own colours.")
        others = (
            f"{SERIES.series_list}.filter("
            f"s => s.kind === 'image' && s.modality !== 'RTDOSE' && s.uid !== {SERIES.series_uid})"
        )
        html.P("This study has no other series of images.", v_if=f"!{others}.length")
        with html.Button(
            v_for=f"one in {others}",
            key="one.uid",
            classes=(f"['item', one.uid === {FUSION.fusion_uid} ? 'on' : '']",),
            click=(control.fuse, "[one.uid]"),
            raw_attrs=[
                ":data-testid=\"'fuse-' + one.uid\"",
                f':aria-pressed="one.uid === {FUSION.fusion_uid}"',
            ],
        ):
            html.Span("{{ one.name }}", classes="grow")
            html.Span("{{ one.modality }} {{ one.count }}", classes="faint")
        html.P(
            shown(FUSION.fusion_words),
            v_show=FUSION.fusion_words,
            raw_attrs=['role="status"', 'data-testid="fusion-words"'],
        )
        button(
            "Lay it over by hand",
            (control.lay_by_hand, f"[{FUSION.fusion_unregistered}]"),
            v_if=FUSION.fusion_unregistered,
            testid="lay-by-hand",
        )
        with html.Div(v_show=FUSION.fusion_name):
            html.H3(shown(FUSION.fusion_name))
            checkbox(FUSION.fusion_on, "Shown")
            _opacity()
            select_colours(FUSION.fusion_colours, FUSION.fusion_palettes, "Colours", "fusion-colours")
            _window(control)
            suv_types(f"{SERIES.series_list}.some(s => s.uid === {FUSION.fusion_uid} && s.modality === 'PT')")
            by_hand(server)
        dose(server)


def _opacity() -> None:
    with html.Label():
        html.Input(
            type="range",
            min=0,
            max=100,
            raw_attrs=[
                f':value="{FUSION.fusion_opacity}"',
                f'@input="{FUSION.fusion_opacity} = {TYPED}"',
                'aria-label="Opacity in percent"',
                'data-testid="fusion-opacity"',
            ],
        )
        html.Span(shown(f"{FUSION.fusion_opacity} + ' %'"), style="width:52px")


def _window(control: Any) -> None:
    with html.Div(classes="row", style="margin-top:8px"):
        html.Button(
            "{{ name }}",
            v_for=f"(name, i) in {FUSION.fusion_presets}",
            key="i",
            classes="btn",
            click=(control.use_fusion_preset, "[i]"),
        )
    window_fields(
        FUSION.fusion_width,
        FUSION.fusion_centre,
        FUSION.fusion_unit,
        control.set_fusion_window,
        testid="fusion-",
        of="the series above",
    )
