"""Sign-in in the browser: authorization code with PKCE, redirected to a listener on loopback.

References
----------
RFC 8252 §7.3 (loopback redirect); RFC 7636 (PKCE); RFC 9207 (issuer in the answer); RFC 9700 §2.1.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import http.server
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from dicomdock.dicomweb.auth.oidc import identity
from dicomdock.errors import AuthenticationError, Cancelled, DicomdockError, InvalidInput, ProfileError
from dicomdock.web.url import Url

if TYPE_CHECKING:
    from dicomdock.dicomweb.auth.issuer import ClientCredentials, Issuer, TokenClient, Tokens
    from dicomdock.dicomweb.auth.oidc import OidcConfig

SECONDS: Final = 300.0  # a person has this long to sign in
_STEP: Final = 0.2  # seconds between looks at whether it was cancelled
_GOODBYE: Final = 2.0  # seconds that the browser gets to take the last page
_IDLE: Final = 10.0  # seconds that a browser may hold a connection without asking

_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem}}</style>
<h1>{title}</h1><p>{text}</p></html>"""


def sign_in(
    token_client: TokenClient,
    issuer: Issuer,
    config: OidcConfig,
    *,
    credentials: ClientCredentials,
    show: Callable[[str], None],
    cancelled: threading.Event,
    seconds: float = SECONDS,
) -> tuple[Tokens, str]:
    """Run the sign-in; return the tokens and the account.

    Parameters
    ----------
    show : takes the address to open in a browser.
    cancelled : set to cancel.
    seconds : how long to wait.

    Raises
    ------
    AuthenticationError
        It was refused, or nobody signed in in time.
    Cancelled
        ``cancelled`` was set.
    """
    if not issuer.authorization_endpoint:
        raise ProfileError(
            f"{issuer.issuer} has no page to sign in at; try the sign-in by a code (--device)."
        )
    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    with Listener(config.redirect) as listener:
        show(_address(issuer, config, listener, verifier, nonce))
        answer = listener.wait(cancelled, seconds, config.issuer)
        with listener.reporting(config.issuer):
            form = {
                "grant_type": "authorization_code",
                "code": _code(answer, issuer),
                "redirect_uri": listener.url,
                "code_verifier": verifier,
            }
            tokens = token_client.token(issuer, credentials, form, "the sign-in")
            return tokens, identity(tokens, issuer, config, token_client, nonce=nonce)


def _address(issuer: Issuer, config: OidcConfig, listener: Listener, verifier: str, nonce: str) -> str:
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    wanted = {
        "response_type": "code",
        "client_id": config.client_id,
        "redirect_uri": listener.url,
        **config.wanted,
        "state": listener.state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **config.extra,
    }
    if config.prompt:
        wanted["prompt"] = config.prompt
    join = "&" if "?" in issuer.authorization_endpoint else "?"
    return issuer.authorization_endpoint + join + urlencode(wanted)


def _code(answer: Mapping[str, str], issuer: Issuer) -> str:
    """Return the authorization code of the redirect."""
    if (error := answer.get("error", "")) or not answer.get("code"):
        reason = answer.get("error_description", "") or error or "no code came back"
        reason = "".join(letter for letter in reason[:200] if letter.isprintable()).rstrip(".")
        raise AuthenticationError(
            f"The sign-in at {issuer.issuer} did not succeed: {reason}.", login="OpenID Connect"
        )
    if answer.get("iss", issuer.issuer).rstrip("/") != issuer.issuer.rstrip("/"):
        raise AuthenticationError(
            f"The answer to the sign-in at {issuer.issuer} came from another issuer.", login="OpenID Connect"
        )
    return answer["code"]


class Listener:
    """Listens on loopback for the one redirect that carries the code; rejects every other request.

    Parameters
    ----------
    redirect : the redirect address; without a port, a free one is chosen.
    """

    def __init__(self, redirect: str) -> None:
        try:
            url = Url.parse(redirect, "The redirect")
        except InvalidInput as error:
            raise ProfileError(
                f"The redirect {redirect!r} does not lead to this computer: use http://127.0.0.1/. {error}"
            ) from None
        if url.origin.is_encrypted or url.origin.host not in ("127.0.0.1", "localhost") or url.query:
            raise ProfileError(
                f"The redirect {redirect!r} does not lead to this computer: use http://127.0.0.1/."
            )
        port = url.origin.port if ":" in redirect[len("http://") :].partition("/")[0] else 0
        self.state = secrets.token_urlsafe(24)
        self._path = url.path
        self._received, self._decided, self._sent = threading.Event(), threading.Event(), threading.Event()
        self._taking = threading.Lock()
        self._answer: dict[str, str] | None = None
        self._page = ("", "")
        try:
            self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        except OSError as error:
            raise ProfileError(
                f"Port {port} of the redirect {redirect!r} is taken by another program."
            ) from error
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._host = f"{url.origin.host}:{self._server.server_address[1]}"
        self.url = f"http://{self._host}{self._path}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="sign-in", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decided.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, cancelled: threading.Event, seconds: float, issuer: str) -> Mapping[str, str]:
        """Return the parameters of the redirect.

        Raises
        ------
        AuthenticationError
            Nobody signed in in time.
        Cancelled
            ``cancelled`` was set.
        """
        end = time.monotonic() + seconds
        while not self._received.wait(_STEP):
            if cancelled.is_set():
                raise Cancelled("The sign-in was cancelled.")
            if time.monotonic() > end:
                raise AuthenticationError(
                    f"Nobody signed in at {issuer} within {seconds:.0f} s; try again.", login="OpenID Connect"
                )
        assert self._answer is not None
        return self._answer

    @contextmanager
    def reporting(self, issuer: str) -> Iterator[None]:
        """Show the outcome of the block in the browser, which waits for it."""
        try:
            yield
        except DicomdockError as error:
            self._page = ("The sign-in did not succeed", str(error))
            raise
        else:
            self._page = ("You are signed in", f"{issuer} accepted your sign-in. You can close this page.")
        finally:
            self._decided.set()
            self._sent.wait(_GOODBYE)

    def take(self, target: str, host: str) -> tuple[int, str, str]:
        """Return the answer to a request: status, title and text of the page."""
        parts = urlsplit(target)
        answer = {name: values[0] for name, values in parse_qs(parts.query).items() if len(values) == 1}
        wrong = host != self._host or (parts.path or "/") != (self._path or "/")
        if wrong or not hmac.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            return 404, "Not found", "This is not the answer to a sign-in that is under way."
        with self._taking:
            if self._answer is not None:
                return 410, "This sign-in is already complete", "You can close this page."
            self._answer = answer
        self._received.set()
        self._decided.wait(SECONDS)
        return 200, *self._page

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = _IDLE

            def do_GET(self) -> None:
                status, title, text = listener.take(self.path, self.headers.get("Host", ""))
                page = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
                self.end_headers()
                self.wfile.write(page)
                if status == 200:
                    listener._sent.set()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Log nothing: the request line holds the code."""

        return Handler
