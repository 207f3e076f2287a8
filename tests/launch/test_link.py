"""Links of every format become requests; what is wrong is refused in words that repeat nothing of it."""

import copy
import pickle
from dataclasses import asdict
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom.resource import Resource
from dicomdock.errors import LaunchError
from dicomdock.launch.link import LaunchRequest, Secret, parse

KHEOPS = (
    "slicer://viewer?studyUID=1.2.3&access_token=k0z.R-_~&dicomweb_endpoint=https%3A%2F%2Fa.test%2Fapi"
    "&dicomweb_uri_endpoint=https%3A%2F%2Fa.test%2Fapi%2Fwado"
)
uids = st.lists(st.integers(0, 10**9), min_size=2, max_size=6).map(lambda n: ".".join(map(str, n)))
tokens = st.text("abcXYZ019._~+/=%&-", min_size=9, max_size=40)


def studies(request: LaunchRequest) -> list[str]:
    return [resource.study for resource in request.resources]


def test_a_kheops_button() -> None:
    request = parse(KHEOPS)
    assert request.endpoint == "https://a.test/api"
    assert str(request.origin) == "https://a.test:443"
    assert request.resources == (Resource("1.2.3"),)
    assert request.token == Secret("k0z.R-_~")
    assert request.options.format == "slicer"
    assert request.options.bulk_retrieve


def test_blanks_around_values_are_dropped_and_a_plus_stays_a_plus() -> None:
    link = "slicer://VIEWER/?studyUID=%202.16.840&access_token=a+b&dicomweb_endpoint=%20https://PACS.test:443/dw/"
    request = parse(f"  {link}\n")
    assert request.endpoint == "https://pacs.test/dw"
    assert studies(request) == ["2.16.840"]
    assert request.token == Secret("a+b")


@pytest.mark.parametrize("tail", ["/studies", "/studies/"])
def test_an_endpoint_that_is_the_list_of_studies_is_the_base_address(tail: str) -> None:
    request = parse(f"slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https://a.test/dicom-web{tail}")
    assert request.endpoint == "https://a.test/dicom-web"


def test_uids_that_a_server_made_too_long_are_taken() -> None:
    """AWS HealthImaging assigns up to 256 characters; a pull takes them too."""
    long = "1." + "2" * 254
    assert studies(parse(f"slicer://viewer/?studyUID={long}&dicomweb_endpoint=https://a.test")) == [long]
    assert studies(parse(f"https://a.test/dw/studies/{long}")) == [long]
    with pytest.raises(LaunchError, match="longer than 256"):
        parse(f"slicer://viewer/?studyUID={long}3&dicomweb_endpoint=https://a.test")


def test_values_are_decoded_once() -> None:
    request = parse(
        "slicer://viewer/?studyUID=1.2&access_token=a%252Fb&dicomweb_endpoint=https://a.test/x%2520y"
    )
    assert request.token == Secret("a%2Fb")
    assert request.endpoint == "https://a.test/x%20y"


@pytest.mark.parametrize(
    "value", ["", "undefined", "null", "access_token", "{{access_token}}", "%7B%7Baccess_token%7D%7D", "%20"]
)
def test_what_portals_write_without_a_token_is_no_token(value: str) -> None:
    link = f"slicer://viewer/?studyUID=1.2&access_token={value}&dicomweb_endpoint=https://a.test"
    assert parse(link).token is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", False), ("00", False), ("False", False), ("1", True), ("10", True), ("", True)],
)
def test_bulk_retrieve(value: str, expected: bool) -> None:
    link = f"slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https://a.test&bulk_retrieve={value}"
    assert parse(link).options.bulk_retrieve is expected


def test_our_own_scheme_takes_several_studies_or_series() -> None:
    end = "&dicomweb_endpoint=https%3A%2F%2Fa.test"
    assert studies(parse("dicomdock://open?studyUID=1.2,1.3&studyUID=1.4&studyUID=1.2" + end)) == [
        "1.2",
        "1.3",
        "1.4",
    ]
    request = parse("dicomdock://viewer/?studyUID=1.2&seriesUID=1.2.1&seriesUID=1.2.2" + end)
    assert request.resources == (Resource("1.2", "1.2.1"), Resource("1.2", "1.2.2"))
    assert request.options.format == "dicomdock"
    with pytest.raises(LaunchError, match="exactly one study"):
        parse("dicomdock://viewer/?studyUID=1.2,1.3&seriesUID=1.2.1" + end)


