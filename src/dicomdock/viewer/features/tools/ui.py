"""The part of the segment panel for tools."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.features.tools.state import ToolsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, shown

TOOLS, SEGMENTS = names_of(ToolsState), names_of(SegmentsState)


def tools_part(server: Any) -> None:
    """Build it; it is there where a tool is declared."""
    control = server.controller
    with html.Div(classes="row", v_show=f"{TOOLS.tool_names}.length"):
        with html.Select(
            raw_attrs=[
                f'v-model="{TOOLS.tool_chosen}"',
                'aria-label="Tool that segments"',
                'data-testid="segmenting-tool"',
            ],
        ):
            html.Option(
                "{{ name }}", v_for=f"name in {TOOLS.tool_names}", key="name", raw_attrs=[':value="name"']
            )
        html.P(shown(TOOLS.tool_hint), v_show=TOOLS.tool_hint, raw_attrs=['data-testid="tool-hint"'])
        button("Run", control.run_tool, disabled=f"!!{TOOLS.tool_line}", testid="run-tool")
    with html.Div(
        classes="row", v_show=TOOLS.tool_line, raw_attrs=['role="status"', 'data-testid="tool-line"']
    ):
        html.Span(shown(TOOLS.tool_line), classes="grow")
        button("Stop", control.stop_tool, testid="stop-tool")
    with html.Div(v_if=TOOLS.tool_question, raw_attrs=['role="alert"', 'data-testid="tool-question"']):
        html.P(shown(TOOLS.tool_question))
        with html.Div(classes="row"):
            button("Allow", control.allow_tool, main=True, testid="tool-allow")
            button("No", f"{TOOLS.tool_question} = ''", testid="tool-refuse")
    with html.Div(classes="row", v_show=TOOLS.draft, raw_attrs=['data-testid="draft"']):
        html.Span("A tool made this; nobody has accepted it yet.", classes="grow")
        button(
            "Accept",
            control.accept_draft,
            disabled=f"{SEGMENTS.unsaved}",
            title="Saves a version that says who accepted it",
            testid="accept-draft",
        )
