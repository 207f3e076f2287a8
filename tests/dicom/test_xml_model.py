"""The Native DICOM Model, with dcm2xml as the witness: what it writes and what we write is one data set."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataset import Dataset

from dicomdock.dicom import json_model, xml_model
from dicomdock.dicom.dataset import read_dataset
from dicomdock.dicom.json_writing import from_dataset
from dicomdock.errors import WireError
from tests.conftest import unavailable

XML = b"""<?xml version="1.0" encoding="utf-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
  <DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence">
    <Item number="1"><DicomAttribute tag="00081155" vr="UI"><Value>1.9</Value></DicomAttribute></Item>
  </DicomAttribute>
  <DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic>
    <FamilyName>Doe</FamilyName><GivenName>Jane</GivenName></Alphabetic></PersonName></DicomAttribute>
</NativeDicomModel>"""

NUMBERS = {"DS", "FL", "FD"}
SPACE = "{" + xml_model.NAMESPACE + "}"


def test_the_native_xml_model_is_read_like_json():
    found = xml_model.from_xml(XML)
    (item,) = json_model.items(found, "00081199")
    assert json_model.text(item, "00081155") == "1.9"
    assert json_model.flatten(found)["PatientName"] == "Doe^Jane"


@pytest.mark.parametrize(
    "body",
    [b"<a", b'<?xml version="1.0" encoding="U5F-8"?><a/>', b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'],
)
def test_hostile_xml_is_refused(body):
    with pytest.raises(WireError):
        xml_model.from_xml(body)


def attributes(root: ET.Element) -> dict[tuple[str, str], object]:
    """Return a data set of an XML document as plain values, numbers as numbers, without binary ones."""
    found: dict[tuple[str, str], object] = {}
    for element in root:
        vr = element.get("vr", "")
        key = (element.get("tag", ""), element.get("privateCreator", ""))
        values: list[object] = []
        for child in element:
            kind = child.tag.rpartition("}")[2]
            if kind == "Item":
                values.append(attributes(child))
            elif kind == "PersonName":
                groups = ((group.tag.rpartition("}")[2], group) for group in child)
                values.append(
                    {(k, part.tag.rpartition("}")[2]): part.text for k, group in groups for part in group}
                )
            elif kind in ("BulkData", "InlineBinary"):
                values.append("binary")
            else:
                text = (child.text or "").strip()
                number = vr in NUMBERS and text
                values.append(pytest.approx(float(text), rel=1e-6) if number else text)
        # A value of blanks alone, or an empty name, is an empty attribute to us. dcm2xml has no keyword for
        # what is retired, and leaves the block out also where no creator is declared.
        if int(key[0][3], 16) % 2 == 0 or key[1]:
            found[key] = (vr, values if any(value != "" and value != {} for value in values) else [])
    return found


FILES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "reportsi.dcm",
    "rtplan.dcm",
    "rtstruct.dcm",
    "liver_1frame.dcm",
    "nested_priv_SQ.dcm",
    "examples_overlay.dcm",
    "waveform_ecg.dcm",
)
NAMES = (
    "chrFren.dcm",
    "chrGerm.dcm",
    "chrGreek.dcm",
    "chrRuss.dcm",
    "chrHbrw.dcm",
    "chrArab.dcm",
    "chrI2.dcm",
)


@pytest.mark.parametrize("name", FILES + NAMES)
def test_what_dcm2xml_writes_is_what_we_write(name):
    if shutil.which("dcm2xml") is None:
        unavailable("dcm2xml", "apt install dcmtk")
    path = get_charset_files(name)[0] if name in NAMES else get_testdata_file(name, download=False)
    command = ["dcm2xml", "--native-format", *(["+U8"] if name in NAMES else ["+Ca", "latin-1"]), path]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = attributes(ET.fromstring(done.stdout))
    with Path(path).open("rb") as file:
        ours = attributes(ET.fromstring(xml_model.to_xml(from_dataset(read_dataset(file)))))
    differences = {
        key: (expected.get(key), ours.get(key))
        for key in expected.keys() | ours.keys()
        if expected.get(key) != ours.get(key) and key[0] != "00080005"  # dcm2xml names what it converted to
    }
    assert not differences


def test_private_attributes_are_named_by_their_creator():
    dataset = Dataset()
    dataset.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "one")
    dataset.private_block(0x0009, "OTHER & CO", create=True).add_new(1, "LO", "2")
    model = from_dataset(dataset)
    written = ET.fromstring(xml_model.to_xml(model))
    found = {(e.get("tag"), e.get("privateCreator")): e[0].text for e in written}
    assert found == {
        ("00090010", None): "ACME",
        ("00090011", None): "OTHER & CO",
        ("00090001", "ACME"): "one",
        ("00090001", "OTHER & CO"): "2",
    }
    assert xml_model.from_xml(xml_model.to_xml(model)) == model


def test_a_creator_that_is_not_declared_gets_a_block():
    body = (
        b'<x><DicomAttribute tag="00090001" vr="LO" privateCreator="A"><Value>v</Value></DicomAttribute></x>'
    )
    assert xml_model.from_xml(body) == {
        "00090010": {"vr": "LO", "Value": ["A"]},
        "00091001": {"vr": "LO", "Value": ["v"]},
    }


def test_a_character_that_xml_cannot_contain_costs_no_other():
    model = {"00104000": {"vr": "LT", "Value": [" a\x0c\x1b<&>\r\nb\ud800"]}}
    (value,) = xml_model.from_xml(xml_model.to_xml(model))["00104000"]["Value"]
    assert value == " a\ufffd\ufffd<&>\r\nb\ufffd"


def test_the_schema_of_the_standard_describes_it():
    etree = pytest.importorskip("lxml.etree")
    schema = etree.RelaxNG(etree.parse(io.BytesIO(SCHEMA)))
    for name in FILES[:6]:
        with Path(get_testdata_file(name, download=False)).open("rb") as file:
            document = etree.parse(
                io.BytesIO(xml_model.to_xml(from_dataset(read_dataset(file), "http://x/")))
            )
        assert schema.validate(document), schema.error_log
        assert document.getroot().get("{http://www.w3.org/XML/1998/namespace}space") == "preserve"


# PS3.19 Table A.1.5-1 and A.1.5-2, and the person name macro of Table A.1.5-3, as a grammar of our own.
SCHEMA = b"""<grammar xmlns="http://relaxng.org/ns/structure/1.0" ns="http://dicom.nema.org/PS3.19/models/NativeDICOM"
 datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
