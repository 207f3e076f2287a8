"""The messages: one frozen dataclass each, whose fields are the only list of what it holds.

The dock sends ``Order``s, the viewer ``Event``s. A ``Request`` is an event that is answered: by any number of
``Progress`` and one ``Reply``, all with the request's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

Attributes: TypeAlias = Mapping[str, Any]
"""An item in the DICOM JSON model (PS3.18 F.2), passed through unread."""


# ---- Dock to viewer


@dataclass(frozen=True)
class Start:
    """Begin: the first line that a viewer reads.

    Parameters
    ----------
    secret : authorises the viewer's page from then on.
    one_time_token : opens the page a single time instead.
    settings : the dock's.
    port : to listen on; 0 for any free one.
    """

    secret: str = field(repr=False)
    one_time_token: str = field(repr=False)
    settings: Settings
    port: int = 0


@dataclass(frozen=True)
class WantedSegment:
    """A segment that somebody is to draw.

    Parameters
    ----------
    series : Series Instance UID of the images.
    label : its name.
    entry : its codes, as 3D Slicer writes them (``Terminology.to_slicer``); empty for those of its name.
    """

    series: str
    label: str
    entry: str = ""


@dataclass(frozen=True)
class OpenStudy:
    """Show a study.

    Parameters
    ----------
    resource : the study, or the series of it to begin with.
    pulling : it is being downloaded.
    coming : the series that are being downloaded, as their server describes them.
    has_list : the sender has a page that lists studies or cases, to which the viewer can lead back.
    segments : with which a new segmentation of their series begins.
    """

    resource: Resource
    pulling: bool = False
    coming: tuple[Attributes, ...] = ()
    has_list: bool = False
    segments: tuple[WantedSegment, ...] = ()


@dataclass(frozen=True)
class PullChanged:
    """The download of the study began or ended.

    Parameters
    ----------
    running : it runs.
    reason : why it ended incomplete; empty otherwise.
    """

    running: bool
    reason: str = ""


@dataclass(frozen=True)
class ExpectSeries:
    """The server's description of the images of a series that is being downloaded.

    Parameters
    ----------
    series : Series Instance UID.
    metadata : one item for each instance.
    """

    series: str
    metadata: tuple[Attributes, ...]


@dataclass(frozen=True)
class Close:
    """End, after saving what was drawn."""


@dataclass(frozen=True)
class CloseWhenUnused:
    """End when no page is in sight and nothing runs, after saving what was drawn.

    Parameters
    ----------
    seconds : to wait for a page to come back.
    """

    seconds: float


@dataclass(frozen=True)
class Progress:
    """How far a request is.

    Parameters
    ----------
    request : its number.
    done, total : instances.
    """

    request: int
    done: int
    total: int


@dataclass(frozen=True)
class ServersReply:
    """Where the study can be sent.

    Parameters
    ----------
    request : the number of the request.
    servers : names, in the user's order.
    default : the one that is proposed; empty for none.
    remark : a sentence for the user; may be empty.
    """

    request: int
    servers: tuple[str, ...]
    default: str
    remark: str = ""


StoreStatus = Literal["stored", "warning", "duplicate", "failed", "unconfirmed", "unsent"]


@dataclass(frozen=True)
class InstanceResult:
    """The server's answer for one instance.

    Parameters
    ----------
    instance, series : UIDs.
    status : the outcome; ``unsent`` where sending ended before.
    code : Failure or Warning Reason, where the server gave one.
    reason : the same as a sentence.
    """

    instance: str
    series: str
    status: StoreStatus
    code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class SendReply:
    """What became of each instance.

    Parameters
    ----------
    request : the number of the request.
    results : one for each instance.
    problem : why sending ended early; empty otherwise.
    """

    request: int
    results: tuple[InstanceResult, ...]
    problem: str = ""


@dataclass(frozen=True)
class FetchReply:
    """A download began: of missing source images, or of a prior study.

    Parameters
    ----------
    request : the number of the request.
    servers : where they come from.
    """

    request: int
    servers: tuple[str, ...]


@dataclass(frozen=True)
class PriorStudy:
    """A study of the same patient that is on a server and not here.

    Parameters
    ----------
    study : Study Instance UID.
    server : who has it.
    date, description : as stored.
    modalities : of its series.
    instances : how many it has there; 0 where the server does not count.
    """

    study: str
    server: str
    date: str
    description: str
    modalities: tuple[str, ...]
    instances: int


@dataclass(frozen=True)
class PriorsReply:
    """The patient's other studies on the servers.

    Parameters
    ----------
    request : the number of the request.
    studies : the latest first.
    problems : which servers did not answer, a sentence each.
    """

    request: int
    studies: tuple[PriorStudy, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class AddressReply:
    """The address of the list of studies.

    Parameters
    ----------
    request : the number of the request.
    address : works once.
    """

    request: int
    address: str = field(repr=False)


@dataclass(frozen=True)
class PreviewReply:
    """What a receiver of de-identified copies will see.

    Parameters
    ----------
    request : the number of the request.
    words : sentences for the user.
    """

    request: int
    words: str = field(repr=False)


@dataclass(frozen=True)
class ErrorReply:
    """The request failed.

    Parameters
    ----------
    request : the number of the request.
    message : why, a sentence for the user.
    """

    request: int
    message: str


Reply: TypeAlias = (
    ServersReply | SendReply | FetchReply | PriorsReply | AddressReply | PreviewReply | ErrorReply
)
Order: TypeAlias = Start | OpenStudy | PullChanged | ExpectSeries | Close | CloseWhenUnused | Progress | Reply


# ---- Viewer to dock


@dataclass(frozen=True)
class Ready:
    """The page can be opened.

    Parameters
    ----------
    port : where it listens on 127.0.0.1.
    """

    port: int


@dataclass(frozen=True)
class SeriesShown:
    """The viewer begins to show a series.

    Parameters
    ----------
    series : Series Instance UID.
    """

    series: str


@dataclass(frozen=True)
class Settled:
    """Nothing is being loaded any more, and a page is built that shows it."""


PageState = Literal["visible", "hidden", "lost", "closed"]


@dataclass(frozen=True)
class PageChanged:
    """The page of the study came, left, or was hidden behind another tab.

    Parameters
    ----------
    state : ``closed`` where the page reported it (a reload does too), ``lost`` where its connection ended.
    """

    state: PageState


@dataclass(frozen=True)
class StudyChanged:
    """Something was written to the study in the archive."""


@dataclass(frozen=True)
class ListServers:
    """Ask where the study can be sent.

    Parameters
    ----------
    request : its number.
    origin : the connection that the study came by; empty where it is unknown.
    """

    request: int
    origin: str


@dataclass(frozen=True)
class SendSeries:
    """Ask to send what was made on this computer.

    Parameters
    ----------
    request : its number.
    server : name.
    series : Series Instance UIDs.
    deidentify : send de-identified copies by this profile; empty for the instances as they are.
    """

    request: int
    server: str
    series: tuple[str, ...]
    deidentify: str = ""


@dataclass(frozen=True)
class PreviewCopies:
    """Ask what a receiver of de-identified copies will see.

    Parameters
    ----------
    request : its number.
    series : Series Instance UIDs.
    deidentify : profile of the copies.
    """

    request: int
    series: tuple[str, ...]
    deidentify: str


@dataclass(frozen=True)
class FetchSources:
    """Ask to download the images that objects of the study refer to.

    Parameters
    ----------
    request : its number.
    """

    request: int


@dataclass(frozen=True)
class FindPriors:
    """Ask which other studies of the patient the servers have.

    Parameters
    ----------
    request : its number.
    """

    request: int


@dataclass(frozen=True)
class FetchPrior:
    """Ask to download a study that ``FindPriors`` found.

    Parameters
    ----------
    request : its number.
    study : Study Instance UID.
    """

    request: int
    study: str


@dataclass(frozen=True)
class FindList:
    """Ask for the address of the list of studies.

    Parameters
    ----------
    request : its number.
    """

    request: int


Request: TypeAlias = (
    ListServers | SendSeries | PreviewCopies | FetchSources | FindPriors | FetchPrior | FindList
)
Event: TypeAlias = Ready | SeriesShown | Settled | PageChanged | StudyChanged | Request

ORDERS: Mapping[str, type[Order]] = {kind.__name__: kind for kind in get_args(Order)}
EVENTS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}
