"""The panel of layouts, and of the series that is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.compare.state import CompareState
from dicomdock.viewer.features.layout.layouts import AXIAL, BESIDE, GRIDS, NAMES, SEVERAL
from dicomdock.viewer.features.series.state import SeriesState
from dicomdock.viewer.features.views.state import ViewsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.state import ShellState
from dicomdock.viewer.shell.widgets import button, checkbox, panel, shown

COLOURS = {"auto": "As the system", "light": "Light", "dark": "Dark"}
SHELL = names_of(ShellState)
VIEWS, SERIES, COMPARED = names_of(ViewsState), names_of(SeriesState), names_of(CompareState)


def layout_panel(
    server: Any,
    priors: Callable[[Any], None],
    compared: Callable[[Any], None],
    more: Callable[[Any], None],
) -> None:
    """Build the panel: ``priors`` and ``compared`` below the series of the study, ``more`` at its end."""
    with panel("layout", "Layout"):
        html.Button(
            shown(f"name === '{NAMES[AXIAL]}' && !{SERIES.kind_3d} ? 'Image' : name"),
            v_for=f"name in {VIEWS.layouts}",
            key="name",
            classes=(f"['item', name === {VIEWS.layout} ? 'on' : '']",),
            click=f"{VIEWS.layout} = name",
            raw_attrs=[":data-testid=\"'layout-' + name\""],
        )
        html.H3("Rows and columns of series")
        with html.Div(classes="sizes"):
            for name, (rows, columns) in GRIDS.items():
                inside = [one for one, (high, wide) in GRIDS.items() if high >= rows and wide >= columns]
                size = f"{rows} row{'s' * (rows > 1)}, {columns} column{'s' * (columns > 1)}"
                html.Button(
                    classes=(f"['column-{columns}', {inside}.includes({VIEWS.layout}) ? 'on' : '']",),
                    click=f"{VIEWS.layout} = '{name}'",
                    title=size,
                    raw_attrs=[
                        f'aria-label="{size}"',
                        f":aria-pressed=\"{VIEWS.layout} === '{name}'\"",
                        f'data-testid="grid-{rows}-{columns}"',
                    ],
                )
        with html.Div(v_show=f"{[*SEVERAL]}.includes({VIEWS.layout})"):
            html.H3("Beside the first series")
            with html.Div(classes="row"):
                for at, tag in enumerate(BESIDE, 2):
                    holding = [name for name, tags in SEVERAL.items() if tag in tags]
                    button(
                        f"View {at}",
                        f"{COMPARED.compare_view} = '{tag}'",
                        on=f"{COMPARED.compare_view} === '{tag}'",
                        title="The view that a series of this list goes to",
                        testid=f"beside-{tag}",
                        v_show=f"{holding}.includes({VIEWS.layout})",
                    )
            with html.Button(
                v_for=f"one in {SERIES.series_list}.filter(s => s.kind === 'image')",
                key="one.uid",
                classes=(f"['item', one.uid === {COMPARED.compare_uid} ? 'on' : '']",),
                click=(server.controller.compare, "[one.uid]"),
                raw_attrs=[":data-testid=\"'compare-' + one.uid\""],
            ):
                html.Span("{{ one.name }}", classes="grow")
                html.Span("{{ one.modality }} {{ one.count }}", classes="faint")
            priors(server)
            checkbox(COMPARED.linked, "Scroll together")
            checkbox(COMPARED.zoomed, "Zoom together")
            checkbox(COMPARED.windowed, "Same window")
            compared(server)
        more(server)
        html.H3("Colours")
        with html.Select(
            raw_attrs=[f'v-model="{SHELL.theme}"', 'aria-label="Colours"', 'data-testid="theme"']
        ):
            for theme, title in COLOURS.items():
                html.Option(title, value=theme)
