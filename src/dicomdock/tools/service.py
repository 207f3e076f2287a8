"""Send a series to a tool that is a service, and receive its answer, within the time that it may take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dicomdock.config.secrets import Secrets
from dicomdock.config.settings import Settings
from dicomdock.config.tools import Tool
from dicomdock.config.trust import TrustStore
from dicomdock.errors import DicomdockError, InvalidInput, ProfileError, ToolError
from dicomdock.tools.step import Run, Step
from dicomdock.web.auth import Auth, BearerAuth, NoAuth
from dicomdock.web.endpoint import Endpoint
from dicomdock.web.options import ConnectionOptions
from dicomdock.web.transport import Http
from dicomdock.web.url import Origin

TICK = 0.2  # seconds between two looks at the clock
REMEDY = "give its token to 'dicomdock tool add' with --token-stdin, or to 'dicomdock tool token'"
CHUNK = 1 << 20  # bytes of a file that are sent at a time

Answer = TypeVar("Answer")


def account(name: str) -> str:
    """Return the name that a tool's token is stored under, beside those of servers."""
    return f"tool {name}"


def require_allowed(settings: Settings, origin: Origin, what: str) -> None:
    """Refuse to send pixels to another machine that the user has not allowed.

    Parameters
    ----------
    what : would send them, to begin the error with.

    Raises
    ------
    ProfileError
        It has not been allowed.
    """
    if not origin.is_loopback and not TrustStore.for_pixels(settings).trusts(str(origin)):
        raise ProfileError(
            f"{what} sends pixels to {origin.short}, which has not been allowed; allow it with"
            f" 'dicomdock tool allow {origin.short}'."
        )


def login(settings: Settings, name: str, origin: Origin) -> Auth:
    """Return the login with the token that is stored for a service; none where there is no token.

    Raises
    ------
    ProfileError
        The token would be sent unencrypted, or cannot be read.
    """
    return login_with(Secrets(settings).get(account(name), str(origin)), origin)


def login_with(token: str | None, origin: Origin) -> Auth:
    """Return the login with a token; none where there is no token.

    Raises
    ------
    ProfileError
        The token would be sent unencrypted.
    """
    if not token:
        return NoAuth()
    if not (origin.is_encrypted or origin.is_loopback):
        raise ProfileError(
            f"The token for {origin.short} is not sent unencrypted; use an address with https."
        )
    return BearerAuth(token)


@contextmanager
def connected(tool: Tool, settings: Settings) -> Iterator[Http]:
    """Connect to the service that a tool is.

    Raises
    ------
    ProfileError
        Pixels may not be sent there, or its token cannot be used.
    """
    origin = tool.origin
    if origin is None:
        raise InvalidInput(f"The tool {tool.name!r} is a program of this machine.")
    with open_connection(
        settings, tool.web_endpoint, login(settings, tool.name, origin), tool.timeout
    ) as http:
        yield http


def open_connection(settings: Settings, endpoint: Endpoint, auth: Auth, seconds: float) -> Http:
    """Return a connection to a service; to be closed.

    Parameters
    ----------
    seconds : without a byte until an answer is given up.
    """
    options = ConnectionOptions(settings.connect_timeout, seconds, retries=0)
    return Http(endpoint, auth, options, remedy=REMEDY)


@dataclass(frozen=True)
class FileBody:
    """A file as the body of a request.

    Parameters
    ----------
    path, content_type : the file, and what it is.
    """

    path: Path
    content_type: str

    @property
    def length(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """Return its bytes from the beginning."""
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


def post(
    tool: Tool, settings: Settings, file: Path, media_type: str, run: Run
) -> Generator[Step, None, bytes]:
    """Post a file to the endpoint of a tool; yield steps and return the body of the answer.

    Raises
    ------
    ToolError, TimedOut, Cancelled
        It answered with nothing or with too much, took too long, or was cancelled.
    Unreachable, TransactionError, AuthenticationError, ProfileError
        As requests to servers.
    """
    with connected(tool, settings) as http:

        def work() -> bytes:
            with http.request(
                "POST", "", body=FileBody(file, media_type), what=f"the run of tool {tool.name}"
            ) as answer:
                return answer.read(tool.max_output)

        answer = yield from exchange(http, run, work)
    if not answer:
        raise ToolError(f"The tool {tool.name} answered with nothing; nothing was stored.")
    return answer


def exchange(http: Http, run: Run, work: Callable[[], Answer]) -> Generator[Step, None, Answer]:
    """Do a request in a thread of its own; yield steps and return what it returns.

    When it takes too long, is cancelled, or this generator is closed, the connections are closed.
    """
    answers: list[Answer] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def target() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=target, name=f"tool {run.name}", daemon=True)
    thread.start()
    try:
        yield run.step("sent; waiting for the answer")
        while not done.wait(TICK):
            run.check()
            yield run.step("waiting for the answer")
    finally:
        if not done.is_set():
            http.close()
        thread.join()
    run.check()
    if errors:
        error = errors[0]
        if isinstance(error, OSError) and not isinstance(error, DicomdockError):
            raise ToolError(f"What is sent to the tool {run.name} cannot be read: {error}.") from error
        raise error
    return answers[0]
