"""The connection to an object store: S3, Google Cloud Storage and Azure by one library, obstore.

Its messages hold addresses, and those may hold signatures: of an error only the code is repeated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dicomdock.errors import ArchiveError, MissingDependency
from dicomdock.web.url import is_loopback

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Connection

RETRY_SECONDS = 150.0  # in which a request that is refused with 5xx or 429 is sent again
LONGEST_PAUSE = 5.0  # seconds between two tries
REQUEST_SECONDS = 300.0  # of one request and its answer; large objects are sent in parts
CONNECT_SECONDS = 10.0
CREDENTIAL_SECONDS = 300.0  # until a profile's are asked for again
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})\b")
_REFUSED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def connect(url: str, *, retry_seconds: float | None = None) -> Connection:
    """Return the connection to an object store; its prefix is the URL's, and nothing is sent yet.

    Credentials come from the environment, or from the profile of the AWS command line.

    Parameters
    ----------
    retry_seconds : in which a request that is refused with 5xx or 429 is sent again; None for long.

    Raises
    ------
    MissingDependency
        obstore is not installed.
    ArchiveError
        The credentials or the settings in the environment cannot be used.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise MissingDependency("obstore", "install dicomdock[cloud]") from error
    options: dict[str, Any] = {
        "client_options": {
            "timeout": timedelta(seconds=REQUEST_SECONDS),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        },
        "retry_config": {
            "max_retries": 100,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS if retry_seconds is None else retry_seconds),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=LONGEST_PAUSE),
                "base": 2,
            },
        },
    }
    try:
        if url.startswith("s3://"):
            options |= _for_s3(options)
        return from_url(url, **options)
    except (BaseError, ValueError) as error:
        raise ArchiveError(
            f"The object store {url} cannot be used: {type(error).__name__.removesuffix('Error')}.",
            remedy="See its account and credentials in the environment; docs/archive.md names them.",
        ) from None


def _for_s3(options: dict[str, Any]) -> dict[str, Any]:
    """Return what differs for S3: checksums, an endpoint of its own, and a profile's credentials."""
    config: dict[str, Any] = {"checksum_algorithm": "SHA256"}
    added: dict[str, Any] = {"config": config}
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    if endpoint:
        config["endpoint"] = endpoint
        if is_loopback(urlsplit(endpoint).hostname or ""):  # elsewhere without TLS only with AWS_ALLOW_HTTP
            added["client_options"] = {**options["client_options"], "allow_http": True}
    in_environment = {"AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_WEB_IDENTITY_TOKEN_FILE"}
    if not in_environment.intersection(os.environ) and find_spec("botocore"):
        added |= _of_profile(config)
    return added


def _of_profile(config: dict[str, Any]) -> dict[str, Any]:
    """Return the credentials that the AWS command line would use."""
    import botocore.exceptions
    import botocore.session

    try:
        session = botocore.session.Session()
        found = session.get_credentials()
        region = session.get_config_variable("region")
    except botocore.exceptions.BotoCoreError as error:
        raise ArchiveError(f"The profile of AWS cannot be used: {type(error).__name__}.") from None
    if found is None:
        raise ArchiveError(
            "There are no credentials for the object store.",
            remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
        )
    if region and not {"AWS_REGION", "AWS_DEFAULT_REGION"}.intersection(os.environ):
        config["region"] = region

    def current() -> dict[str, Any]:
        frozen = found.get_frozen_credentials()  # renews those that expire
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + timedelta(seconds=CREDENTIAL_SECONDS),
        }

    return {"credential_provider": current}


@contextmanager
def store_errors(what: str, url: str) -> Iterator[None]:
    """Turn the library's errors into ours; an object that is not there stays a ``FileNotFoundError``.

    Raises
    ------
    ArchiveError
        The store cannot be reached, or refused.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            raise _no_bucket(what, url) from None
        raise
    except (BaseError, PermissionError) as error:
        raise _our_error(what, url, str(error)) from None


def _our_error(what: str, url: str, message: str) -> ArchiveError:
    code = found[1] if (found := _CODE.search(message)) else ""
    status = found[1] if (found := _STATUS.search(message)) else ""
    if code in ("NoSuchBucket", "ContainerNotFound") or (status == "404" and not code):
        return _no_bucket(what, url)
    if code in _REFUSED or status in ("401", "403"):
        return ArchiveError(
            f"{what} failed: {url} refused the credentials ({code or status}).",
            remedy="See the credentials in the environment or the profile, and what they may do.",
        )
    if status:
        return ArchiveError(f"{what} failed: {url} answered {' '.join(filter(None, (status, code)))}.")
    return ArchiveError(f"{what} failed: {url} cannot be reached, or gave no credentials.")


def _no_bucket(what: str, url: str) -> ArchiveError:
    scheme, _, rest = url.partition("://")
    return ArchiveError(
        f"{what} failed: there is no bucket {scheme}://{rest.split('/')[0]}.",
        remedy="Make it, or correct its name.",
    )
