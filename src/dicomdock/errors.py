"""Every error that dicomdock raises, in one tree.

::

    DicomdockError
    ├── InvalidInput                          a UID, query, path or option that cannot be right
    ├── ProfileError                          a server profile that is missing, unreadable or contradictory
    ├── NotFound                              what was asked for does not exist
    │   ├── NotInArchive                      not in the local archive (an ArchiveError too)
    │   └── RemoteNotFound                    the server answered 404 or 410 (a TransactionError too)
    ├── Forbidden                             the token of a request to us does not open what it asks for
    ├── AuthenticationError(server, login)    the server refused the login (401, 403)
    ├── Unreachable(url)                      no connection: host, port, name, TLS, time-out
    ├── TransactionError(status, url, body_excerpt)   the server answered, but not with what was asked
    │   ├── NotAcceptable                     406, 415: none of the forms we can read
    │   └── ServerFault                       5xx, 429 after all retries
    ├── WireError                             an answer that is not the multipart, JSON, DICOM it claims to be
    │   ├── InflatesTooFar                    a compressed answer that unpacks to far more than was received
    │   └── MultipartError(problem)           a multipart body that cannot be divided, or that ended too early
    ├── UnsupportedByServer(feature)          the server cannot do it, by its dialect or its answer
    ├── StoreError                            an upload that cannot go on (single failures are StoreResults)
    ├── ArchiveError                          the local archive
    │   ├── DamagedInstances(instances)       files that are gone, or are not what was stored
    │   ├── ArchiveLocked                     another process holds it for too long
    │   ├── ArchiveTooNew                     written by a later version of dicomdock
    │   ├── IndexDamaged                      the index cannot be read; the files are not affected
    │   └── NoSpace                           disk full or below the free-space floor
    ├── ReadOnlyHome(folder, what)            a home that cannot be written, by what must write to it
    ├── UnreadableFile(reason)                a NIfTI, NRRD or other file that is not DICOM and cannot be read
    ├── GeometryError(reason, instances)      instances that do not form the volume that was asked for
    │   └── EmptyResult                       a segmentation of which no voxel is left
    ├── ToolError                             a program or service that segments failed
    │   └── TimedOut                          it took longer than it may
    ├── LaunchError(reason)                   a link that cannot or may not be followed
    ├── Cancelled                             the user stopped it
    └── MissingDependency(package, remedy)    an optional part that is not installed

Each class states the HTTP status by which an origin server answers it, the exit code by which a command ends
with it, and, where it is always the same, what the user can do. Messages are plain sentences: what was tried,
what came back. Facts are attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

MultipartProblem: TypeAlias = Literal["empty", "no boundary", "headers", "length", "truncated"]


class DicomdockError(Exception):
    """Base of all errors that dicomdock raises on purpose.

    Parameters
    ----------
    message : what was tried and what came back, for the user.
    remedy : what the user can do, as a sentence; by default that of the class.

    Attributes
    ----------
    http_status : the status by which an origin server answers a request that ends so.
    exit_code : the code by which a command ends so; the contract is in ``cli/exit_codes.py``.
    remedy : what the user can do; empty where the message says it or nobody can say.
    """

    http_status: int = 500
    exit_code: int = 1
    remedy: str = ""

    def __init__(self, message: str = "", *, remedy: str | None = None) -> None:
        super().__init__(message)
        if remedy is not None:
            self.remedy = remedy

    def __str__(self) -> str:
        """Return the message and the remedy."""
        return f"{super().__str__()} {self.remedy}".strip()


class InvalidInput(DicomdockError):
    """A UID, query, path or option that cannot be right."""

    http_status = 400
    exit_code = 2


class ProfileError(DicomdockError):
    """A server profile that is missing, unreadable or contradictory."""


class NotFound(DicomdockError):
    """What was asked for does not exist in the source, whichever it is."""

    http_status = 404


class Forbidden(DicomdockError):
    """The token of a request to our origin server does not open what the request asks for."""

    http_status = 403


class AuthenticationError(DicomdockError):
    """The server refused the login.

    Parameters
    ----------
    message : the sentence for the user.
    server : base URL of the server.
    login : the login that was tried, described without its secret ("Basic as alice").
    status : the HTTP status, 401 or 403.
    """

    http_status = 502  # the client of our origin server cannot repair the login that we use
    exit_code = 4

    def __init__(self, message: str, *, server: str = "", login: str = "", status: int = 401) -> None:
        super().__init__(message)
        self.server = server
        self.login = login
        self.status = status


class Unreachable(DicomdockError):
    """No connection to the server: wrong host or port, name, TLS or time-out."""

    http_status = 502

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

    http_status = 502

    def __init__(self, message: str, *, status: int = 0, url: str = "", body_excerpt: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.url = url
        self.body_excerpt = body_excerpt


class RemoteNotFound(NotFound, TransactionError):
    """The server does not have the object or page (404, 410), or answered with nothing."""

    def __init__(self, message: str, *, status: int = 404, url: str = "", body_excerpt: str = "") -> None:
        TransactionError.__init__(self, message, status=status, url=url, body_excerpt=body_excerpt)


class NotAcceptable(TransactionError):
    """None of the offered forms can be read, or none of those that can be sent is taken (406, 415)."""

    def __init__(self, message: str, *, status: int = 406, url: str = "", body_excerpt: str = "") -> None:
        super().__init__(message, status=status, url=url, body_excerpt=body_excerpt)
        self.http_status = 415 if status == 415 else 406


class ServerFault(TransactionError):
    """The server failed or is overloaded (5xx, 429), after all retries.

    Attributes
    ----------
    retry_after : seconds after which the server wants to be asked again; None where it does not say.
    """

    retry_after: float | None = None


class WireError(DicomdockError):
    """An answer that is not the multipart, JSON or DICOM that it claims to be, or that ended too early."""

    http_status = 502


class InflatesTooFar(WireError):
    """A compressed answer that unpacks to far more than was received."""


class MultipartError(WireError):
    """A multipart body that cannot be divided into its parts, or that ended too early.

    Parameters
    ----------
    message : the sentence for the user, about a server's answer.
    problem : what is wrong with it, for who received it as a request.
    """

    def __init__(self, message: str, problem: MultipartProblem = "truncated") -> None:
        super().__init__(message)
        self.problem = problem


class UnsupportedByServer(DicomdockError):
    """The server cannot do what was asked, by its dialect or by its answer.

    Parameters
    ----------
    message : the sentence for the user.
    feature : the transaction or option that is missing, in the standard's terms.
    """

    http_status = 501

    def __init__(self, message: str, *, feature: str = "") -> None:
        super().__init__(message)
        self.feature = feature


class StoreError(DicomdockError):
    """An upload that cannot go on. The outcome of single instances is a StoreResult each."""


class ArchiveError(DicomdockError):
    """The local archive cannot do what was asked."""


class NotInArchive(NotFound, ArchiveError):
    """The local archive does not have what was asked for."""


class DamagedInstances(ArchiveError):
    """Files of the archive are gone, or are not what was stored; what else was asked for went on.

    Parameters
    ----------
    instances : ``STUDY/SERIES/INSTANCE`` of each, or its resource.
    """

    remedy = "Retrieve or import the same instances again to restore them; 'dicomdock verify' lists all."

    def __init__(self, instances: Sequence[object]) -> None:
        self.instances = tuple(map(str, instances))
        names = ", ".join(self.instances[:3]) + (", ..." if len(self.instances) > 3 else "")
        number = "1 instance is" if len(self.instances) == 1 else f"{len(self.instances)} instances are"
        super().__init__(f"{number} damaged or missing in the archive: {names}.")

    def __reduce__(self) -> tuple[type[DamagedInstances], tuple[tuple[str, ...]]]:
        """Return how it is made again in another process."""
        return DamagedInstances, (self.instances,)


class ReadOnlyHome(DicomdockError):
    """The home cannot be written, and what was asked for must write to it.

    Parameters
    ----------
    folder : cannot be made or written.
    what : needs it, to begin a sentence with.
    """

    remedy = "Make it writable, or choose another home with --home."

    def __init__(self, folder: object, what: str = "This") -> None:
        self.folder, self.what = folder, what
        super().__init__(f"{what} needs a folder that it can write to, and {folder} is read-only.")

    def __reduce__(self) -> tuple[type[ReadOnlyHome], tuple[object, str]]:
        """Return how it is made again in another process."""
        return ReadOnlyHome, (self.folder, self.what)


class ArchiveLocked(ArchiveError):
    """Another process holds the archive's index for too long."""

    http_status = 503
    remedy = "Try again when that has ended."