ORTHANC_EXPLORER = (
    "weasis://?%24dicom%3Ars+--url%3D%22https%3A%2F%2Fpacs.test%2Fdicom-web%22+-r+%22studyUID%3D1.2%2C1.3%22"
    "+--query-ext%3D%22%26includedefaults%3Dfalse%22+-H+%22Authorization%3A+Bearer+T.0%22"
)


@pytest.mark.parametrize(
    "link",
    [
        ORTHANC_EXPLORER,
        ORTHANC_EXPLORER.replace("+", "%20"),
        ORTHANC_EXPLORER.replace("weasis://?", "weasis://"),
        ORTHANC_EXPLORER.replace("%22", "%27"),
        ORTHANC_EXPLORER + "+%24weasis%3Aconfig+pro%3D%22x.y+z%22",
    ],
)
def test_a_weasis_button(link: str) -> None:
    request = parse(link)
    assert request.endpoint == "https://pacs.test/dicom-web"
    assert studies(request) == ["1.2", "1.3"]
    assert request.token == Secret("T.0")


def weasis(command: str) -> LaunchRequest:
    return parse("weasis://?" + quote(command))


def test_weasis_by_accession_number_and_with_orthancs_token_header() -> None:
    request = weasis('$dicom:rs --url "https://p.test" -r "accessionNumber=A%2F1" -H "token: abc"')
    assert request.resources == ()
    assert request.options.find == (("AccessionNumber", "A%2F1"),)
    assert (request.token, request.options.token_header) == (Secret("abc"), "token")


@pytest.mark.parametrize(
    "command",
    [
        '$dicom:get -w "https://p.test/manifest.xml"',
        '$dicom:rs -u https://p.test -r studyUID=1.2 $dicom:get -w "https://p.test/m.xml"',
        "$dicom:rs -u https://p.test -r studyUID=1.2 $dicom:rs -u https://q.test -r studyUID=1.2",
        "$dicom:rs -u https://p.test -u https://q.test -r studyUID=1.2",
        "$dicom:rs -u https://p.test",
        '$dicom:rs -u https://p.test -r "patientID=*"',
        "$dicom:rs -r studyUID=1.2",
        '$dicom:rs -u https://p.test -r studyUID=1.2 -H "Authorization: Basic YTpi"',
        '$dicom:rs -u https://p.test -r studyUID=1.2 -H "Cookie: a=b"',
        '$dicom:rs -u https://p.test -r studyUID=1.2 -H "Host: b.test"',
        '$dicom:rs -u https://p.test -r studyUID=1.2 -H "token: a" -H "Authorization: Bearer b"',
        '$dicom:rs -u "https://p.test -r studyUID=1.2',
        "echo $dicom:rs",
        "",
    ],
)
def test_what_weasis_could_do_and_we_do_not(command: str) -> None:
    with pytest.raises(LaunchError):
        weasis(command)


def test_an_ohif_address_names_no_server() -> None:
    request = parse(
        "https://ohif.test/viewer?StudyInstanceUIDs=1.2&StudyInstanceUIDs=1.3,1.4&hangingprotocolId=mpr"
    )
    assert request.endpoint is None
    assert request.options.site == "https://ohif.test:443"
    assert studies(request) == ["1.2", "1.3", "1.4"]
    series = parse("https://ohif.test/segmentation?StudyInstanceUIDs=1.2&SeriesInstanceUIDs=1.2.1")
    assert series.resources == (Resource("1.2", "1.2.1"),)
    with pytest.raises(LaunchError, match="manifest"):
        parse("https://ohif.test/viewer/dicomjson?url=https://evil.test/m.json&StudyInstanceUIDs=1.2")


def test_a_token_beside_an_ohif_address_is_not_taken() -> None:
    assert parse("https://ohif.test/viewer?StudyInstanceUIDs=1.2&access_token=abc").token is None


