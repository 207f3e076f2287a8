"""The part of the segment panel for prompts."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.features.prompts.state import PromptsState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, shown

PROMPTS = names_of(PromptsState)
KINDS = (("point", "Point"), ("box", "Box"), ("scribble", "Scribble"), ("lasso", "Lasso"))
SIGNS = (("true", "Part of it", "prompt-positive"), ("false", "Not part of it", "prompt-negative"))


def prompts_part(server: Any) -> None:
    """Build it."""
    control = server.controller
    html.H3("Prompts for nnInteractive")
    html.P(
        shown(PROMPTS.prompt_missing),
        v_if=PROMPTS.prompt_missing,
        raw_attrs=['data-testid="prompt-missing"'],
    )
    with html.Div(v_if=f"!{PROMPTS.prompt_missing}"):
        html.P(
            shown(PROMPTS.prompt_server),
            classes="faint",
            title="The server that the images and the prompts are sent to",
            raw_attrs=['data-testid="prompt-server"'],
        )
        _drawing(control)


def _drawing(control: Any) -> None:
    """Build what prompts are drawn with."""
    with html.Div(classes="row"):
        for kind, label in KINDS:
            on = f"{PROMPTS.prompt_placing} === '{kind}'"
            button(label, (control.place_prompt, f"['{kind}']"), on=on, testid=f"prompt-{kind}")
    with html.Div(classes="row"):
        for value, label, testid in SIGNS:
            on = f"{PROMPTS.prompt_positive} === {value}"
            button(label, f"{PROMPTS.prompt_positive} = {value}", on=on, testid=testid)
    long = f"['scribble', 'lasso'].includes({PROMPTS.prompt_placing})"
    with html.Div(classes="row", v_show=PROMPTS.prompt_placing):
        html.Span(
            shown(
                f"{long} ? 'Drag along it; or click point by point, then Done or Escape.'"
                f" : {PROMPTS.prompt_placing} === 'box' ? 'Drag from corner to corner, or click two.'"
                " : 'Click in a picture; Escape ends.'"
            )
        )
        button("Done", control.finish_prompt, testid="prompt-done")
    with html.Div(v_if=PROMPTS.prompt_question, raw_attrs=['role="alert"', 'data-testid="prompt-question"']):
        html.P(shown(PROMPTS.prompt_question))
        with html.Div(classes="row"):
            button("Allow", control.allow_prompts, main=True, testid="prompt-allow")
            button("No", f"{PROMPTS.prompt_question} = ''", testid="prompt-refuse")