<start><element name="NativeDicomModel"><attribute name="xml:space"><value>preserve</value></attribute>
 <ref name="dataset"/></element></start>
<define name="dataset"><zeroOrMore><element name="DicomAttribute">
 <attribute name="tag"><data type="string"><param name="pattern">[0-9A-F]{8}</param></data></attribute>
 <optional><attribute name="vr"><data type="string"><param name="pattern">[A-Z]{2}</param></data></attribute>
 </optional>
 <optional><attribute name="keyword"/></optional><optional><attribute name="privateCreator"/></optional>
 <choice>
  <zeroOrMore><element name="Value"><ref name="number"/><text/></element></zeroOrMore>
  <oneOrMore><element name="Item"><ref name="number"/><ref name="dataset"/></element></oneOrMore>
  <oneOrMore><element name="PersonName"><ref name="number"/>
   <optional><element name="Alphabetic"><ref name="name"/></element></optional>
   <optional><element name="Ideographic"><ref name="name"/></element></optional>
   <optional><element name="Phonetic"><ref name="name"/></element></optional></element></oneOrMore>
  <element name="BulkData"><choice><attribute name="uri"/><attribute name="uuid"/></choice></element>
  <element name="InlineBinary"><data type="base64Binary"/></element>
 </choice></element></zeroOrMore></define>
<define name="number"><attribute name="number"><data type="positiveInteger"/></attribute></define>
<define name="name"><optional><element name="FamilyName"><text/></element></optional>
 <optional><element name="GivenName"><text/></element></optional>
 <optional><element name="MiddleName"><text/></element></optional>
 <optional><element name="NamePrefix"><text/></element></optional>
 <optional><element name="NameSuffix"><text/></element></optional></define>
</grammar>"""

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).filter(
    lambda text: text == text.strip() and re.search("[\ufffe\uffff]", text) is None
)
TAGS = (
    st.integers(0x00080001, 0x7FE0FFFF)
    .map(lambda tag: f"{tag & 0xFFFEFFFF:08X}")
    .filter(lambda tag: not tag.endswith("0000"))
)
ATTRIBUTES = st.one_of(
    st.builds(lambda vr: {"vr": vr}, st.sampled_from(["LO", "PN", "OW", "SQ", "DS"])),
    st.builds(lambda values: {"vr": "LO", "Value": values}, st.lists(TEXT, min_size=1)),
    st.builds(
        lambda values: {"vr": "IS", "Value": values}, st.lists(st.integers(-(10**9), 10**9), min_size=1)
    ),
    st.builds(
        lambda values: {"vr": "FD", "Value": values},
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
    ),
    st.builds(lambda uri: {"vr": "OB", "BulkDataURI": uri}, TEXT),
    st.just({"vr": "OB", "InlineBinary": "AAECAw=="}),
    st.builds(
        lambda first, last: {"vr": "PN", "Value": [{"Alphabetic": f"{first}^{last}"}, None]},
        TEXT.filter(lambda text: "^" not in text),
        TEXT.filter(lambda text: "^" not in text),
    ),
)
MODELS = st.dictionaries(TAGS, ATTRIBUTES, max_size=6)


@pytest.mark.slow
@given(MODELS, MODELS)
def test_what_is_written_is_read_as_it_was(model, item):
    whole = {**model, "00400275": {"vr": "SQ", "Value": [item, {}]}}
    assert xml_model.from_xml(xml_model.to_xml(whole)) == whole


def test_empty_values_keep_their_place_and_decimals_their_value():
    dataset = Dataset()
    dataset.ImageType = ["A", "", "B"]
    dataset.SliceThickness = "1.50"
    dataset.AccessionNumber = ""
    dataset.FrameIncrementPointer = [0x00181063]
    document = ET.fromstring(xml_model.to_xml(from_dataset(dataset)))
    values = {e.get("keyword"): [child.text for child in e.iter(SPACE + "Value")] for e in document}
    assert values == {
        "ImageType": ["A", None, "B"],
        "SliceThickness": ["1.5"],
        "AccessionNumber": [],
        "FrameIncrementPointer": ["00181063"],
    }
