"""Sign-in by a code: shown in a terminal, typed into a browser on whatever machine has one.

References
----------
RFC 8628 (device authorization grant).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomdock.dicomweb.auth.issuer import Refused
from dicomdock.dicomweb.auth.oidc import identity
from dicomdock.errors import AuthenticationError, Cancelled, InvalidInput, ProfileError, WireError
from dicomdock.web.url import Url

if TYPE_CHECKING:
    from dicomdock.dicomweb.auth.issuer import ClientCredentials, Issuer, TokenClient, Tokens
    from dicomdock.dicomweb.auth.oidc import OidcConfig

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL: Final = 5.0  # seconds between polls where the issuer does not say (RFC 8628 §3.2)
SLOWER: Final = 5.0  # seconds more after slow_down (§3.5)


@dataclass(frozen=True)
class Code:
    """What a person needs to sign in.

    Parameters
    ----------
    url : the page to open.
    code : what to type there.
    whole_url : the page with the code in it; empty where there is none.
    """

    url: str
    code: str
    whole_url: str = ""


def sign_in(
    token_client: TokenClient,
    issuer: Issuer,
    config: OidcConfig,
    *,
    credentials: ClientCredentials,
    show: Callable[[Code], None],
    cancelled: threading.Event,
) -> tuple[Tokens, str]:
    """Run the sign-in on another device; return the tokens and the account.

    Raises
    ------
    ProfileError
        The issuer has no sign-in by a code.
    AuthenticationError
        It was refused, or nobody typed the code in time.
    Cancelled
        ``cancelled`` was set.
    """
    if not issuer.device_authorization_endpoint:
        raise ProfileError(f"{issuer.issuer} has no sign-in by a code; sign in with the browser instead.")
    endpoint = issuer.device_authorization_endpoint
    table = token_client.ask(issuer, endpoint, credentials, config.wanted, "the request for a code")
    device, code = table.get("device_code"), table.get("user_code")
    page = table.get("verification_uri") or table.get("verification_url")  # Google's older name
    whole = table.get("verification_uri_complete", "")
    if not (isinstance(device, str) and isinstance(code, str) and _is_page(page)):
        raise WireError(f"{issuer.issuer} gave no code to sign in with.")
    show(Code(str(page), code[:40], str(whole) if _is_page(whole) else ""))
    interval, lifetime = _seconds(table.get("interval"), INTERVAL), _seconds(table.get("expires_in"), 600.0)
    end = time.monotonic() + lifetime
    while time.monotonic() < end:
        if cancelled.wait(interval):
            raise Cancelled("The sign-in was cancelled.")
        try:
            form = {"grant_type": GRANT, "device_code": device}
            tokens = token_client.token(issuer, credentials, form, "the sign-in")
        except Refused as refusal:
            if refusal.code == "expired_token":
                break
            if refusal.code not in ("authorization_pending", "slow_down"):
                raise
            interval += SLOWER if refusal.code == "slow_down" else 0.0
        else:
            return tokens, identity(tokens, issuer, config, token_client)
    raise AuthenticationError(f"Nobody typed the code at {page} in time; try again.", login="OpenID Connect")


def _is_page(url: object) -> bool:
    try:
        return isinstance(url, str) and url.isprintable() and bool(Url.parse(url))
    except InvalidInput:
        return False


def _seconds(value: object, usual: float) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 86400 else usual
