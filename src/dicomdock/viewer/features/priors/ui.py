"""The list of the patient's other studies, below the series."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.compare.state import CompareState
from dicomdock.viewer.features.priors.state import PriorsState
from dicomdock.viewer.features.series.ui import series_item
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, icon, panel_part, shown

PRIORS, COMPARED = names_of(PriorsState), names_of(CompareState)
ICON = f"study.uid === {PRIORS.prior_uid} ? 'mdi-chevron-down' : 'mdi-chevron-right'"


def priors_list(server: Any) -> None:
    """Build the list."""
    control = server.controller
    with panel_part("Other studies of this patient", f"{PRIORS.known}"):
        with html.Template(v_for=f"study in {PRIORS.priors}", key="study.uid"):
            with html.Button(
                classes="item",
                click=(control.list_prior, "[study.uid]"),
                raw_attrs=[
                    f':aria-expanded="study.uid === {PRIORS.prior_uid}"',
                    ":data-testid=\"'prior-' + study.uid\"",
                ],
            ):
                icon((ICON,), 16)
                html.Span("{{ study.name }}", classes="grow", raw_attrs=[':title="study.name"'])
                html.Span("{{ study.modalities }}", classes="faint")
            with html.Div(v_if=f"study.uid === {PRIORS.prior_uid}", classes="within"):
                series_item(
                    f"{PRIORS.prior_series}",
                    COMPARED.compare_uid,
                    control.compare_prior,
                    "Show beside the present series",
                )
        with html.Button(
            v_for=f"study in {PRIORS.far_priors}",
            key="study.uid",
            classes="item",
            click=(control.fetch_prior, "[study.uid]"),
            raw_attrs=[
                f':disabled="study.uid in {PRIORS.arriving}"',
                ":title=\"'On ' + study.server + ': download it'\"",
                ":data-testid=\"'far-' + study.uid\"",
            ],
        ):
            icon("mdi-cloud-download-outline", 16)
            html.Span("{{ study.name }}", classes="grow")
            html.Span(
                f"{{{{ {PRIORS.arriving}[study.uid] || study.modalities + ' – ' + study.server }}}}",
                classes="faint",
            )
        html.P(shown(PRIORS.far_words), v_show=PRIORS.far_words, raw_attrs=['role="status"'])
        with html.Div(classes="row"):
            button(
                shown(f"{PRIORS.far_busy} ? 'Asking your servers...' : 'Look on your servers'"),
                control.find_priors,
                disabled=f"{PRIORS.far_busy}",
                testid="find-priors",
            )
