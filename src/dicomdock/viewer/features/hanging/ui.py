"""Save how a study is shown, and list what was saved."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.hanging.state import HangingState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, icon, panel_part, shown

HANGING = names_of(HangingState)


def hanging_part(server: Any) -> None:
    """Build the part of the layout panel."""
    control = server.controller
    with panel_part("Open studies like this", HANGING.hanging_modality):
        with html.Div(classes="row"):
            button(
                f"Every {shown(HANGING.hanging_modality)} study",
                (control.save_rule, "[0]"),
                title="Open them in this layout, with series of these descriptions",
                testid="hang-any",
            )
            button(
                f"Those with {shown(HANGING.hanging_series)} series",
                (control.save_rule, f"[{HANGING.hanging_series}]"),
                testid="hang-count",
            )
        with html.Div(v_for=f"(one, i) in {HANGING.rules}", key="i", classes="row rule"):
            html.Span(shown("one.words"), classes="grow faint")
            with html.Button(
                click=(control.remove_rule, "[one.modality, one.series]"),
                classes="btn",
                raw_attrs=[":aria-label=\"'Forget: ' + one.words\"", ":data-testid=\"'forget-rule-' + i\""],
            ):
                icon("mdi-delete-outline", 14)
