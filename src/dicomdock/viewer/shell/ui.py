"""The page: a slim bar, the panel of the tool that is on, and the views."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.derive.ui import deriving_panel
from dicomdock.viewer.features.layout.ui import layout_panel
from dicomdock.viewer.features.measure.ui import measuring_panel
from dicomdock.viewer.features.save.ui import leaving_dialog
from dicomdock.viewer.features.segments.ui import segments_panel
from dicomdock.viewer.features.send.ui import send_dialog
from dicomdock.viewer.features.series.ui import series_panel
from dicomdock.viewer.features.source_images.ui import missing_line
from dicomdock.viewer.features.volume.ui import volume_panel
from dicomdock.viewer.features.window.ui import window_panel
from dicomdock.viewer.shell.keys import HELP
from dicomdock.viewer.shell.widgets import bar_button, button

TOOLS = (
    ("series", "mdi-format-list-bulleted", "Series"),
    ("window", "mdi-contrast-circle", "Window"),
    ("measure", "mdi-ruler", "Measure"),
    ("segment", "mdi-brush", "Segment"),
    ("layout", "mdi-view-grid-outline", "Layout and compare"),
    ("volume", "mdi-cube-outline", "3D"),
    ("derive", "mdi-image-plus-outline", "New images"),
)


def build(station: Any) -> None:
    """Build the page."""
    server, control = station.server, station.ctrl
    with html.Div(
        classes="bar", raw_attrs=['role="toolbar"', 'aria-label="Tools"', 'aria-orientation="vertical"']
    ):
        for tool, icon, words in TOOLS:
            bar_button(
                icon,
                words,
                f"tool = tool === '{tool}' ? '' : '{tool}'",
                on=f"tool === '{tool}'",
                testid=f"tool-{tool}",
            )
        html.Hr()
        bar_button("mdi-play", "Play the slices (Space)", "playing = !playing", on="playing", testid="play")
        bar_button("mdi-camera-outline", "Keep a picture", control.take_picture, testid="picture")
        html.Div(classes="gap")
        bar_button("mdi-undo", "Undo (Ctrl+Z)", control.undo, testid="bar-undo")
        bar_button("mdi-redo", "Redo (Ctrl+Y)", control.redo, testid="bar-redo")
        bar_button(
            "mdi-content-save-outline",
            "Save (Ctrl+S)",
            control.save,
            on="unsaved",
            disabled="saving",
            testid="save",
        )
        bar_button("mdi-send-outline", "Send to a server", control.ask_send, testid="send")
        bar_button("mdi-help-circle-outline", "Keys (?)", "help_open = true", testid="help")
    series_panel(server)
    window_panel(server)
    measuring_panel(server)
    station.segments.set_ui(segments_panel(server))
    layout_panel(server)
    volume_panel(server)
    deriving_panel(server)
    with html.Div(classes=("['views', tool ? 'beside' : '']",)):
        with html.Div(style="position:relative;flex:1;min-width:0"):
            station.views.build(station.ui)
    with html.Div(
        classes=("['empty', tool ? 'beside' : '']",), v_if="empty_title", raw_attrs=['data-testid="empty"']
    ):
        html.H1("{{ empty_title }}")
        html.P("{{ empty_words }}")
    missing_line(server)
    send_dialog(server)
    leaving_dialog(server)
    _help()
    station.notes.build(server)


def _help() -> None:
    with html.Div(classes="dialog-ground", v_if="help_open"):
        with html.Div(
            classes="dialog", raw_attrs=['role="dialog"', 'aria-modal="true"', 'aria-label="Keys"']
        ):
            html.H2("Keys and mouse")
            with html.Table():
                for key, words in HELP:
                    with html.Tr():
                        with html.Td():
                            for one in key.split(", "):
                                html.Kbd(one)
                        html.Td(words)
            html.P("Pictures are for looking and drawing; this program is no medical device.")
            with html.Div(classes="row"):
                button("Close", "help_open = false", testid="help-close")
