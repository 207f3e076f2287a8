"""The panel of the study's series."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame_vuetify.widgets.vuetify3 import VIcon

from dicomdock.viewer.widgets import panel


def series_panel(server: Any) -> None:
    """Build the list of series."""
    with panel("series", "Series"):
        html.P("{{ study_words }}", v_show="study_words")
        with html.Button(
            v_for="one in series_list.filter(s => s.kind === 'image')",
            key="one.uid",
            classes=("['item', one.uid === series_uid ? 'on' : '']",),
            click=(server.controller.open_series, "[one.uid]"),
            raw_attrs=[":data-testid=\"'series-' + one.uid\""],
        ):
            VIcon("mdi-image-multiple-outline", size=16)
            html.Span("{{ one.name }}", classes="grow", raw_attrs=[':title="one.name"'])
            html.Span("{{ one.modality }} {{ one.count }}", classes="faint")
        with html.Div(v_show="volumes.length > 1"):
            html.H3("This series holds several volumes")
            with html.Select(
                raw_attrs=[
                    ':value="volume_at"',
                    '@change="volume_at = Number($event.target.value)"',
                    'aria-label="Volume"',
                ]
            ):
                html.Option("{{ name }}", v_for="(name, i) in volumes", key="i", value=("i",))
        html.P("{{ arrival_words }}", v_show="arrival_words", raw_attrs=['role="status"'])
        html.P("{{ remark }}", v_for="(remark, i) in remarks", key="i")
