"""Static-DICOMWeb: files that were written beforehand, on plain hosting or behind its own server.

Sources
-------
RadicalImaging/Static-DICOMWeb @ b8bbbd9: static-wado-webserver/lib/routes/server/studies.mjs and
adapters/requestAdapters.mjs (``getDicomKey``: one Study or Series Instance UID, by keyword or tag, names a
file; every other parameter is ignored), notFoundControllers.mjs, part10Controller.mjs (instances are put
together anew from metadata and frames).
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from dicomdock.dicom.resource import Resource
from tests.dicomweb.awkward import refused
from tests.servers.canned import Answer, Request
from tests.servers.imitations.base import BOUNDARY, UIDS, Held, Imitation, Parameters, Row
from tests.servers.matching import shown, tag_of


@dataclass
class StaticWado(Imitation):
    """It imitates: every parameter ignored; gzip whether or not it was asked for; JSON under the plain label
    with a character set; 404 for what is not there; lists below a study only; instances in parts with a
    quoted boundary, or with no boundary named at all; relative bulk data addresses; nothing stored or
    deleted.

    Parameters
    ----------
    names_boundary : the label of parts says where they divide.
    node : its own server, which looks at one UID; else plain hosting, which looks at nothing.
    """

    base: ClassVar[str] = "/dicomweb"
    label: ClassVar[str] = "application/json; charset=utf-8"

    names_boundary: bool = False
    node: bool = False

    def answer(self, request: Request, path: Sequence[str]) -> Answer:
        """Return a file, packed."""
        known = (["studies"], ["studies", "series"], ["studies", "series", "instances"])
        if request.method != "GET":
            return refused(405)
        if len(path) % 2 and path[-1] != "metadata" and list(path[0::2]) not in known:
            return refused(404)
        found = super().answer(request, path)
        if found.status != 200:
            return found
        packed = gzip.compress(found.body)
        return replace(found, body=packed, headers={**found.headers, "Content-Encoding": "gzip"})

    def search(self, level: str, values: Sequence[str], query: Parameters) -> Answer:
        """Return the whole list, or the file of one UID."""
        if level == "instances":
            return refused(404)  # no file was written for it
        rows = self.rows(level, values)
        names = {tag_of(name): value for name, value in query if tag_of(name)}
        wanted = names.get("0020000D" if level == "studies" else "0020000E", "") if self.node else ""
        if wanted:
            rows = [row for row in rows if shown(row, UIDS[0 if level == "studies" else 1]) == [wanted]]
        found = [self.row(level, row, []) for row in rows]
        return self.json(found) if found else refused(404)

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Return instances only."""
        found = self.below(place) if place.level == "instance" else []
        if not found:
            return refused(404)
        label = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
        return self.parts([found[0].data], label=label if self.names_boundary else "multipart/related")

    def described(self, one: Held) -> Row:
        """Point to bulk data from the folder of the study."""
        row = super().described(one)
        return {
            tag: {**item, "BulkDataURI": "../bulkdata/x.mp"} if "BulkDataURI" in item else item
            for tag, item in row.items()
        }
