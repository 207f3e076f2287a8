"""Why a request about a procedure step is refused, or changes nothing: the status codes of the standard.

References
----------
PS3.4 CC.2.1.4, CC.2.2.4, CC.2.6.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from dicomdock.errors import DicomdockError


class Reason(StrEnum):
    """Why a request is refused: the standard's status code, in hexadecimal."""

    NO_LONGER_UPDATABLE = "C300"
    WRONG_TRANSACTION_UID = "C301"
    ALREADY_IN_PROGRESS = "C302"
    SCHEDULED_BY_CREATION_ONLY = "C303"
    FINAL_STATE_REQUIREMENTS = "C304"
    NOT_IN_PROGRESS = "C310"
    ALREADY_COMPLETED = "C311"
    NOBODY_TO_NOTIFY = "C312"


class Remark(StrEnum):
    """What a request that changes nothing is answered with: the standard's status code, in hexadecimal."""

    ALREADY_CANCELED = "B304"
    ALREADY_COMPLETED = "B306"


_SENTENCES: Final = {
    Reason.NO_LONGER_UPDATABLE: "The procedure step may no longer be updated.",
    Reason.WRONG_TRANSACTION_UID: "The correct Transaction UID was not provided.",
    Reason.ALREADY_IN_PROGRESS: "The procedure step is already IN PROGRESS.",
    Reason.SCHEDULED_BY_CREATION_ONLY: "A procedure step becomes SCHEDULED only when it is created.",
    Reason.FINAL_STATE_REQUIREMENTS: "The procedure step lacks what its final state requires",
    Reason.NOT_IN_PROGRESS: "The procedure step is not IN PROGRESS yet.",
    Reason.ALREADY_COMPLETED: "The procedure step is already COMPLETED.",
    Reason.NOBODY_TO_NOTIFY: "The procedure step is IN PROGRESS, and its performer cannot be notified.",
}


class StepRefused(DicomdockError):
    """A request that the state of a procedure step does not permit.

    Parameters
    ----------
    reason : the standard's code.
    missing : keywords of the attributes that the final state requires.
    why : what led to the state of the step, as the step itself has it.
    """

    http_status = 409

    def __init__(self, reason: Reason, missing: Sequence[str] = (), why: str = "") -> None:
        sentence = _SENTENCES[reason]
        if missing:
            sentence = f"{sentence}: {', '.join(missing)}."
        super().__init__(f"{sentence} {why}" if why else sentence)
        self.reason = reason
        self.missing = tuple(missing)
