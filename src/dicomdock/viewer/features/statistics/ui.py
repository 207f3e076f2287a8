"""The table of the numbers of segments."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.statistics.state import StatisticsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, numbers_table, shown

NUMBERS = names_of(StatisticsState)


def statistics_part(server: Any) -> None:
    """Build the table, and what computes and saves it."""
    control, there = server.controller, f"{NUMBERS.statistics_rows}.length"
    html.H3("Numbers of the segments")
    with html.Div(classes="row"):
        button(
            "Measure", control.measure_segments, disabled=f"{NUMBERS.statistics_busy}", testid="statistics"
        )
        for kind, label in (("csv", "CSV"), ("parquet", "Parquet")):
            button(
                label,
                (control.save_statistics, f"['{kind}']"),
                disabled=f"!{there}",
                title=f"All numbers as {label}",
                testid=f"statistics-{kind}",
            )
        button(
            "Save as report",
            control.report_statistics,
            disabled=f"{NUMBERS.statistics_busy}",
            title="A report (TID 1500) that refers to the segments, which are saved first",
            testid="statistics-report",
        )
    html.P("Measuring …", v_show=NUMBERS.statistics_busy, raw_attrs=['role="status"'])
    html.P(
        "Segments were changed since; measure again.",
        v_show=f"{NUMBERS.statistics_stale} && {there}",
        raw_attrs=['role="status"', 'data-testid="statistics-stale"'],
    )
    numbers_table(
        "Numbers of the segments",
        NUMBERS.statistics_titles,
        NUMBERS.statistics_rows,
        "statistics-table",
    )
    html.P(shown("remark"), v_for=f"(remark, i) in {NUMBERS.statistics_remarks}", key="i")
    html.H3("Surfaces of the segments")
    with html.Div(classes="row"):
        for form, label in (("stl", "STL"), ("obj", "OBJ"), ("gltf", "glTF")):
            button(
                label,
                (control.save_meshes, f"['{form}']"),
                disabled=f"{NUMBERS.meshing}",
                title=f"Smoothed surfaces as {label}, in mm, LPS",
                testid=f"mesh-{form}",
            )
    html.P("Drawing surfaces …", v_show=NUMBERS.meshing, raw_attrs=['role="status"'])
