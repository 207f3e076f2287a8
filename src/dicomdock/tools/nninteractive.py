"""A session with an nnInteractive server: the images once, then prompts; each changes a part of the segment.

The client is that project's own, ``nninteractive-client`` (``dicomdock[nninteractive]``). Its calls wait for
the server, so they belong in a thread; ``close`` may be called from another one.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from dicomdock.config.secrets import Secrets
from dicomdock.config.settings import Settings
from dicomdock.errors import (
    AuthenticationError,
    Cancelled,
    InvalidInput,
    MissingDependency,
    ProfileError,
    TimedOut,
    ToolError,
    Unreachable,
)
from dicomdock.tools.service import account, require_allowed
from dicomdock.web.url import Origin, Url

NAME = "nninteractive"
"""The name that the token is stored under, as that of a tool."""
INSTALL = "install it with: pip install 'dicomdock[nninteractive]'"
PREDICTION = 60.0  # seconds that a prompt may take
UPLOAD = 600.0  # seconds that a server may take to unpack the images

Kind = Literal["point", "box", "scribble", "lasso"]
Shape = tuple[int, int, int]
Result = TypeVar("Result")

_SUPPORT = {"point": "points", "scribble": "scribble", "lasso": "lasso"}


@dataclass(frozen=True, eq=False)
class Prompt:
    """What the user shows the network.

    Parameters
    ----------
    kind : point, box, scribble or lasso.
    positive : it belongs to the segment; else it does not.
    start : index (k, j, i) of the first voxel of its box.
    mask : the voxels of the box: all of a point and of a box, some of a scribble or lasso.
    """

    kind: Kind
    positive: bool
    start: Shape
    mask: npt.NDArray[np.bool_]

    @property
    def bounds(self) -> list[list[int]]:
        """Where the box begins and ends on each axis, the end not included."""
        return [[at, at + size] for at, size in zip(self.start, self.mask.shape, strict=True)]


def server_of(settings: Settings) -> Origin:
    """Return where prompts are sent.

    Raises
    ------
    InvalidInput
        No address is set, or it is none.
    """
    if not settings.nninteractive:
        raise InvalidInput(
            "No nnInteractive server is known; set its address with 'dicomdock tool nninteractive ADDRESS'."
        )
    return Url.parse(settings.nninteractive, "The address of the nnInteractive server").origin


class PromptSession:
    """A claimed session of a server; of one volume at a time.

    Parameters
    ----------
    settings : have its address; its token is with the other secrets.
    prediction, upload : seconds that a prompt, and the images, may take.

    Raises
    ------
    MissingDependency
        The client is not installed.
    ProfileError
        Pixels may not be sent there, or the token would be sent unencrypted.
    Unreachable, AuthenticationError, ToolError, TimedOut
        The server does not answer, refuses the token, has no free session, or is something else.
    """

    def __init__(self, settings: Settings, *, prediction: float = PREDICTION, upload: float = UPLOAD) -> None:
        origin = server_of(settings)
        require_allowed(settings, origin, "nnInteractive")
        token = Secrets(settings).get(account(NAME), str(origin)) or ""
        if token and not (origin.is_encrypted or origin.is_loopback):
            raise ProfileError(
                f"The token for {origin.short} is not sent unencrypted; use an address with https."
            )
        try:
            from dicomdock.tools.nninteractive_bounds import BoundedSession as Session
        except ImportError:
            raise MissingDependency("The client of nnInteractive", INSTALL) from None
        self._where = origin.short
        self._shape: Shape = (0, 0, 0)
        self._closed = threading.Event()
        self._session: Any = Session.__new__(Session)
        try:
            self._ask(
                lambda: self._session.__init__(
                    settings.nninteractive,
                    api_key=token,
                    connect_timeout=settings.connect_timeout,
                    read_timeout=prediction,
                    set_image_read_timeout=upload,
                )
            )
        except BaseException:
            if (connections := getattr(self._session, "_http", None)) is not None:
                connections.close()  # the client leaves them open
            raise

    @property
    def version(self) -> str:
        """The version of the server's sessions."""
        return str(self._session.INFERENCE_SESSION_VERSION)[:40]

    @property
    def licence(self) -> str:
        """The licence of the server's model, as it states it; empty where it does not."""
        stated = str(self._session.license or "")
        return "" if stated.startswith("!!") else stated[:200]

    def supports(self, prompt: Prompt) -> bool:
        """Return whether the server's model understands a prompt."""
        if prompt.kind == "box":
            flat = ("bbox2d", "bbox3d") if 1 in prompt.mask.shape else ("bbox3d",)
            return any(self._session.supported_interactions.get(one) for one in flat)
        return bool(self._session.supported_interactions.get(_SUPPORT[prompt.kind]))

    def set_image(self, array: npt.NDArray[Any], spacing: Sequence[float]) -> None:
        """Send the images, once for all prompts on them.

        Parameters
        ----------
        array : grey values (k, j, i).
        spacing : mm along k, j and i.
        """
        native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        if native.dtype == np.bool_:
            native = native.astype(np.uint8)
        properties = {"spacing": [float(step) for step in spacing]}

        def work() -> None:
            self._session.set_image(native[np.newaxis], properties)
            self._session.set_target_buffer(np.zeros(native.shape, np.uint8))

        self._ask(work)
        slices, rows, columns = native.shape
        self._shape = (slices, rows, columns)

    def begin(self, mask: npt.NDArray[np.bool_]) -> bool:
        """Begin a segment, with no prompts yet; return whether the server goes on from what was drawn.

        Parameters
        ----------
        mask : what was drawn of it until now, on the grid of the images.
        """
        self._ask(self._session.reset_interactions)
        if not mask.any():
            return True
        if not self._session.supports_initial_label:
            return False
        self._ask(lambda: self._session.add_initial_seg_interaction(mask.astype(np.uint8)))
        return True

    def add(self, prompt: Prompt) -> tuple[Shape, npt.NDArray[np.bool_]] | None:
        """Send a prompt and return the box in which it changes the segment; None where it changes nothing.

        Returns
        -------
        Index (k, j, i) of the first voxel of the box, and which of its voxels belong to the segment now.

        Raises
        ------
        ToolError, TimedOut, Unreachable, Cancelled
            The server does not understand it, fails, takes too long, is gone, or the session was closed.
        """
        if not self.supports(prompt):
            what = "box over several slices" if prompt.kind == "box" else prompt.kind
            raise ToolError(f"The model of the nnInteractive server does not understand a {what}.")
        session, positive = self._session, prompt.positive
        calls: dict[Kind, Callable[[], Any]] = {
            "point": lambda: session.add_point_interaction([*prompt.start], positive),
            "box": lambda: session.add_bbox_interaction(prompt.bounds, positive),
            "scribble": lambda: session.add_scribble_interaction(
                prompt.mask.astype(np.uint8), positive, interaction_bbox=prompt.bounds
            ),
            "lasso": lambda: session.add_lasso_interaction(
                prompt.mask.astype(np.uint8), positive, interaction_bbox=prompt.bounds
            ),
        }
        return self._changed(self._ask(calls[prompt.kind]))

    def undo(self) -> bool:
        """Take the last prompt back; return False where the server cannot."""
        if not self._session.supports_undo:
            return False
        return bool(self._ask(self._session.undo))

    def close(self) -> None:
        """Release the session; what waits for an answer meanwhile is given up."""
        self._closed.set()
        with _errors(self._where, self._closed):
            self._session.close()

    def _changed(self, bounds: Any) -> tuple[Shape, npt.NDArray[np.bool_]] | None:
        if bounds is None:
            return None
        (k0, k1), (j0, j1), (i0, i1) = ((int(low), int(high)) for low, high in bounds)
        ends = ((k0, k1), (j0, j1), (i0, i1))
        if any(not 0 <= low < high <= size for (low, high), size in zip(ends, self._shape, strict=True)):
            raise ToolError(f"The nnInteractive server at {self._where} labels another volume.")
        return (k0, j0, i0), self._session.target_buffer[k0:k1, j0:j1, i0:i1] != 0

    def _ask(self, work: Callable[[], Result]) -> Result:
        if self._closed.is_set():
            raise Cancelled("The session with the nnInteractive server was closed.")
        with _errors(self._where, self._closed):
            return work()