def test_a_kheops_share_link_is_its_token() -> None:
    request = parse("https://demo.kheops.test/view/vKB1pXGAqq")
    assert (request.endpoint, request.resources) == ("https://demo.kheops.test/api", ())
    assert request.token == Secret("vKB1pXGAqq")
    assert request.options.format == "kheops"
    capability = parse("https://demo.kheops.test/api/link/vKB1pXGAqq/studies/1.2?accept=application/zip")
    assert (capability.endpoint, studies(capability)) == ("https://demo.kheops.test/api", ["1.2"])
    assert capability.token == request.token


def test_invoke_image_display() -> None:
    start = "https://ris.test/IHEInvokeImageDisplay?requestType="
    assert studies(parse(start + "STUDY&studyUID=1.2,1.3&viewerType=IHE_BIR")) == ["1.2", "1.3"]
    assert parse(start + "STUDY&accessionNumber=A1").options.find == (("AccessionNumber", "A1"),)
    patient = parse(
        start + "PATIENT&patientID=7^^^ISS%261.2%26ISO&mostRecentResults=2&lowerDateTime=2026-01-02T00:00:00"
        "&modalitiesInStudy=CT,MR"
    )
    assert patient.endpoint is None
    assert patient.options.most_recent == 2
    assert patient.options.find == (
        ("PatientID", "7"),
        ("IssuerOfPatientID", "ISS"),
        ("StudyDate", "20260102-"),
        ("ModalitiesInStudy", "CT\\MR"),
    )


@pytest.mark.parametrize(
    "query", ["STUDY", "PATIENT", "PATIENT&patientID=*", "SERIES&studyUID=1.2", "STUDY&accessionNumber=?"]
)
def test_invoke_image_display_does_not_fish(query: str) -> None:
    with pytest.raises(LaunchError):
        parse("https://ris.test/IHEInvokeImageDisplay?requestType=" + query)


@pytest.mark.parametrize(
    ("address", "endpoint", "resource"),
    [
        ("https://h.test/dcm4chee-arc/aets/A/rs/studies/1.2", "https://h.test/dcm4chee-arc/aets/A/rs", "1.2"),
        ("https://h.test/studies/1.2/series/1.3/", "https://h.test", "1.2/1.3"),
        ("https://h.test/studies/studies/1.2/metadata", "https://h.test/studies", "1.2"),
        (
            "http://127.0.0.1:8042/dw/studies/1.2/series/1.3/instances/1.4/frames/1",
            "http://127.0.0.1:8042/dw",
            "1.2/1.3/1.4",
        ),
        (
            "https://[2001:DB8::1]:8443/dw/studies/1.2?includefield=all",
            "https://[2001:db8::1]:8443/dw",
            "1.2",
        ),
    ],
)
def test_a_dicomweb_address(address: str, endpoint: str, resource: str) -> None:
    request = parse(address)
    assert (request.endpoint, str(request.resources[0])) == (endpoint, resource)


def test_long_tokens_are_taken_and_endless_links_are_not() -> None:
    assert parse(f"https://h.test/studies/1.2?access_token={'a' * 6000}").token == Secret("a" * 6000)
    with pytest.raises(LaunchError, match="16 kB"):
        parse(KHEOPS + "&x=" + "a" * 16384)


def test_the_token_is_shown_nowhere() -> None:
    request = parse(KHEOPS)
    copied = copy.deepcopy(request)
    for text in (repr(request), str(request), f"{request.token}", repr(asdict(request)), repr(copied)):
        assert "k0z" not in text
    with pytest.raises(TypeError):
        pickle.dumps(request)
    assert request.token is not None
    assert request.token.reveal() == "k0z.R-_~"


@pytest.mark.slow
@given(study=uids, series=st.lists(uids, max_size=3), token=tokens, path=st.text(max_size=20))
def test_what_a_page_encodes_comes_back(study: str, series: list[str], token: str, path: str) -> None:
    endpoint = "https://pacs.test/" + quote(path, safe="").replace(".", "")
    link = f"dicomdock://viewer/?studyUID={study}&access_token={quote(token, safe='')}"
    link += "".join(f"&seriesUID={uid}" for uid in series) + f"&dicomweb_endpoint={quote(endpoint, safe='')}"
    request = parse(link)
    assert request.endpoint == endpoint.rstrip("/")
    assert request.token == Secret(token)
    expected = [Resource(study, uid) for uid in dict.fromkeys(series)] or [Resource(study)]
    assert list(request.resources) == expected