class ArchiveTooNew(ArchiveError):
    """The archive was written by a later version of dicomdock."""

    remedy = "Install that version to open it."


class IndexDamaged(ArchiveError):
    """The archive's index cannot be read; it is rebuilt from the files."""

    http_status = 503


class NoSpace(ArchiveError):
    """The disk is full, or free space is below the floor that the settings name."""

    http_status = 507
    remedy = "Free some space and try again."


class UnreadableFile(DicomdockError):
    """A file of another format than DICOM (NIfTI, NRRD) that cannot be read.

    Parameters
    ----------
    reason : why.
    """

    http_status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class GeometryError(DicomdockError):
    """Instances that do not form the volume that was asked for.

    Parameters
    ----------
    reason : why.
    instances : SOP Instance UIDs of the instances that stand in the way.
    """

    def __init__(self, reason: str, instances: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.instances = tuple(instances)


class EmptyResult(GeometryError):
    """A segmentation of which no voxel is left on the grid of its images."""

    exit_code = 3


class ToolError(DicomdockError):
    """A program or service that segments failed, or gave what cannot be used; nothing was stored."""

    http_status = 502


class TimedOut(ToolError):
    """A program or service that segments took longer than it may."""

    http_status = 504


class LaunchError(DicomdockError):
    """A link that cannot or may not be followed.

    Parameters
    ----------
    reason : why; it never contains the link's token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Cancelled(DicomdockError):
    """The user stopped it; what arrived until then is in the archive."""

    exit_code = 130


class MissingDependency(DicomdockError):
    """An optional part that is not installed.

    Parameters
    ----------
    package : what is missing.
    remedy : the command that installs it.
    """

    def __init__(self, package: str, remedy: str) -> None:
        super().__init__(package)
        self.args = (package, remedy)
        self.package = package
        self.remedy = remedy

    def __str__(self) -> str:
        """Return what is missing and how to install it."""
        return f"{self.package} is not installed; {self.remedy}"
