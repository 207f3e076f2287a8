"""TLS: whom a connection trusts, and what it shows of itself.

References
----------
PS3.15 Annex B (secure transport connection profiles).
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from dicomdock.errors import ProfileError

if TYPE_CHECKING:
    from dicomdock.web.endpoint import Endpoint


def context(endpoint: Endpoint) -> ssl.SSLContext:
    """Return the TLS context of an endpoint: the authorities to trust, and the client's own certificate.

    Raises
    ------
    ProfileError
        A certificate file cannot be used.
    """
    context = ssl.create_default_context()
    file = endpoint.ca_file
    try:
        if file:
            context.load_verify_locations(cafile=os.path.expanduser(file))  # noqa: PTH111
        if file := endpoint.client_certificate:
            key = os.path.expanduser(endpoint.client_key) if endpoint.client_key else None  # noqa: PTH111
            context.load_cert_chain(os.path.expanduser(file), key, password=_no_password)  # noqa: PTH111
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ProfileError(
            f"The certificate file {file} of server {endpoint.name!r} cannot be used: {error}."
        ) from error
    return context


def _no_password() -> str:
    """Stand in for OpenSSL's prompt on the terminal."""
    raise ValueError("its key is protected by a password")
