"""Targets of the wire: links, multipart bodies, JSON and XML."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from dicomdock.errors import DicomdockError
from tests.fuzz.targets import Target, found_before
from tests.fuzz.tokens import DOCUMENTS, LINKS, MULTIPART

UIDS = b"1.2.3", b"1.2.4", b"1.2.5"


def links(folder: Path) -> Target:
    from dicomdock.launch.link import parse

    seeds = (
        b"slicer://viewer/?studyUID=1.2.3&access_token=abc&dicomweb_endpoint=https%3A%2F%2Fpacs.example%2Fdicom-web",
        b"dicomdock://viewer/?studyUID=1.2.3&seriesUID=1.2.4,1.2.5&dicomweb_endpoint=http%3A%2F%2F127.0.0.1%3A8042%2Frs",
        b"weasis://%24dicom%3Ars%20--url%20%22https%3A%2F%2Fpacs.example%2Fdicom-web%22%20-r%20%22studyUID%3D1.2.3%22"
        b"%20-H%20%22Authorization%3A%20Bearer%20abc%22",
        b"https://ohif.example/viewer?StudyInstanceUIDs=1.2.3,1.2.4&dataSources=x",
        b"https://kheops.example/view/SECRETTOKEN12345",
        b"https://kheops.example/api/link/SECRETTOKEN12345/studies/1.2.3",
        b"https://pacs.example/IHEInvokeImageDisplay?requestType=STUDY&studyUID=1.2.3",
        b"https://pacs.example/IHEInvokeImageDisplay?requestType=PATIENT&patientID=P%5E1&mostRecentResults=3",
        b"https://pacs.example/dicom-web/studies/1.2.3/series/1.2.4",
        b"http://[::1]:8042/dicom-web/studies/1.2.3",
    )

    def read(data: bytes) -> None:
        repr(parse(data.decode("utf-8", "surrogateescape")))

    return Target(seeds, [read], LINKS, lambda: found_before("crash-link"))


def related_parts(boundary: bytes = b"x") -> bytes:
    parts = [b"--%b\r\nContent-Type: application/dicom\r\n\r\n" % boundary + bytes(128) + b"DICM" + bytes(40)]
    parts += [b"\r\n--%b\r\nContent-Length: 5\r\nContent-Location: a/b\r\n\r\nabcde" % boundary] * 2
    return b"".join([*parts, b"\r\n--%b--\r\n" % boundary])


def multipart(folder: Path) -> Target:
    from dicomdock.web.multipart.reader import read_parts

    kind = b'multipart/related; type="application/dicom"; boundary=x'
    seeds = [size + kind + b"\n" + related_parts() for size in (b"\1", b"\7", b"\xff")]
    seeds += [
        b"\xff\n" + related_parts(b"long-boundary"),
        b"\5multipart/related\n" + related_parts().replace(b"\r\n", b"\n"),
    ]

    def read(data: bytes) -> None:
        step = max(1, data[0] if data else 1)
        label, _, body = data[1:].partition(b"\n")
        step = step if len(body) < 20_000 else 4096
        chunks = (body[at : at + step] for at in range(0, len(body), step))
        given = 0
        for part in read_parts(chunks, label.decode("latin-1")):
            given += sum(map(len, part.chunks()))
        assert given <= len(body), "more came out than went in"

    return Target(seeds, [read], MULTIPART)


def instance_json(**more: object) -> dict[str, object]:
    texts = {
        "00080018": ("UI", "1.2.5"),
        "0020000D": ("UI", "1.2.3"),
        "0020000E": ("UI", "1.2.4"),
        "00080060": ("CS", "CT"),
    }
    found: dict[str, object] = {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in texts.items()}
    found["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "x"}]}
    found["00201209"] = {"vr": "IS", "Value": [12]}
    found["00400275"] = {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": ["Head"]}}]}
    found["7FE00010"] = {"vr": "OW", "BulkDataURI": "bulk/7FE00010"}
    return {**found, **more}


def store_answer() -> dict[str, object]:
    item = {
        "00081155": {"vr": "UI", "Value": ["1.2.5"]},
        "00081197": {"vr": "US", "Value": [272]},
        "00741048": {"vr": "SQ", "Value": [{}]},
    }
    return {tag: {"vr": "SQ", "Value": [item]} for tag in ("00081198", "00081199", "0008119A")}


XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
    b'<DicomAttribute tag="00081199" vr="SQ" keyword="R"><Item number="1">'
    b'<DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2</Value></DicomAttribute></Item>'
    b"</DicomAttribute>"
    b'<DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic><FamilyName>a</FamilyName>'
    b"</Alphabetic></PersonName></DicomAttribute></NativeDicomModel>"
)


def documents(folder: Path) -> Target:
    from dicomdock.dicom import json_model, xml_model
    from dicomdock.dicom.resource import resource_in
    from dicomdock.dicomweb import store_response

    seeds = [
        json.dumps([instance_json()] * 3).encode(),
        json.dumps(store_answer()).encode(),
        json.dumps([store_answer()]).encode(),
        XML,
    ]
    nested = b'{"00400275":{"vr":"SQ","Value":[' * 900 + b"{}" + b"]}}" * 900

    def cases() -> list[bytes]:
        return [
            XML.replace(b"UTF-8", b"U5F-8"),
            b"[" * 100_000,
            nested,
            b'[{"00201209":{"vr":"IS","Value":[' + b"9" * 100_000 + b"]}}]",
            b'{"00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[1e999]}}]}}',
            b"[" + b'{"00080018":{}},' * 60_000 + b"{}]",
            *found_before("crash-json"),
        ]

    def read(data: bytes) -> None:
        store_response.read(200, "application/dicom+json", data, "server")
        store_response.read(409, "", data, "server", remarks=("299 x",))
        if xml_model.is_xml(data, ""):
            found = [xml_model.from_xml(data)]
        else:
            found = json_model.parse(data, "application/json")
        for one in found[:1000]:
            json_model.flatten(one)
            with suppress(DicomdockError):
                resource_in(one)
            for name in ("PatientName", "00201209", "00400275", "SOPInstanceUID"):
                json_model.text(one, name)
                json_model.texts(one, name)
                json_model.items(one, name)

    return Target(seeds, [read], DOCUMENTS, cases, json=True)
