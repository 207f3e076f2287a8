"""Servers that imitate the described behaviour of real ones that cannot run here.

None of them holds code of the server that it is named after. What each does was written from published
documentation, source and reports of users, in words of our own; ``docs/servers.md`` says what that proves
and what it does not.
"""

from tests.servers.imitations.aws import Aws
from tests.servers.imitations.azure import Azure
from tests.servers.imitations.base import Imitation
from tests.servers.imitations.dcm4chee import Dcm4chee
from tests.servers.imitations.dcmjs import Dcmjs
from tests.servers.imitations.google import Google
from tests.servers.imitations.kheops import Kheops
from tests.servers.imitations.slicer import Slicer
from tests.servers.imitations.static_wado import StaticWado

__all__ = [
    "Aws",
    "Azure",
    "Dcm4chee",
    "Dcmjs",
    "Google",
    "Imitation",
    "Kheops",
    "Slicer",
    "StaticWado",
]
