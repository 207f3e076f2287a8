"""Awkward servers, each a fake: it does what no real server can be made to do on demand, and nothing more.

They stand for kinds that were met at real servers; the docstring of each names where. Matching is by
``tests.servers.matching``, as for the imitations.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from dicomdock.dicom.resource import Resource
from tests.builders import Made, changed, ct_series
from tests.dicomweb.awkward import JSON, Awkward, multipart, refused, rows
from tests.servers.canned import Answer, Request
from tests.servers.matching import as_written, by_standard

LONG = "1.2.826.0.1.3680043.10.1599." + "7" * 42  # 70 characters


@dataclass
class AnyUid(Awkward):
    """Lists and gives any text as a UID (pynetdicom#549, dicomweb-client PR#118)."""

    def __call__(self, request: Request) -> Answer:
        pieces = request.path.partition("?")[0].strip("/").split("/")
        if request.method != "GET" or len(pieces) % 2:
            return super().__call__(request)
        names = ("study", "series", "instance")
        uids = dict(zip(names, map(unquote, pieces[1::2]), strict=False))
        found = [one for one in self.instances if all(getattr(one, key) == uid for key, uid in uids.items())]
        return multipart(one.data for one in found) if found else refused(404)


def with_long_uid(level: str, uid: str = LONG) -> tuple[AnyUid, list[Made]]:
    """Return a server with a study of three series, one of which, or one instance of which, has this UID."""
    first = ct_series(2)
    study = first[0].study
    others = [[changed(one, StudyInstanceUID=study) for one in ct_series(2)] for _ in range(2)]
    keyword = "SeriesInstanceUID" if level == "series" else "SOPInstanceUID"
    odd = [changed(ct_series(1)[0], StudyInstanceUID=study, **{keyword: uid})]
    if level != "series":
        odd = [changed(one, SeriesInstanceUID=first[0].series) for one in odd]
    plain = [*first, *others[0], *others[1]]
    return AnyUid([*odd, *plain]), plain


class ListsAsWritten(Awkward):
    """Takes a list of values for one value, as Kheops, dcmjs and Google do (knopkem/dicomweb-proxy#78)."""

    def satisfies(self, attributes: dict, name: str, values: Sequence[str]) -> bool:
        """Return whether an instance satisfies a key."""
        is_list = any(separator in values[0] for separator in ",\\")
        return as_written(attributes, name, values) if is_list else by_standard(attributes, name, values)


class Latin(Awkward):
    """Sends one letter of a name in Latin-1 (nroduit/Weasis#627, #495)."""

    def search(self, path: list[str], query: list[tuple[str, str]]) -> Answer:
        """Answer a search."""
        answer = super().search(path, query)
        return dataclasses.replace(answer, body=answer.body.replace(b"Name000^Jane", b"M\xfcller^Jane"))


class Remarking(Awkward):
    """Refuses what it is sent, and says why, in Azure's way (microsoft/dicom-server PR#2248)."""

    def store(self, request: Request) -> Answer:
        """Refuse an upload."""
        self.stores = self.refuse
        return super().store(request)

    def refuse(self, sent: list[Made]) -> Answer:
        """Name each instance and the fault of one of its elements."""
        words = "DICOM100: (0008,0020) - 'StudyDate' failed validation"
        failed = [
            {
                "00081155": {"vr": "UI", "Value": [one.instance]},
                "00081197": {"vr": "US", "Value": [43264]},
                "00741048": {"vr": "SQ", "Value": [{"00000902": {"vr": "LO", "Value": [words]}}]},
            }
            for one in sent
        ]
        body = json.dumps({"00081198": {"vr": "SQ", "Value": failed}}).encode()
        return Answer(409, body, {"Content-Type": JSON})


class Split(Awkward):
    """Searches, retrieves and stores at three addresses (OHIF/Viewers#5820, DICOMcloud/DICOMcloud#59)."""

    points: str | None = "http://{host}/wadors/studies/{study}"  # its Retrieve URL
    point_in = ("studies", "series", "instances")  # the lists that have it
    at = ("qidors", "wadors", "stowrs")
    describes = True  # has metadata

    def __call__(self, request: Request) -> Answer:
        whole = next(
            (request.path.removeprefix(f"/{one}") for one in self.at if request.path.startswith(f"/{one}/")),
            "",
        )
        service = dict(zip(self.at, Split.at, strict=True)).get(request.path.removesuffix(whole).lstrip("/"))
        below = whole.lstrip("/")
        whole = dataclasses.replace(request, path=whole)
        last = below.partition("?")[0].rpartition("/")[2]
        if service == "qidors" and request.method == "GET" and last in ("studies", "series", "instances"):
            return self.pointed(super().__call__(whole), request)
        if service == "wadors" and request.method == "GET" and last not in ("studies", "series", "instances"):
            if last != "metadata":
                return super().__call__(whole)
            return self.described(whole) if self.describes else refused(404)
        if service == "stowrs":
            return super().__call__(whole) if request.method == "POST" else refused(405)
        return refused(404)

    def described(self, request: Request) -> Answer:
        """Return the metadata of an instance."""
        return rows([{"00080018": {"vr": "UI", "Value": [request.path.split("/")[6]]}}])

    def pointed(self, answer: Answer, request: Request) -> Answer:
        """Let each row point to where its study is retrieved."""
        level = request.path.partition("?")[0].rpartition("/")[2]
        if self.points is None or level not in self.point_in or answer.status != 200:
            return answer
        found = json.loads(answer.body)
        for row in found:
            url = self.points.format(host=request.headers["Host"], study=row["0020000D"]["Value"][0])
            row["00081190"] = {"vr": "UR", "Value": [url]}
        return dataclasses.replace(answer, body=json.dumps(found).encode())


class ByUri(Awkward):
    """Gives instances by WADO-URI alone (PS3.18 §9.4), as archives did before WADO-RS.

    Only the media type that the standard names is understood, and no transfer syntax.
    """

    service = "/wado"
    refusal = 404  # of WADO-RS
    levels = ()

    def __call__(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        if url.path != self.service or not url.query:
            return super().__call__(request)
        asked = dict(parse_qsl(url.query))
        uids = [asked.get(name) for name in ("requestType", "studyUID", "seriesUID", "objectUID")]
        found = [one for one in self.instances if uids == ["WADO", one.study, one.series, one.instance]]
        if asked.get("contentType") != "application/dicom" or "transferSyntax" in asked:
            return refused(400)
        return Answer(200, found[0].data, {"Content-Type": "application/dicom"}) if found else refused(404)

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Refuse every form."""
        return refused(self.refusal)


def storing(server: Awkward) -> Awkward:
    """Let a server store what it is sent."""

    def stored(sent: list[Made]) -> Answer:
        server.keep(sent)
        return Answer(200, b"{}", {"Content-Type": JSON})

    server.stores = stored
    return server


@dataclass
class Digest:
    """Asks for a Digest login of ``alice``, each nonce of which holds for three requests.

    Parameters
    ----------
    server : what lies behind the login.
    before, after : other challenges of the same header.
    """

    server: Awkward
    algorithm: str = "SHA-256"
    qop: str = 'qop="auth", '
    password: str = "se:cret"
    before: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        self.asked: list[Request] = []
        self.nonce = "n0"

    def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        header = request.headers.get("Authorization", "")
        fields = {key: a or b for key, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', header)}
        if header.startswith("Digest") and fields["nonce"] == self.nonce and self.right(request, fields):
            if len(self.asked) % 3 == 0:
                self.nonce = f"n{len(self.asked)}"
            return self.server(request)
        challenge = f'Digest realm="pacs", {self.qop}algorithm={self.algorithm}, nonce="{self.nonce}"'
        challenge = f"{self.before}{challenge}{self.after}"
        return Answer(401, b"", {"WWW-Authenticate": challenge})

    def right(self, request: Request, fields: dict[str, str]) -> bool:
        """Return whether an answer proves the password (RFC 7616 §3.4.1)."""
        name = {"MD5": "md5", "SHA-256": "sha256"}[self.algorithm]

        def digest(text: str) -> str:
            return hashlib.new(name, text.encode()).hexdigest()

        body = f":{hashlib.new(name, request.body).hexdigest()}" if fields.get("qop") == "auth-int" else ""
        first, second = (
            digest(f"alice:pacs:{self.password}"),
            digest(f"{request.method}:{request.path}{body}"),
        )
        middle = f":{fields['nc']}:{fields['cnonce']}:{fields['qop']}" if self.qop else ""
        return (
            fields["uri"] == request.path
            and fields.get("qop", "") in self.qop
            and fields["username"] == "alice"
            and fields["response"] == digest(f"{first}:{fields['nonce']}{middle}:{second}")
        )


@dataclass
class Sticky:
    """A load balancer that sends round until its cookie comes back (dicoogle/dicoogle PR#740)."""

    server: Awkward

    def __call__(self, request: Request) -> Answer:
        if "route=node-17-abc" in request.headers.get("Cookie", ""):
            return self.server(request)
        return Answer(
            302, b"", {"Location": request.path, "Set-Cookie": "route=node-17-abc; Path=/; HttpOnly"}
        )
