"""The panel of measurements."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame_vuetify.widgets.vuetify3 import VIcon

from dicomdock.viewer.features.measure.kinds import KINDS
from dicomdock.viewer.features.measure.state import MeasureState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, panel

MEASURE = names_of(MeasureState)


def measuring_panel(server: Any) -> None:
    """Build the panel."""
    control = server.controller
    with panel("measure", "Measure"):
        with html.Div(classes="row"):
            for name, kind in KINDS.items():
                on = f"{MEASURE.measuring} === '{name}'"
                button(kind.title, (control.measure, f"['{name}']"), on=on, title=kind.hint, testid=name)
        for name, kind in KINDS.items():
            html.P(kind.hint, v_show=f"{MEASURE.measuring} === '{name}'", raw_attrs=['role="status"'])
        html.P("Nothing measured yet.", v_show=f"!{MEASURE.measurements}.length && !{MEASURE.measuring}")
        with html.Div(
            v_for=f"(one, i) in {MEASURE.measurements}",
            key="one.id",
            classes="item",
            style="cursor:default",
        ):
            with html.Div(classes="grow"):
                html.Input(
                    type="text",
                    raw_attrs=[
                        ':value="one.name"',
                        ':disabled="!one.placed"',
                        'aria-label="Name of the measurement"',
                        ":data-testid=\"'name-' + i\"",
                    ],
                    change=(control.name_measurement, "[one.id, $event.target.value]"),
                )
                html.Div("{{ words }}", v_for="words in one.words", key="words", classes="faint")
            with html.Button(
                click=(control.drop_measurement, "[one.id]"),
                title="Remove",
                raw_attrs=['aria-label="Remove the measurement"', ":data-testid=\"'drop-' + i\""],
                classes="btn",
                style="padding:2px 6px",
            ):
                VIcon("mdi-delete-outline", size=14)
        with html.Div(classes="row", v_show=f"{MEASURE.measurements}.length", style="margin-top:10px"):
            button("Save as report", control.save_measurements, main=True, testid="save-measurements")
        with html.Div(v_show=f"{MEASURE.reports}.length"):
            html.H3("Reports of the study")
            html.Button(
                "{{ one.name }}",
                v_for=f"one in {MEASURE.reports}",
                key="one.uid",
                classes="item",
                raw_attrs=[":data-testid=\"'report-' + one.uid\""],
                click=(control.open_report, "[one.uid]"),
            )
