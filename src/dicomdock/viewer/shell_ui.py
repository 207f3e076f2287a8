"""The page: a slim bar, the panel of the tool that is on, and the views."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.series_ui import series_panel
from dicomdock.viewer.widgets import bar_button


def toggle(tool: str) -> str:
    """Turn a tool's panel on, or off when it is."""
    return f"tool = tool === '{tool}' ? '' : '{tool}'"


def build(station: Any) -> None:
    """Build the page."""
    server = station.server
    with html.Div(classes="bar", role="toolbar", raw_attrs=['aria-label="Tools"']):
        bar_button("mdi-format-list-bulleted", "Series", toggle("series"), on="tool === 'series'")
    series_panel(server)
    with html.Div(classes=("['views', tool ? 'beside' : '']",)):
        with html.Div(style="position:relative;flex:1;min-width:0"):
            station.views.build(station.ui)
    with html.Div(classes="empty", v_if="empty_title", raw_attrs=['data-testid="empty"']):
        html.H1("{{ empty_title }}")
        html.P("{{ empty_words }}")
    station.notes.build(server)
