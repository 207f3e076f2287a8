"""Google: tokens of the machine's or user's credentials, by google-auth over our own transport.

References
----------
Application Default Credentials (google.auth.default); Cloud Healthcare API, authentication.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dicomdock.config.servers import ServerProfile
from dicomdock.errors import AuthenticationError, MissingDependency, ProfileError, Unreachable
from dicomdock.web import pool as connections
from dicomdock.web.auth import Auth, NoAuth
from dicomdock.web.request import Request

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb.auth.secret_store import SecretStore

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)


def google_auth(profile: ServerProfile, secrets: SecretStore, settings: Settings) -> Auth:
    """Return the Google login that a profile names.

    The option ``credentials`` is ``default`` (what Google's tools have set up, or the machine's account),
    ``user`` (a sign-in of dicomdock's own, with ``client_id``), or the path of a service account's file,
    which is read each time and never copied.

    Raises
    ------
    MissingDependency
        google-auth is not installed.
    ProfileError
        The credentials are not there or cannot be read.
    """
    which = profile.login.options.get("credentials", "") or "default"
    if which == "user":
        from dicomdock.dicomweb.auth.oidc import OidcAuth

        return OidcAuth(profile, secrets, settings)
    return GoogleAuth(profile, settings, which)


class GoogleAuth(NoAuth):
    """A login by google-auth.

    Parameters
    ----------
    which : ``default``, or the path of a service account's file.
    """

    def __init__(self, profile: ServerProfile, settings: Settings, which: str = "default") -> None:
        self._profile = profile
        self._which = which
        self._lock = threading.Lock()
        try:
            from google.auth.transport.urllib3 import Request as GoogleRequest
        except ImportError as error:
            raise MissingDependency(
                "google-auth", "pip install 'dicomdock[google]' for Google logins."
            ) from error
        endpoint = profile.endpoint.beside("https://oauth2.googleapis.com")
        pool = connections.open_manager(endpoint, connections.Line(settings.read_timeout))
        self._request = GoogleRequest(pool)  # type: ignore[no-untyped-call]
        self._credentials = self._found()

    def authorize(self, request: Request) -> Request:
        """See ``Auth``; waits while the token is renewed."""
        with self._lock:
            if not self._credentials.valid:  # false already some minutes before its end
                self._renew()
            fields: dict[str, str] = {}
            self._credentials.apply(fields)
            secrets = (str(self._credentials.token or ""),)
            return request.with_headers(
                {name.title(): value for name, value in fields.items()}, secrets=secrets
            )

    def refresh(self) -> bool:
        """See ``Auth``."""
        with self._lock:
            self._renew()
        return True

    def describe(self) -> str:
        """See ``Auth``."""
        who = getattr(self._credentials, "service_account_email", "")
        how = "application default credentials" if self._which == "default" else "a service account's file"
        return f"Google with {how}" + (f" as {who}" if who and who != "default" else "")

    def _renew(self) -> None:
        from google.auth.exceptions import GoogleAuthError, TransportError

        try:
            self._credentials.refresh(self._request)
        except TransportError as error:
            raise Unreachable(
                f"Google gave no token for server {self._profile.name!r} ({_short(error)});"
                " check the network."
            ) from error
        except GoogleAuthError as error:
            raise AuthenticationError(
                f"Google gave no token for server {self._profile.name!r} ({_short(error)});"
                " sign in again with 'gcloud auth application-default login', or name another account.",
                server=self._profile.url,
                login=self.describe(),
            ) from error

    def _found(self) -> Any:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2 import service_account

        name = self._profile.name
        try:
            if self._which != "default":
                file = Path(self._which).expanduser()
                load = service_account.Credentials.from_service_account_file
                return load(str(file), scopes=SCOPES)  # type: ignore[no-untyped-call]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of quotas that the Healthcare API does not have
                return google.auth.default(scopes=SCOPES, request=self._request)[0]
        except (GoogleAuthError, OSError, ValueError) as error:
            remedy = (
                "set them up with 'gcloud auth application-default login', or add the server with"
                " --credentials FILE of a service account"
                if self._which == "default"
                else "name the JSON file of a service account's key"
            )
            raise ProfileError(
                f"The Google credentials of server {name!r} cannot be used ({_short(error)}); {remedy}."
            ) from error


def _short(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split())[:160].rstrip(".")
