"""AWS: every request signed with the user's keys (Signature Version 4).

The keys come from where AWS' own tools find them (environment, ``~/.aws``, single sign-on, the machine's
role), or from the keyring. A body is hashed before it is sent, which reads it twice: a signature without
the body's hash (``UNSIGNED-PAYLOAD``) is only promised for S3.

References
----------
AWS Signature Version 4 (canonical request); AWS HealthImaging developer guide, DICOMweb.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qsl

from dicomdock.errors import AuthenticationError, MissingDependency, ProfileError
from dicomdock.web.auth import NoAuth

if TYPE_CHECKING:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.web.request import Body, Request

SERVICE: Final = "medical-imaging"
EMPTY: Final = hashlib.sha256(b"").hexdigest()
_HOST = re.compile(r"dicom-medical-imaging\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|api\.aws)\Z")


@dataclass(frozen=True)
class Keys:
    """Keys of the user, as stored in the keyring.

    Parameters
    ----------
    session_token : of keys that end by themselves.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)

    @classmethod
    def parse(cls, secret: str) -> Self:
        """Parse stored keys: ``ACCESS_KEY:SECRET_KEY`` or ``ACCESS_KEY:SECRET_KEY:SESSION_TOKEN``.

        Raises
        ------
        ProfileError
            They are something else.
        """
        pieces = secret.split(":", 2)
        if len(pieces) < 2 or not all(pieces):
            raise ProfileError(
                "AWS keys are given as ACCESS_KEY:SECRET_KEY, or with :SESSION_TOKEN behind them."
            )
        return cls(*pieces)


class AwsAuth(NoAuth):
    """A login that signs each request.

    Parameters
    ----------
    profile : the server; its login's options name ``region``, ``service`` and AWS' own ``profile``.
    secret : keys from the keyring; None to look where AWS' tools do.

    Raises
    ------
    MissingDependency
        botocore is not installed.
    ProfileError
        The region is not known, or there is no such AWS profile.
    """

    def __init__(self, profile: ServerProfile, secret: str | None) -> None:
        self._profile = profile
        options = profile.login.options
        host = profile.endpoint.origin.host
        found = _HOST.match(host)
        self._service = options.get("service", "") or SERVICE
        self._region = options.get("region", "") or (found["region"] if found else "")
        self._aws_profile = options.get("profile", "")
        if not self._region:
            raise ProfileError(f"{host} does not name its AWS region; add the server with --region.")
        self._credentials = _credentials(profile, self._aws_profile, secret)

    def authorize(self, request: Request) -> Request:
        """See ``Auth``."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        digest = _digest(request.body)
        signed = AWSRequest(
            request.method,
            str(replace(request.url, query=None)),
            headers={"x-amz-content-sha256": digest},
            # As pairs, so that botocore writes the canonical form whatever we leave unescaped on the wire.
            params=parse_qsl(request.url.query or "", keep_blank_values=True),
        )
        try:
            keys = self._credentials.get_frozen_credentials()
            SigV4Auth(keys, self._service, self._region).add_auth(signed)
        except BotoCoreError as error:
            raise self._refused(f"they could not be used: {error}") from error
        wanted = ("authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token")
        fields = {name: value for name, value in signed.headers.items() if name.lower() in wanted}
        signature = str(fields.get("Authorization", "")).rpartition("Signature=")[2]
        return request.with_headers(fields, secrets=(keys.secret_key, keys.token or "", signature))

    def describe(self) -> str:
        """See ``Auth``."""
        which = f"profile {self._aws_profile!r}" if self._aws_profile else "the usual credentials"
        return f"AWS signature for {self._region} with {which}"

    def _refused(self, why: str) -> AuthenticationError:
        return AuthenticationError(
            f"The AWS credentials for server {self._profile.name!r} were not accepted; {why}.",
            server=self._profile.url,
            login=self.describe(),
        )


def _credentials(profile: ServerProfile, aws_profile: str, secret: str | None) -> Any:
    try:
        import botocore.session
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingDependency("botocore", "pip install 'dicomdock[aws]' for AWS logins.") from error
    if secret:
        keys = Keys.parse(secret)
        return Credentials(keys.access_key, keys.secret_key, keys.session_token or None)
    try:
        found = botocore.session.Session(profile=aws_profile or None).get_credentials()
    except BotoCoreError as error:
        raise ProfileError(f"The AWS login of server {profile.name!r} cannot be used: {error}.") from error
    if found is None:
        raise AuthenticationError(
            f"No AWS credentials were found for server {profile.name!r}: sign in with AWS' own tools, name a"
            " profile of ~/.aws with --aws-profile, or add the server again with its keys.",
            server=profile.url,
            login=str(profile.login),
        )
    return found


def _digest(body: Body | None) -> str:
    if body is None:
        return EMPTY
    digest = hashlib.sha256()
    for chunk in body.chunks():
        digest.update(chunk)
    return digest.hexdigest()
