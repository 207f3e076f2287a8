"""The list of segments and the tools: the page's own controls for trame-slicer's segment editor."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame_server.utils.typed_state import TypedState
from trame_slicer.app.ui import SegmentEditorState
from trame_slicer.segmentation import (
    SegmentationEffectDraw,
    SegmentationEffectErase,
    SegmentationEffectIslands,
    SegmentationEffectLogicalOperators,
    SegmentationEffectNoTool,
    SegmentationEffectPaint,
    SegmentationEffectScissors,
    SegmentationEffectSmoothing,
    SegmentationEffectThreshold,
)
from undo_stack import Signal

from dicomdock.viewer.features.segments.effects_ui import EffectSignals, display, effect_settings, masking
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, icon, shown

SEGMENTS = names_of(SegmentsState)

TOOLS = (
    ("none", "No tool", SegmentationEffectNoTool),
    ("paint", "Paint", SegmentationEffectPaint),
    ("erase", "Erase", SegmentationEffectErase),
    ("draw", "Draw", SegmentationEffectDraw),
    ("scissors", "Scissors", SegmentationEffectScissors),
    ("threshold", "Threshold", SegmentationEffectThreshold),
    ("islands", "Islands", SegmentationEffectIslands),
    ("smoothing", "Smoothing", SegmentationEffectSmoothing),
    ("operators", "Logical operators", SegmentationEffectLogicalOperators),
)
"""The test id, label and effect of each tool."""


class EditSignals:
    """What trame-slicer's dialog of a segment's name and colour reports; this panel has none."""

    def __init__(self) -> None:
        self.name_changed, self.color_changed, self.cancel_clicked = Signal(), Signal(), Signal()


class SegmentEditorPanel:
    """The list of segments, the tools and their settings.

    It is bound to trame-slicer's states, and has the signals that its ``SegmentEditorLogic.set_ui`` connects.

    Parameters
    ----------
    server : trame's.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self.toggle_segment_visibility_clicked, self.edit_segment_color_clicked = Signal(str), Signal(str)
        self.delete_segment_clicked, self.select_segment_clicked = Signal(str), Signal(str)
        self.add_segment_clicked, self.effect_button_clicked = Signal(), Signal(type)
        self.undo_clicked, self.redo_clicked = Signal(), Signal()
        self.edit_ui = EditSignals()
        self._effects = {effect: EffectSignals() for _, _, effect in TOOLS}
        editor = TypedState(server.state, SegmentEditorState)
        name = editor.name
        with html.Div(classes="editor"):
            self._segments(name.segment_list.segments, name.segment_list.active_segment_id)
            with html.Div(v_if=name.segment_list.active_segment_id):
                self._tools(name.active_effect_name)
                effect_settings(server, editor, self._effects)
                masking(server, editor)
                display(editor)

    def get_effect_ui(self, effect: type[Any]) -> EffectSignals:
        """Return the signals of an effect's buttons."""
        return self._effects[effect]

    def _segments(self, segments: str, active: str) -> None:
        control = self._server.controller
        with html.Div(raw_attrs=['role="list"', 'aria-label="Segments"']):
            with html.Div(
                v_for=f"one in {segments}",
                key="one.segment_id",
                classes=(f"['segment', one.segment_id === {active} ? 'on' : '']",),
                raw_attrs=['role="listitem"', f':aria-current="one.segment_id === {active}"'],
            ):
                html.Input(
                    type="color",
                    raw_attrs=[
                        ':value="one.color"',
                        'title="Colour"',
                        ":aria-label=\"'Colour of ' + one.name\"",
                    ],
                    change=(control.colour_segment, "[one.segment_id, $event.target.value]"),
                )
                html.Input(
                    v_if=f"one.segment_id === {active}",
                    type="text",
                    placeholder="kidney left, mass...",
                    raw_attrs=[
                        'list="structure-names"',
                        ':value="one.name"',
                        'aria-label="Name of the segment"',
                        'title="A name such as kidney left gives the segment its codes and colour"',
                        'data-testid="structure"',
                    ],
                    # A name that is removed comes back.
                    change=(
                        control.name_segment,
                        "[one.segment_id, $event.target.value.trim() || ($event.target.value = one.name)]",
                    ),
                )
                html.Button(
                    shown("one.name"),
                    v_else=True,
                    classes="name",
                    click=(self.select_segment_clicked, "[one.segment_id]"),
                    raw_attrs=[':title="one.name"'],
                )
                for name, label, signal in (
                    (
                        ("one.is_visible ? 'mdi-eye-outline' : 'mdi-eye-off-outline'",),
                        "(one.is_visible ? 'Hide ' : 'Show ')",
                        self.toggle_segment_visibility_clicked,
                    ),
                    (("'mdi-delete-outline'",), "'Delete '", self.delete_segment_clicked),
                ):
                    with html.Button(
                        classes="icon",
                        click=(signal, "[one.segment_id]"),
                        raw_attrs=[f':aria-label="{label} + one.name"', f':title="{label} + one.name"'],
                    ):
                        icon(name, 16)
        with html.Datalist(id="structure-names"):
            html.Option(v_for=f"name in {SEGMENTS.structures}", key="name", value=("name",))
        coded = (
            f"{SEGMENTS.coded} ? 'Coded as ' + {SEGMENTS.coded} + '.' : 'A name of the list gives it codes.'"
        )
        html.P(shown(coded), v_if=active, raw_attrs=['data-testid="coded"'])
        with html.Div(classes="row"):
            button("Add segment", self.add_segment_clicked, testid="add-segment")

    def _tools(self, active: str) -> None:
        with html.Div(classes="row tools", raw_attrs=['role="group"', 'aria-label="Tools"']):
            for testid, label, effect in TOOLS:
                on = f"{active} === '{effect.get_effect_name()}'"
                values = {"v_if": SEGMENTS.grey} if effect is SegmentationEffectThreshold else {}
                html.Button(
                    label,
                    **values,
                    classes=(f"['btn', {on} ? 'on' : '']",),
                    click=lambda effect=effect: self.effect_button_clicked(effect),
                    raw_attrs=[f':aria-pressed="{on}"', f'data-testid="effect-{testid}"'],
                )
