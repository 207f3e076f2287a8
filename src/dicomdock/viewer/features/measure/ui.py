"""The panel of measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.measure.kinds import KINDS
from dicomdock.viewer.features.measure.state import MeasureState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, icon, panel, question

MEASURE = names_of(MeasureState)


def measuring_panel(server: Any, *parts: Callable[[Any], None]) -> None:
    """Build the panel.

    Parameters
    ----------
    parts : build what belongs to measurements, below their list.
    """
    control = server.controller
    with panel("measure", "Measure"):
        with html.Div(classes="row"):
            for name, kind in KINDS.items():
                on = f"{MEASURE.measuring} === '{name}'"
                button(kind.title, (control.measure, f"['{name}']"), on=on, title=kind.hint, testid=name)
        for name, kind in KINDS.items():
            html.P(kind.hint, v_show=f"{MEASURE.measuring} === '{name}'", raw_attrs=['role="status"'])
        html.P("Nothing measured yet.", v_show=f"!{MEASURE.measurements}.length && !{MEASURE.measuring}")
        with html.Div(v_for=f"(one, i) in {MEASURE.measurements}", key="one.id", classes="measurement"):
            with html.Div(classes="row"):
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
                _icon(
                    "mdi-ray-start-end",
                    "Straighten along it",
                    control.straighten_along,
                    "[one.path]",
                    "along",
                    when="one.path",
                )
                _icon("mdi-crosshairs", "Go to its slice", control.go_to_measurement, "[one.id]", "go")
                _icon(
                    "one.shown ? 'mdi-eye-outline' : 'mdi-eye-off-outline'",
                    "Show or hide",
                    control.show_measurement,
                    "[one.id, !one.shown]",
                    "shown",
                    dynamic=True,
                )
                _icon(
                    "mdi-delete-outline", "Remove", control.drop_measurement, "[one.id]", "drop", when="true"
                )
            html.Div("{{ words }}", v_for="words in one.words", key="words", classes="faint")
        with html.Div(classes="row", v_show=f"{MEASURE.measurements}.length", style="margin-top:10px"):
            button("Save as report", control.save_measurements, main=True, testid="save-measurements")
            button("Remove all", control.drop_measurements, testid="drop-measurements")
            button("CSV", control.measurements_as_csv, title="All numbers as CSV", testid="measurements-csv")
        html.P("Points and texts in the slices can be dragged.", v_show=f"{MEASURE.measurements}.length")
        for part in parts:
            part(server)
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


def leaving_measurements_dialog(server: Any) -> None:
    """Build the question before a report takes the place of measurements that are not saved."""
    question(
        "The measurements are not saved",
        "A report is shown in their place. What was measured can be saved first.",
        MEASURE.report_asked,
        server.controller.leave_measurements,
        "measurements",
        ("Stay with them", "Remove them", "Save them"),
    )


def _icon(
    name: str,
    label: str,
    click: Any,
    given: str,
    testid: str,
    *,
    when: str = "one.placed",
    dynamic: bool = False,
) -> None:
    """Make a button of a measurement; only what lies in the images can be gone to, shown and hidden."""
    with html.Button(
        click=(click, given),
        title=label,
        v_show=when,
        raw_attrs=[f":aria-label=\"'{label}: ' + one.name\"", f":data-testid=\"'{testid}-' + i\""],
        classes="icon",
    ):
        icon((name,) if dynamic else name, 16)
