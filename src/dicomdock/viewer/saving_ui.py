"""The question where to send, and the answers."""

from __future__ import annotations

from typing import Any

from trame.widgets import html

from dicomdock.viewer.widgets import button


def send_dialog(server: Any) -> None:
    """Build the dialog."""
    control = server.controller
    with html.Div(classes="dialog-ground", v_if="send_open"):
        with html.Div(
            classes="dialog", raw_attrs=['role="dialog"', 'aria-label="Send"', 'data-testid="send-dialog"']
        ):
            html.H2("Send to a server")
            with html.Label(
                v_for="one in send_items", key="one.uid", style="display:flex;gap:8px;padding:3px 0"
            ):
                html.Input(
                    type="checkbox",
                    raw_attrs=[
                        ':checked="one.chosen"',
                        "@change=\"one.chosen = $event.target.checked; flushState('send_items')\"",
                    ],
                )
                html.Span("{{ one.name }}", style="flex:1")
                html.Span(
                    "{{ one.sent ? 'on ' + one.sent"
                    " : one.count > 1 ? one.count + ' images' : 'not sent yet' }}",
                    style="color:var(--faint)",
                )
            html.H3("To", v_show="send_items.length")
            with html.Select(
                v_show="send_items.length && send_servers.length",
                raw_attrs=[
                    ':value="send_server"',
                    '@change="send_server = $event.target.value"',
                    'aria-label="Server"',
                    'data-testid="send-server"',
                ],
            ):
                html.Option("{{ name }}", v_for="name in send_servers", key="name", value=("name",))
            html.P("No server is known yet; add one in dicomdock's pages.", v_show="!send_servers.length")
            html.P("{{ send_words }}", raw_attrs=['role="status"', 'data-testid="send-words"'])
            with html.Table(v_show="send_answers.length", raw_attrs=['data-testid="send-answers"']):
                with html.Tr(v_for="one in send_answers", key="one.uid"):
                    html.Td("...{{ one.uid.slice(-18) }}", raw_attrs=[':title="one.uid"'])
                    html.Td("{{ one.words }}")
            with html.Div(classes="row"):
                button("Close", "send_open = false", testid="send-close")
                button(
                    "Send",
                    control.send,
                    main=True,
                    disabled="sending || !send_server || !send_items.some(one => one.chosen)",
                    testid="send-now",
                )
