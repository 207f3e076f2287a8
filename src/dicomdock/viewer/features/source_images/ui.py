"""The line that says which images are missing, and fetches them."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.shell.widgets import button


def missing_line(server: Any) -> None:
    """Build the line."""
    with html.Div(
        classes=("['missing', tool ? 'beside' : '']",),
        v_if="missing_words",
        raw_attrs=['role="status"', 'data-testid="missing"'],
    ):
        html.Span("{{ missing_words }}")
        button(
            "{{ missing_busy ? 'Asking your servers...' : 'Find and download' }}",
            server.controller.fetch_missing,
            main=True,
            disabled="missing_busy",
            testid="fetch-missing",
        )
        button("Not now", "missing_words = ''", testid="missing-later")
