"""May a link act? Known servers and remembered origins pass, others are asked about, some are refused.

Nothing here sends a byte before the user has agreed; names are resolved only after that.
"""

from __future__ import annotations

from dicomdock.config.trust import SYSTEM_FILE, TrustedOrigin, TrustStore
from dicomdock.launch.trust.decision import (
    Allowed,
    Ask,
    ChooseServer,
    Decision,
    Question,
    Refused,
    decide,
    request_profile,
    use_server,
)
from dicomdock.launch.trust.questions import JustRefused, OpenQuestion, QuestionBox

__all__ = [
    "SYSTEM_FILE",
    "Allowed",
    "Ask",
    "ChooseServer",
    "Decision",
    "JustRefused",
    "OpenQuestion",
    "Question",
    "QuestionBox",
    "Refused",
    "TrustStore",
    "TrustedOrigin",
    "decide",
    "request_profile",
    "use_server",
]
