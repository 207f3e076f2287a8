"""Who may talk to a viewer: this host, this origin, and who knows its secret. Nobody else.

Every request must name the viewer's own address as Host (a foreign name that was made to point here is
refused), must not come from another site (Origin, WebSockets too), and must carry the secret: once in the
address from the dock, from then on in a cookie that scripts cannot read. A program that opens a
browser passes it a token that works once instead: others can read what programs are started with.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from hashlib import sha256
from importlib import resources
from secrets import token_urlsafe
from urllib.parse import urlsplit

from aiohttp import web

from dicomdock.viewer.index_page import TITLE, index_page
from dicomdock.web.cookies import cookie_values
from dicomdock.web.peers import is_foreign

TO_PAGE = ("/", "/index.html")
INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
MAX_HEADER = 1 << 20  # bytes of one header; browsers send at most 256 kB
ELSEWHERE = "This viewer is open in another program; open the study from dicomdock again."
# A program on another port can replace our cookie, not what the browser stores for this origin.
RESUMING = """<!doctype html>
<meta charset="utf-8"><title>dicomdock</title><p>{sentence}</p>
<script nonce="{nonce}">
const secret = sessionStorage.getItem("dicomdock-viewer");
sessionStorage.removeItem("dicomdock-viewer");
if (secret) location.replace(`/?secret=${{encodeURIComponent(secret)}}`);
</script>
"""

# Browsers title a page without a title by its address, which holds the secret.
UNTITLED = f'<!doctype html><meta charset="utf-8"><title>{TITLE}</title>'
NONCE = "nonce"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@cache
def inline_scripts() -> str:
    """Return the hashes of the scripts within trame's page, as sources of a Content Security Policy."""
    page = resources.files("trame_client") / "module" / "vue3-www" / "index.html"
    scripts = INLINE_SCRIPT.findall(page.read_bytes()) if page.is_file() else []
    return "".join(f"'sha256-{b64encode(sha256(script).digest()).decode()}' " for script in scripts)


def headers(host: str, nonce: str = "") -> dict[str, str]:
    """Return the headers of every answer; the page can ask nobody but this viewer.

    Parameters
    ----------
    host : of the viewer, as the browser addresses it.
    nonce : of the scripts within the page that is answered; empty where it is trame's.
    """
    inline = f"'nonce-{nonce}' " if nonce else inline_scripts()
    # unsafe-eval: Vue compiles trame's templates in the browser, and draws nothing without it; some of them
    # have styles within.
    policy = (
        f"default-src 'self'; script-src 'self' {inline}'unsafe-eval'; worker-src 'self' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        f"connect-src 'self' ws://{host} data: blob:; object-src 'none'; frame-src 'none'; base-uri 'self'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), usb=()",
    }


class Guard:
    """The middleware before all routes of a viewer.

    Parameters
    ----------
    secret : opens this viewer.
    once : opens it a single time.
    theme : returns which of ``config.preferences.THEMES`` a page begins with.
    later : returns the scripts and style sheets that it asks for once it is connected.
    """

    def __init__(
        self, secret: str, once: str, theme: Callable[[], str], later: Callable[[], Sequence[str]]
    ) -> None:
        self._secret, self._once, self._theme, self._later = secret, once, theme, later
        self._process = token_urlsafe(8)  # a viewer that was started again has the same secret, not this name

    def install(self, app: web.Application) -> None:
        """Put the guard before all else."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.transport is not None and is_foreign(request.transport):
                request.transport.abort()  # another user of this machine
                return web.Response(status=403)
            if self._takes_once(request):
                # Not a redirect, which would count as the visit of another site, as the first one may.
                leading_on = {"Refresh": f"0; url=/index.html?secret={self._secret}"}
                return web.Response(
                    text=UNTITLED, content_type="text/html", headers={**headers(request.host), **leading_on}
                )
            refusal = self.refusal(request)
            if refusal == ELSEWHERE and self._is_visit(request):
                nonce = token_urlsafe(16)
                page = RESUMING.format(sentence=refusal, nonce=nonce)
                request[NONCE] = nonce
                return web.Response(status=403, text=page, content_type="text/html")
            if refusal:
                return web.Response(status=403, text=refusal, headers=headers(request.host))
            if request.path in TO_PAGE and not self._same(request.query.get("secret", "")):
                # The page took the secret off its address; a reload gets it again.
                return web.HTTPFound(f"/index.html?secret={self._secret}", headers=headers(request.host))
            if request.path == "/index.html":
                page = index_page(self._process, self._theme(), tuple(self._later()))
                return web.Response(text=page, content_type="text/html")
            return await handler(request)

        async def prepare(request: web.Request, response: web.StreamResponse) -> None:
            response.headers.update(headers(request.host, request.get(NONCE, "")))
            response.headers["Viewer-Process"] = self._process
            if request.path in TO_PAGE:
                response.headers["Cache-Control"] = "no-store"
                if response.status < 400:
                    cookie = f"{self._cookie(request)}={self._secret}; Path=/; HttpOnly; SameSite=Strict"
                    response.headers["Set-Cookie"] = cookie

        # Browsers send the cookies of every other program on this host too; aiohttp takes 8 kB of them.
        app._handler_args = {"max_field_size": MAX_HEADER}
        app.middlewares.insert(0, guarded)
        app.on_response_prepare.append(prepare)

    def refusal(self, request: web.Request) -> str:
        """Return why a request is refused; empty when it is accepted."""
        foreign = self._foreign(request)
        if foreign:
            return foreign
        cookies = ";".join(request.headers.getall("Cookie", []))
        known = any(self._same(value) for value in cookie_values(cookies, self._cookie(request)))
        if not known and not (request.path in TO_PAGE and self._same(request.query.get("secret", ""))):
            return ELSEWHERE
        return ""

    def _takes_once(self, request: web.Request) -> bool:
        token = request.query.get("once", "")
        if request.path not in TO_PAGE or not token or not self._once:
            return False
        if self._foreign(request) and not self._is_visit(request):
            return False
        if not _is_equal(token, self._once):
            return False
        self._once = ""
        return True

    def _foreign(self, request: web.Request) -> str:
        hosts = self._hosts(request)
        if request.host not in hosts:
            return "This viewer answers only under its own address."
        origin = request.headers.get("Origin")
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if (origin is not None or upgrade) and urlsplit(origin or "").netloc not in hosts:
            return "This viewer answers only its own page."
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none", "same-site"):
            return "This viewer answers only its own page."
        return ""

    def _is_visit(self, request: web.Request) -> bool:
        """Return whether a browser goes to the page, from wherever: a private file leads to the token."""
        sent = request.headers
        visits = sent.get("Sec-Fetch-Mode") == "navigate" and sent.get("Sec-Fetch-Dest") == "document"
        return visits and "Origin" not in sent and request.host in self._hosts(request)

    def _hosts(self, request: web.Request) -> set[str]:
        port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
        return {f"127.0.0.1:{port}", f"localhost:{port}"}

    def _cookie(self, request: web.Request) -> str:
        # Cookies ignore ports: each viewer's has a name of its own.
        return f"dicomdock-viewer-{urlsplit(f'//{request.host}').port}"

    def _same(self, text: str) -> bool:
        return _is_equal(text, self._secret)


def _is_equal(text: str, secret: str) -> bool:
    # What is not UTF-8 on the wire arrives as surrogates.
    return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), secret.encode())
