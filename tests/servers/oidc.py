"""Real OpenID Connect issuers (oidc-provider-mock of PyPI, oidc-provider of npm), and a person for them.

``python -m tests.servers.oidc`` fetches npm's package into a cache folder outside of the repository.
"""

from __future__ import annotations

import html
import http.cookiejar
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import nginx
from tests.servers.orthanc import Orthanc
from tests.servers.orthanc_next import CACHE
from tests.servers.process import ServerProcess, answers_http, free_port

PACKAGE = "oidc-provider@8"  # 9 needs a newer Node than Debian's
FOLDER = CACHE / "oidc-provider"
MODULES = FOLDER / "node_modules"
SCRIPT = Path(__file__).with_name("oidc_provider.mjs")
INSTALL = "python -m tests.servers.oidc"
INSTALL_MOCK = "pip install oidc-provider-mock"


@dataclass(frozen=True)
class Issuer:
    """A running issuer.

    Parameters
    ----------
    userinfo : where an access token is good or not.
    log : what it prints.
    """

    url: str
    userinfo: str
    log: Path

    def said(self, line: str) -> int:
        """Count how often it has printed a line that begins so."""
        return sum(row.startswith(line) for row in self.log.read_text("utf-8", "replace").splitlines())


def missing() -> str:
    """Say the command that would install npm's provider; empty when it is here."""
    return "" if shutil.which("node") and (MODULES / "oidc-provider").exists() else INSTALL


def missing_mock() -> str:
    """Say the command that would install PyPI's provider; empty when it is here."""
    return "" if shutil.which("oidc-provider-mock") else INSTALL_MOCK


def fetch() -> None:
    """Download npm's provider, unless it is here."""
    if shutil.which("npm") is None:
        raise SystemExit("npm is not here, which brings the issuer: apt-get install nodejs npm")
    if not (MODULES / "oidc-provider").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        words = ["npm", "install", "--prefix", FOLDER, "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
        subprocess.run(words, check=True, stdout=sys.stderr)


@contextmanager
def provider(folder: Path, *, lifetime: int = 3600) -> Iterator[Issuer]:
    """Run npm's provider; its access tokens live for so many seconds."""
    port, log = free_port(), folder / "provider.log"
    with ServerProcess(
        ["node", SCRIPT, str(port), str(lifetime)],
        log=log,
        ready=lambda: answers_http(port),
        env={"NODE_PATH": str(MODULES)},
    ):
        url = f"http://127.0.0.1:{port}"
        yield Issuer(url, f"{url}/me", log)


@contextmanager
def mock(folder: Path, *, lifetime: int = 3600) -> Iterator[Issuer]:
    """Run PyPI's provider; its access tokens live for so many seconds."""
    port, log = free_port(), folder / "mock.log"
    words = ["oidc-provider-mock", "--port", str(port), "--token-max-age", str(lifetime)]
    with ServerProcess(words, log=log, ready=lambda: answers_http(port), env={"PYTHONWARNINGS": "ignore"}):
        url = f"http://127.0.0.1:{port}"
        yield Issuer(url, f"{url}/userinfo", log)


@contextmanager
def gate(issuer: Issuer, orthanc: Orthanc, folder: Path, *, inside: str = "") -> Iterator[str]:
    """Run an nginx before Orthanc that lets in who shows an access token that the issuer finds alive.

    Gives the DICOMweb base URL.

    Parameters
    ----------
    inside : further lines of its ``location`` block.
    """
    directives = f"""
        location = /token-check {{
            internal;
            proxy_pass {issuer.userinfo};
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_intercept_errors on;
            error_page 400 403 404 = @refused;  # a token that nobody knows any more
        }}
        location @refused {{ return 401; }}
    """
    inside += f"""
        auth_request /token-check;
        proxy_set_header Authorization "{orthanc.headers["Authorization"]}";
    """
    with nginx.before(orthanc.root, folder, directives=directives, inside=inside) as address:
        yield f"{address}/dicom-web"


class Person:
    """Somebody at a browser: follows redirects, fills forms and presses their buttons, keeps cookies."""

    def __init__(self, name: str = "alice") -> None:
        self.name = name
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )

    def visit(self, url: str, form: dict[str, str] | None = None) -> tuple[str, str]:
        """Open a page or send a form; give where it ended and what is there."""
        body = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self._opener.open(urllib.request.Request(url, data=body), timeout=60) as answer:
                return answer.url, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return url, error.read().decode()

    def sign_in(self, url: str) -> str:
        """Sign in and agree to everything; give the text of the last page."""
        place, page = self.visit(url)
        for _ in range(8):
            if "<form" not in page:
                break
            first = page[page.index("<form") : page.index("</form>")]
            action = re.search(r'action="([^"]*)"', first)
            target = urllib.parse.urljoin(place, html.unescape(action[1])) if action else place
            place, page = self.visit(target, self._filled(first))
        return page

    def _filled(self, form: str) -> dict[str, str]:
        values = {}
        for field in re.findall(r"<input[^>]*>", form):
            attributes = dict(re.findall(r'(\w+)="([^"]*)"', field))
            if "name" in attributes:
                values[attributes["name"]] = html.unescape(attributes.get("value", "")) or self.name
        return values


if __name__ == "__main__":
    fetch()
    sys.stderr.write(f"{MODULES}\n")
