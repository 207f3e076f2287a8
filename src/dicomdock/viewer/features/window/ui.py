"""The panel of windows, slabs and words."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.shell.widgets import button, panel


def window_panel(server: Any) -> None:
    """Build the panel."""
    control = server.controller
    with panel("window", "Window"):
        html.P("Drag in a picture with the left button: sideways for width, up and down for centre.")
        with html.Div(classes="row"):
            button("Auto", control.auto_window, title="Fit to the values (0)")
            html.Button(
                "{{ name }}",
                v_for="(name, i) in presets",
                key="i",
                classes="btn",
                click=(control.use_preset, "[i]"),
                raw_attrs=[':title="`Key ${i + 1}`"'],
            )
        for words, key, other in (
            ("Width", "window_width", "[Number($event.target.value), window_centre]"),
            ("Centre", "window_centre", "[window_width, Number($event.target.value)]"),
        ):
            with html.Label():
                html.Span(words, style="width:52px")
                html.Input(
                    type="number",
                    raw_attrs=[f':value="{key}"', 'step="any"', f'data-testid="{words.lower()}"'],
                    change=(control.set_window, other),
                )
        html.H3("Slab")
        with html.Label():
            html.Input(
                type="range",
                min=0,
                max=50,
                raw_attrs=[
                    ':value="slab"',
                    '@change="slab = Number($event.target.value)"',
                    'aria-label="Slab"',
                ],
            )
            html.Span("{{ slab ? slab + ' mm' : 'off' }}", style="width:52px")
        with html.Div(classes="row"):
            for kind, words in (("max", "Maximum"), ("min", "Minimum"), ("mean", "Mean")):
                button(words, f"slab_kind = '{kind}'", on=f"slab_kind === '{kind}'")
        html.H3("Pictures")
        for key, words in (
            ("crosshair", "Crosshair (move with Shift held)"),
            ("aligned", "Along the images' own planes"),
            ("words_shown", "Words in the corners"),
        ):
            with html.Label():
                html.Input(
                    type="checkbox",
                    raw_attrs=[f':checked="{key}"', f'@change="{key} = $event.target.checked"'],
                )
                html.Span(words)
