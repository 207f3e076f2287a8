"""The page: a slim bar, the panel of the tool that is on, and the views."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.curved.ui import curved_part
from dicomdock.viewer.features.derive.ui import deriving_panel
from dicomdock.viewer.features.dose.ui import dose_part
from dicomdock.viewer.features.fusion.ui import fusion_panel
from dicomdock.viewer.features.hanging.ui import hanging_part
from dicomdock.viewer.features.layout.ui import layout_panel
from dicomdock.viewer.features.measure.ui import leaving_measurements_dialog, measuring_panel
from dicomdock.viewer.features.priors.ui import priors_list
from dicomdock.viewer.features.prompts.ui import prompts_part
from dicomdock.viewer.features.registration.ui import by_hand_part, landmarks_part
from dicomdock.viewer.features.save.state import SaveState
from dicomdock.viewer.features.save.ui import leaving_dialog
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.features.segments.ui import segments_panel
from dicomdock.viewer.features.send.ui import send_dialog
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.series.ui import series_panel
from dicomdock.viewer.features.source_images.ui import missing_line
from dicomdock.viewer.features.statistics.ui import statistics_part
from dicomdock.viewer.features.timepoints.ui import timepoints_part
from dicomdock.viewer.features.tools.ui import tools_part
from dicomdock.viewer.features.views.state import CineState, ViewsState
from dicomdock.viewer.features.volume.ui import volume_panel
from dicomdock.viewer.features.window.ui import window_panel
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.keys import ACTIONS, MOUSE, Action
from dicomdock.viewer.shell.menu import view_menu
from dicomdock.viewer.shell.state import KeysState, ShellState
from dicomdock.viewer.shell.widgets import TOOL, bar_button, button, shown

SHELL, KEYS = names_of(ShellState), names_of(KeysState)
CINE, SAVE = names_of(CineState), names_of(SaveState)
SEGMENTS, SERIES, VIEWS = names_of(SegmentsState), names_of(SeriesState), names_of(ViewsState)

ASKED = "Press the new key; Backspace for none, Escape to leave it."

TOOLS = (
    ("series", "mdi-format-list-bulleted", "Series"),
    ("window", "mdi-contrast-circle", "Window"),
    ("measure", "mdi-ruler", "Measure"),
    ("segment", "mdi-brush", "Segment"),
    ("fusion", "mdi-layers-outline", "Fusion and dose"),
    ("layout", "mdi-view-grid-outline", "Layout and compare"),
    ("volume", "mdi-cube-outline", "3D"),
    ("derive", "mdi-image-plus-outline", "New images"),
)


def build(station: Any) -> None:
    """Build the page."""
    server, control = station.server, station.ctrl
    with (
        html.Nav(raw_attrs=['aria-label="Tools"']),
        html.Div(
            classes="bar",
            raw_attrs=['role="toolbar"', 'aria-label="Tools"', 'aria-orientation="vertical"'],
        ),
    ):
        with html.Button(
            classes="back",
            click=control.leave,
            v_if=SHELL.has_list,
            title="Back to where it was opened",
            raw_attrs=['data-testid="leave"'],
        ):
            html.Span("‹", raw_attrs=['aria-hidden="true"'])
            html.Span("Back")
        for tool, icon, label in TOOLS:
            bar_button(
                icon,
                label,
                f"{TOOL} = {TOOL} === '{tool}' ? '' : '{tool}'",
                on=f"{TOOL} === '{tool}'",
                testid=f"tool-{tool}",
            )
        html.Hr()
        bar_button(
            "mdi-play",
            "Play the slices",
            f"{CINE.playing} = !{CINE.playing}",
            on=f"{CINE.playing}",
            disabled=f"!{VIEWS.playable}",
            testid="play",
            key="play",
        )
        bar_button("mdi-camera-outline", "Save a picture", control.take_picture, testid="picture")
        html.Div(classes="gap")
        bar_button("mdi-undo", "Undo", control.undo, testid="bar-undo", key="undo")
        bar_button("mdi-redo", "Redo", control.redo, testid="bar-redo", key="redo")
        bar_button(
            "mdi-content-save-outline",
            "Save",
            control.save,
            on=f"{SEGMENTS.unsaved}",
            disabled=f"{SAVE.saving}",
            testid="save",
            key="save",
        )
        bar_button("mdi-send-outline", "Send to a server", control.ask_send, testid="send")
        bar_button("mdi-help-circle-outline", "Keys", f"{SHELL.help_open} = true", testid="help", key="help")
    series_panel(server, priors_list, timepoints_part)
    window_panel(server)
    measuring_panel(server, curved_part)
    station.segments.set_ui(segments_panel(server, tools_part, prompts_part, statistics_part))
    fusion_panel(server, by_hand_part, dose_part)
    layout_panel(server, priors_list, landmarks_part, hanging_part)
    volume_panel(server)
    deriving_panel(server)
    with html.Main(classes=(f"['views', {TOOL} ? 'beside' : '']",)):
        html.H1(shown(SERIES.study_words), classes="unseen", v_if=f"!{SERIES.empty_title}")
        with html.Div(style="position:relative;flex:1;min-width:0"):
            station.views.build(station.ui)
    with html.Div(
        classes=(f"['empty', {TOOL} ? 'beside' : '']",),
        v_if=SERIES.empty_title,
        raw_attrs=['data-testid="empty"'],
    ):
        html.H1(shown(SERIES.empty_title))
        html.P(shown(SERIES.empty_words))
    view_menu(server)
    missing_line(server)
    send_dialog(server)
    leaving_dialog(server)
    leaving_measurements_dialog(server)
    _help(control)
    station.notifications.build(server)


def _help(control: Any) -> None:
    with html.Div(
        classes="dialog-ground",
        v_if=SHELL.help_open,
        raw_attrs=[f'@click.self="{SHELL.help_open} = false"'],  # beside the keys
    ):
        with html.Div(
            classes="dialog keys", raw_attrs=['role="dialog"', 'aria-modal="true"', 'aria-label="Keys"']
        ):
            html.H2("Keys and mouse")
            html.P("Choose a key to change it.")
            with html.Table():
                for words, actions in groupby(ACTIONS, lambda action: action.words):
                    with html.Tr():
                        with html.Td():
                            for action in actions:
                                _key(action)
                        html.Td(words)
                for does, words in MOUSE:
                    with html.Tr():
                        with html.Td():
                            for one in does.split(", "):
                                html.Kbd(one)
                        html.Td(words)
            html.P("Pictures are for looking and drawing; this program is not a medical device.")
            with html.Div(classes="row keep"):
                html.Span(
                    f"{{{{ {KEYS.key_problem} || ({KEYS.key_asked} ? '{ASKED}' : '') }}}}",
                    classes=(f"['grow', {KEYS.key_problem} ? 'bad' : 'faint']",),
                    raw_attrs=['role="status"', 'data-testid="key-problem"'],
                )
                button(
                    "Usual keys", control.reset_keys, disabled=f"!{KEYS.keys_changed}", testid="keys-reset"
                )
                button("Close", f"{SHELL.help_open} = false", main=True, testid="help-close")


def _key(action: Action) -> None:
    """Make what shows the key of an action, and takes another one."""
    shown_keys = f"{KEYS.key_labels}['{action.name}']"
    if not action.changeable:
        html.Kbd(shown(shown_keys))
        return
    asked = f"{KEYS.key_asked} === '{action.name}'"
    with html.Button(
        click=f"{KEYS.key_asked} = {asked} ? '' : '{action.name}'; {KEYS.key_problem} = ''",
        classes=(f"['key', {asked} ? 'on' : '']",),
        raw_attrs=[
            f'data-testid="key-{action.name}"',
            f":aria-label=\"'Key for {action.name.replace('-', ' ')}: ' + ({shown_keys} || 'none')\"",
        ],
    ):
        html.Kbd(f"{{{{ {asked} ? 'a key …' : {shown_keys} || '–' }}}}")
