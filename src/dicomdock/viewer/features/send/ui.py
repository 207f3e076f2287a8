"""The question where to send, and the answers."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.deidentify import OFFERED
from dicomdock.viewer.features.send.state import SendState
from dicomdock.viewer.page_state import names_of
from dicomdock.viewer.shell.widgets import button, shown

SEND = names_of(SendState)


def send_dialog(server: Any) -> None:
    """Build the dialog."""
    with html.Div(classes="dialog-ground", v_if=SEND.send_open):
        with html.Div(
            classes="dialog", raw_attrs=['role="dialog"', 'aria-label="Send"', 'data-testid="send-dialog"']
        ):
            html.H2("Send to a server")
            _items()
            _servers()
            _profiles()
            html.P(
                shown(SEND.send_words),
                classes=(f"{SEND.send_bad} ? 'bad' : ''",),
                raw_attrs=['role="status"', 'data-testid="send-words"'],
            )
            _answers()
            with html.Div(classes="row"):
                button("Close", f"{SEND.send_open} = false", testid="send-close")
                button(
                    shown(f"{SEND.send_bad} ? 'Try again' : 'Send'"),
                    server.controller.send,
                    main=True,
                    disabled=f"{SEND.sending} || !{SEND.send_server}"
                    f" || !{SEND.send_items}.some(one => one.chosen)",
                    testid="send-now",
                )


def _items() -> None:
    with html.Label(v_for=f"one in {SEND.send_items}", key="one.uid", classes="choice"):
        html.Input(
            type="checkbox",
            raw_attrs=[
                ':checked="one.chosen"',
                f':disabled="{SEND.sending}"',
                f"@change=\"one.chosen = $event.target.checked; flushState('{SEND.send_items}')\"",
            ],
        )
        html.Span("{{ one.name }}", classes="grow")
        html.Span(
            "{{ one.count > 1 ? one.count + ' images, ' : '' }}"
            "{{ one.sent.length ? 'on ' + one.sent.join(', ') : 'not sent yet' }}",
            classes="faint",
        )


def _select(chosen: str, label: str, testid: str, when: str) -> Any:
    """Build a list to choose from, which stays as it is while something is sent."""
    return html.Select(
        v_show=when,
        disabled=(SEND.sending,),
        raw_attrs=[
            f':value="{chosen}"',
            f'@change="{chosen} = $event.target.value"',
            f'aria-label="{label}"',
            f'data-testid="{testid}"',
        ],
    )


def _servers() -> None:
    html.H3("To", v_show=f"{SEND.send_items}.length")
    when = f"{SEND.send_items}.length && {SEND.send_servers}.length"
    with _select(SEND.send_server, "Server", "send-server", when):
        html.Option("{{ name }}", v_for=f"name in {SEND.send_servers}", key="name", value=("name",))
    html.P("No server is known yet; add one in dicomdock's pages.", v_show=f"!{SEND.send_servers}.length")


def _profiles() -> None:
    html.H3("What leaves", v_show=f"{SEND.send_items}.length")
    with _select(SEND.send_profile, "What leaves", "send-profile", f"{SEND.send_items}.length"):
        for profile, words in (("", "As it is"), *OFFERED.items()):
            html.Option(words, value=profile)
    html.P(
        "Copies have other names, dates and UIDs. What may show the patient in its pixels is held back.",
        v_show=f"{SEND.send_items}.length && {SEND.send_profile}",
    )
    html.P(
        shown(SEND.send_preview),
        v_show=SEND.send_preview,
        raw_attrs=['role="status"', 'data-testid="send-preview"'],
    )


def _answers() -> None:
    with html.Div(
        v_show=f"{SEND.send_answers}.length", classes="answers", raw_attrs=['data-testid="send-answers"']
    ):
        with html.Details(
            v_for=f"(one, i) in {SEND.send_answers}", key="i", classes=("one.bad ? 'bad' : ''",)
        ):
            html.Summary(
                "{{ one.name }}: {{ one.uids.length > 1 ? one.uids.length + ' ' : '' }}{{ one.words }}"
            )
            html.Div("{{ uid }}", v_for="uid in one.uids", key="uid", classes="uid")