starts = st.sampled_from(
    [
        "",
        "slicer://viewer/?studyUID=1.2&access_token=s3cr3t-T0ken&dicomweb_endpoint=",
        "dicomdock://viewer?dicomweb_endpoint=https://a.test&studyUID=",
        "weasis://?$dicom:rs ",
        "weasis://?$dicom:rs -u https://a.test -r studyUID=1.2 -H Authorization:Bearer s3cr3t-T0ken ",
        "https://",
        "https://a.test/",
        "https://a.test/studies/",
        "https://a.test/view/s3cr3t-T0ken",
        "https://a.test/viewer?StudyInstanceUIDs=",
        "https://a.test/IHEInvokeImageDisplay?requestType=",
    ]
)
pieces = st.lists(
    st.sampled_from(
        [
            "%",
            "%00",
            "%2F",
            "&",
            "=",
            "?",
            "#",
            "@",
            ":",
            "/",
            "//",
            "[",
            "]",
            "\\",
            "..",
            "1.2",
            "https:",
            "$",
        ]
    )
    | st.text(max_size=6),
    max_size=12,
).map("".join)


@pytest.mark.slow
@given(start=starts, rest=pieces)
def test_anything_is_read_or_refused_and_the_reason_repeats_nothing(start: str, rest: str) -> None:
    try:
        request = parse(start + rest)
    except LaunchError as error:
        assert "s3cr3t" not in str(error)
        assert error.__cause__ is None
    else:
        assert "s3cr3t" not in repr(request)
        assert request.endpoint is None or request.endpoint.startswith(("https://", "http://"))
        assert request.resources or request.options.find or request.token


SLICER = "slicer://viewer/?studyUID=1.2&access_token=s3cr3t&dicomweb_endpoint="


@pytest.mark.parametrize(
    "link",
    [
        SLICER + "https%253A%252F%252Fa.test%252Fdw",  # encoded twice: 3D Slicer decodes twice
        SLICER + "https%3A%2F%2Fa.test%2Fdw&access_token=s3cr3t&dicomweb_endpoint=https://a.test/dw",
        SLICER + "https://a.test/dw&x=1&x=2&Orthanc=a&Orthanc=b",
        SLICER + "https://a.test/dw#",
        SLICER + "https://a.test/dw#top",
        SLICER + "https://a.test/dw?",
    ],
)
def test_what_slicer_opens_and_is_safe_opens_here(link: str) -> None:
    request = parse(link)
    assert request.endpoint == "https://a.test/dw"
    assert request.token is not None
    assert request.token.reveal() == "s3cr3t"
    assert studies(request) == ["1.2"]


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (SLICER + "https://a.test&dicomweb_endpoint=https://b.test", "dicomweb_endpoint twice"),
        (SLICER + "https://a.test&access_token=other", "access_token twice"),
        (SLICER + "https://a.test/dw?key=1", "query or fragment"),
        (SLICER + "https://a.test/dw#&access_token=x", "'#' before some of its values"),
        (
            "slicer://viewer/?studyUID=1.2&amp;dicomweb_endpoint=https://a.test/dw",
            "'&amp;' between its values",
        ),
        (SLICER + "https%253A%252F%252Fuser%2540a.test", "user name or password"),
        ("https://k.test/api/link/s3cr3t/studies/studies/1.2", "token in the middle"),
    ],
)
def test_what_would_be_a_guess_is_refused_and_the_reason_named(link: str, reason: str) -> None:
    with pytest.raises(LaunchError, match=reason) as caught:
        parse(link)
    assert "s3cr3t" not in str(caught.value)


def test_a_kheops_token_never_becomes_part_of_the_server_s_address() -> None:
    """A repeated /studies let the token stand in the endpoint, which is shown and stored."""
    for tail in ("/studies/1.2", "/studies/studies/1.2", "/studies" * 30 + "/1.2"):
        try:
            request = parse(f"https://k.test/api/link/s3cr3t{tail}")
        except LaunchError as error:
            assert "s3cr3t" not in str(error)
        else:
            assert "s3cr3t" not in repr(request)


def test_an_at_sign_in_a_path_is_no_user_name() -> None:
    assert parse("http://[::1]:80/dic@m-web/studies/1.2").endpoint == "http://[::1]/dic@m-web"
