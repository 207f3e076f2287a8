"""Every error that dicomdock raises, in one tree.

::

    DicomdockError
    ├── InvalidInput(what)                    a UID, query, path or option that cannot be right
    ├── ProfileError                          a server profile that is missing, unreadable or contradictory
    ├── AuthenticationError(server, login)    the server refused the login (401, 403)
    ├── Unreachable(url, cause)               no connection: host, port, name, TLS, time-out
    ├── TransactionError(status, url, body_excerpt)   the server answered, but not with what was asked
    │   ├── NotFound                          404, 410
    │   ├── NotAcceptable                     406, 415: none of the forms we can read
    │   └── ServerFault                       5xx, 429 after all retries
    ├── WireError                             an answer that is not the multipart, JSON, DICOM it claims to be
    ├── UnsupportedByServer(feature)          the server cannot do it, by its dialect or its answer
    ├── StoreError                            an upload that cannot go on (single failures are StoreResults)
    ├── ArchiveError                          the local archive
    │   ├── ArchiveLocked                     another process holds it for too long
    │   ├── ArchiveTooNew                     written by a later version of dicomdock
    │   ├── NoSpace                           disk full or below the free-space floor
    │   └── Conflict(resource)                same UID, other bytes
    ├── GeometryError(reason, instances)      instances that do not form the volume that was asked for
    │   └── EmptyResult                       a segmentation of which no voxel is left
    ├── LaunchError(reason)                   a link that cannot or may not be followed
    ├── Cancelled                             the user stopped it
    └── MissingDependency(package, remedy)    an optional part that is not installed

Messages are one plain sentence each: what was tried, what came back, what to do. Facts are attributes.
"""

from __future__ import annotations

from collections.abc import Sequence


class DicomdockError(Exception):
    """Base of all errors that dicomdock raises on purpose."""


class InvalidInput(DicomdockError):
    """A UID, query, path or option that cannot be right."""


class ProfileError(DicomdockError):
    """A server profile that is missing, unreadable or contradictory."""


class AuthenticationError(DicomdockError):
    """The server refused the login.

    Parameters
    ----------
    message : the sentence for the user.
    server : base URL of the server.
    login : the login that was tried, in words and without its secret ("Basic as alice").
    status : the HTTP status, 401 or 403.
    """

    def __init__(self, message: str, *, server: str = "", login: str = "", status: int = 401) -> None:
        super().__init__(message)
        self.server = server
        self.login = login
        self.status = status


class Unreachable(DicomdockError):
    """No connection to the server: wrong host or port, name, TLS or time-out."""

    def __init__(self, message: str, *, url: str = "") -> None:
        super().__init__(message)
        self.url = url


class TransactionError(DicomdockError):
    """The server answered, but not with what was asked.

    Parameters
    ----------
    message : the sentence for the user.
    status : HTTP status code.
    url : the address asked, without any query that could hold a secret.
    body_excerpt : at most the first 300 characters of the answer, as text.
    """

    def __init__(self, message: str, *, status: int = 0, url: str = "", body_excerpt: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.url = url
        self.body_excerpt = body_excerpt


class NotFound(TransactionError):
    """The object or page is not there (404, 410)."""


class NotAcceptable(TransactionError):
    """The server offers none of the forms that we can read, or takes none that we can send (406, 415)."""


class ServerFault(TransactionError):
    """The server failed or is overloaded (5xx, 429), after all retries."""


class WireError(DicomdockError):
    """An answer that is not the multipart, JSON or DICOM that it claims to be, or that ended too early."""


class UnsupportedByServer(DicomdockError):
    """The server cannot do what was asked, by its dialect or by its answer.

    Parameters
    ----------
    message : the sentence for the user.
    feature : the transaction or option that is missing, in the standard's words.
    """

    def __init__(self, message: str, *, feature: str = "") -> None:
        super().__init__(message)
        self.feature = feature


class StoreError(DicomdockError):
    """An upload that cannot go on. What happened to single instances is told by StoreResults."""


class ArchiveError(DicomdockError):
    """The local archive cannot do what was asked."""


class ArchiveLocked(ArchiveError):
    """Another process holds the archive's index for too long."""


class ArchiveTooNew(ArchiveError):
    """The archive was written by a later version of dicomdock."""


class NoSpace(ArchiveError):
    """The disk is full, or free space is below the floor that the settings name."""


class Conflict(ArchiveError):
    """The archive holds this UID with other bytes; the first copy was kept."""


class GeometryError(DicomdockError):
    """Instances that do not form the volume that was asked for.

    Parameters
    ----------
    reason : why, in words.
    instances : SOP Instance UIDs of the instances that stand in the way.
    """

    def __init__(self, reason: str, instances: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.instances = tuple(instances)


class EmptyResult(GeometryError):
    """A segmentation of which no voxel is left on the grid of its images."""


class LaunchError(DicomdockError):
    """A link that cannot or may not be followed.

    Parameters
    ----------
    reason : why, in words that never contain the link's token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Cancelled(DicomdockError):
    """The user stopped it; what arrived until then was kept."""


class MissingDependency(DicomdockError):
    """An optional part that is not installed.

    Parameters
    ----------
    package : what is missing.
    remedy : the command that installs it.
    """

    def __init__(self, package: str, remedy: str) -> None:
        super().__init__(package, remedy)
        self.package = package
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.package} is not installed; {self.remedy}"
