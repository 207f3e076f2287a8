"""The panel of layouts, and of the series that is compared."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.shell.widgets import panel


def layout_panel(server: Any) -> None:
    """Build the panel."""
    with panel("layout", "Layout"):
        html.Button(
            "{{ name }}",
            v_for="name in layouts.filter(n => kind_3d || n === 'Axial' || n === 'Compare')",
            key="name",
            classes=("['item', name === layout ? 'on' : '']",),
            click="layout = name",
            raw_attrs=[":data-testid=\"'layout-' + name\""],
        )
        with html.Div(v_show="layout === 'Compare'"):
            html.H3("Compare with")
            with html.Button(
                v_for="one in series_list.filter(s => s.kind === 'image')",
                key="one.uid",
                classes=("['item', one.uid === compare_uid ? 'on' : '']",),
                click=(server.controller.compare, "[one.uid]"),
                raw_attrs=[":data-testid=\"'compare-' + one.uid\""],
            ):
                html.Span("{{ one.name }}", classes="grow")
                html.Span("{{ one.modality }} {{ one.count }}", classes="faint")
            with html.Label():
                html.Input(
                    type="checkbox",
                    raw_attrs=[':checked="linked"', '@change="linked = $event.target.checked"'],
                )
                html.Span("Scroll together")
