"""Basic logins, to servers and to proxies (RFC 7617)."""

from __future__ import annotations

from base64 import b64encode


def basic_login(user: str, password: str) -> tuple[str, str]:
    """Return a login as ``user:password`` and as it is sent, in base64 of its UTF-8."""
    login = f"{user}:{password}"
    # Half a surrogate pair, which a damaged link or file may hold, is not a reason to fail.
    return login, b64encode(login.encode("utf-8", "surrogatepass")).decode()