@contextmanager
def _errors(where: str, closed: threading.Event) -> Iterator[None]:
    """Turn what the client raises into sentences."""
    import httpx
    from nnInteractive.inference.remote import ServerAtCapacityError, SessionExpiredError

    server = f"The nnInteractive server at {where}"
    try:
        yield
    except SessionExpiredError as error:
        raise ToolError(f"{server} has ended the session; the next prompt begins another.") from error
    except ServerAtCapacityError as error:
        raise ToolError(
            f"{server} has no free session; try again when somebody else has ended theirs."
        ) from error
    except httpx.TimeoutException as error:
        raise TimedOut(f"{server} did not answer in time.") from error
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise AuthenticationError(
                f"{server} refuses the token; give it to 'dicomdock tool nninteractive' with --token-stdin.",
                server=where,
                status=status,
            ) from error
        raise ToolError(f"{server} answered with status {status}.") from error
    except httpx.HTTPError as error:
        if closed.is_set():
            raise Cancelled("The session with the nnInteractive server was closed.") from error
        raise Unreachable(f"{server} cannot be reached, or has gone away.", url=where) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, struct.error) as error:
        if closed.is_set():  # httpx refuses a client that was closed with RuntimeError
            raise Cancelled("The session with the nnInteractive server was closed.") from error
        raise ToolError(
            f"{server} does not answer as version 2 of nnInteractive does, or labels another volume."
        ) from error
    except MemoryError as error:
        raise ToolError(f"{server} gave more than this machine has memory for.") from error
