"""The part of the fusion panel that shows dose: isodose lines, and histograms of structures."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.dose.plot import HEIGHT, WIDTH
from dicomdock.viewer.features.dose.state import DoseState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, checkbox, numbers_table, plot, shown

DOSE = names_of(DoseState)


def dose_part(server: Any) -> None:
    """Build the part; it is there while the study has doses."""
    control = server.controller
    with html.Div(v_show=f"{DOSE.doses}.length"):
        html.H3("Dose")
        _rows(f"{DOSE.doses}", f"{DOSE.dose_uid}", control.show_dose, "dose")
        html.P(
            shown(DOSE.dose_words),
            v_show=DOSE.dose_words,
            raw_attrs=['role="status"', 'data-testid="dose-words"'],
        )
        with html.Div(v_show=DOSE.dose_uid):
            checkbox(DOSE.dose_lines, "Isodose lines")
            with html.Label():
                html.Span(shown(f"'At ' + {DOSE.dose_unit}"), style="width:52px")
                html.Input(
                    type="text",
                    raw_attrs=[
                        f':value="{DOSE.dose_typed}"',
                        'aria-label="Doses of the isodose lines"',
                        'data-testid="isodoses"',
                    ],
                    change=(control.set_isodoses, "[$event.target.value]"),
                )
            with html.Div(classes="row", raw_attrs=['data-testid="isodose-levels"']):
                with html.Span(
                    v_for=f"(one, i) in {DOSE.dose_levels}", key="i", classes="row", style="flex-wrap:nowrap"
                ):
                    html.Span(classes="swatch", style=("{ background: one.colour }",))
                    html.Span("{{ one.text }}", style="white-space:nowrap")
            _histograms(control)


def _rows(rows: str, chosen: str, click: Any, name: str) -> None:
    html.Button(
        "{{ one.name }}",
        v_for=f"one in {rows}",
        key="one.uid",
        classes=(f"['item', one.uid === {chosen} ? 'on' : '']",),
        click=(click, "[one.uid]"),
        raw_attrs=[f":data-testid=\"'{name}-' + one.uid\"", f':aria-pressed="one.uid === {chosen}"'],
    )


def _histograms(control: Any) -> None:
    html.H3("Dose-volume histograms")
    html.P("This study has no structures.", v_show=f"!{DOSE.dose_structures}.length")
    _rows(f"{DOSE.dose_structures}", f"{DOSE.dvh_uid}", control.dose_histograms, "dvh")
    html.P("Computing …", v_show=DOSE.dvh_busy, raw_attrs=['role="status"'])
    with html.Div(v_if=f"{DOSE.dvh_curves}.length"):
        plot(
            "Volume in percent that receives at least a dose",
            "dvh-plot",
            DOSE.dvh_curves,
            (WIDTH, HEIGHT),
            (30, 6, 4, 16),
            (
                ("100 %", -3, 4, "end"),
                ("0", -3, HEIGHT, "end"),
                (shown(DOSE.dvh_most), WIDTH, HEIGHT + 12, "end"),
            ),
        )
    numbers_table("Dose in the structures", DOSE.dvh_titles, DOSE.dvh_rows, "dvh-table")
    html.P(shown("remark"), v_for=f"(remark, i) in {DOSE.dvh_remarks}", key="i")
    with html.Div(classes="row", v_show=f"{DOSE.dvh_rows}.length"):
        button("CSV", control.save_histograms, title="The cumulative histograms as CSV", testid="dvh-csv")
