"""The line that says which images are missing, and fetches them."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.source_images.state import SourcesState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import TOOL, button, shown

SOURCES = names_of(SourcesState)


def missing_line(server: Any) -> None:
    """Build the line."""
    with html.Div(
        classes=(f"['missing', {TOOL} ? 'beside' : '']",),
        v_if=SOURCES.missing_words,
        raw_attrs=['role="status"', 'data-testid="missing"'],
    ):
        html.Span(shown(SOURCES.missing_words))
        button(
            shown(f"{SOURCES.missing_busy} ? 'Asking your servers...' : 'Find and download'"),
            server.controller.fetch_missing,
            main=True,
            disabled=f"{SOURCES.missing_busy}",
            testid="fetch-missing",
        )
        button("Not now", f"{SOURCES.missing_words} = ''", testid="missing-later")
