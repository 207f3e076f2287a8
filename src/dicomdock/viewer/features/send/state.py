"""What the page knows of sending."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SendItem:
    """A series that was made on this computer.

    Parameters
    ----------
    uid : Series Instance UID.
    name : as the user calls it.
    count : its instances.
    sent : names of the servers that have all of it.
    chosen : it is to be sent.
    """

    uid: str
    name: str
    count: int
    sent: list[str]
    chosen: bool = False


@dataclass(frozen=True)
class SendAnswer:
    """What a server answered for instances of one series.

    Parameters
    ----------
    name : of the series.
    words : the answer.
    uids : SOP Instance UIDs.
    bad : they are not stored.
    """

    name: str
    words: str
    uids: list[str]
    bad: bool


@dataclass
class SendState:
    """The dialog that sends.

    Parameters
    ----------
    sending : something is being sent.
    send_open : the dialog is shown.
    send_servers : names of the servers; ``send_server`` is the chosen one.
    send_profile : how it is de-identified; empty for as it is.
    send_preview : what the receiver will see of de-identified copies.
    send_items : what can be sent.
    send_answers : what the server answered.
    send_words : how it goes; ``send_bad`` where something went wrong.
    """

    sending: bool = False
    send_open: bool = False
    send_servers: list[str] = field(default_factory=list)
    send_server: str = ""
    send_profile: str = ""
    send_preview: str = ""
    send_items: list[SendItem] = field(default_factory=list)
    send_answers: list[SendAnswer] = field(default_factory=list)
    send_words: str = ""
    send_bad: bool = False
