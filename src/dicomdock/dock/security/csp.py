"""Security headers of every answer: what the dock's pages may load and run, and who may embed them.

References
----------
Content Security Policy Level 3; Fetch Metadata Request Headers.
"""

from __future__ import annotations

import secrets

from dicomdock.dock.asgi import Message, Send


class SecureSend:
    """A ``send`` that adds the security headers, and the nonce that lets NiceGUI's own scripts run.

    Parameters
    ----------
    path : of the request.
    host : of the dock, as the browser addresses it.
    send : of the server.
    """

    def __init__(self, path: str, host: str, send: Send) -> None:
        self.path = path
        self.host = host
        self.send = send
        self.start: Message | None = None
        self.page = bytearray()
        self.nonce = ""

    async def __call__(self, message: Message) -> None:
        """Send a message of the answer; a page is held back until its scripts have their nonce."""
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            is_page = b"x-nicegui-content" in names
            self.nonce = secrets.token_urlsafe(16) if is_page else ""
            headers = [(name, value) for name, value in message["headers"] if name.lower() != b"server"]
            headers += [pair for pair in self._security_headers() if pair[0] not in names]
            message = {**message, "headers": headers}
            if is_page:
                self.start = message
                return
        elif message["type"] == "http.response.body" and self.start is not None:
            self.page += message.get("body", b"")
            if message.get("more_body", False):
                return
            # Page data cannot forge a script tag here: NiceGUI writes every "<" of it as an entity.
            body = bytes(self.page).replace(b"<script", b'<script nonce="' + self.nonce.encode() + b'"')
            start, self.start = self.start, None
            start["headers"] = [
                (name, str(len(body)).encode() if name.lower() == b"content-length" else value)
                for name, value in start["headers"]
            ]
            await self.send(start)
            message = {"type": "http.response.body", "body": body}
        await self.send(message)

    def _security_headers(self) -> list[tuple[bytes, bytes]]:
        # unsafe-eval: Vue compiles NiceGUI's templates in the browser, and NiceGUI's own messages are
        # scripts. Inline event handlers and scripts without the nonce, which is what injected markup would
        # bring, stay forbidden.
        scripts = f"'self' 'nonce-{self.nonce}' 'unsafe-eval'" if self.nonce else "'self'"
        policy = (
            f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
            f"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://{self.host}; "
            "object-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-frame-options", b"DENY"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), usb=()"),
        ]
        if not self.path.startswith("/_nicegui/"):
            headers.append((b"cache-control", b"no-store"))
        return headers
