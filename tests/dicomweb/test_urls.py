"""Pasted addresses and addresses from servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import urls
from dicomdock.errors import InvalidInput, WireError


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("http://h:8042/dicom-web", "http://h:8042/dicom-web"),
        ("http://h:8042/dicom-web/", "http://h:8042/dicom-web"),
        (" <http://h:8042/dicom-web/studies> ", "http://h:8042/dicom-web"),
        ("http://h/dicom-web/studies?limit=5#top", "http://h/dicom-web"),
        ("http://h/rs/studies/1.2/series/1.3/metadata", "http://h/rs"),
        ("HTTPS://Example.ORG:443/rs", "https://example.org/rs"),
        ("localhost:8042/dicom-web", "http://localhost:8042/dicom-web"),
        ("pacs.example.org/rs", "https://pacs.example.org/rs"),
        ("http://h:8042/app/explorer.html#study?uuid=1", "http://h:8042/dicom-web"),
        ("http://h:8042/ui/app/#/", "http://h:8042/dicom-web"),
        ("https://ohif.example.org/viewer?StudyInstanceUIDs=1.2", "https://ohif.example.org"),
        ("http://[::1]:8042/dicom-web", "http://[::1]:8042/dicom-web"),
    ],
)
def test_a_pasted_address_becomes_a_base_url(pasted, base):
    repaired = urls.repair(pasted)
    assert repaired.url == base
    assert urls.repair(repaired.url) == urls.Repaired(base)


def test_what_was_changed_is_reported():
    assert urls.repair("http://h/dicom-web").changes == ()
    changes = urls.repair("h.example/dicom-web/studies?limit=1").changes
    assert len(changes) == 3
    assert "https://" in changes[0]


def test_a_kheops_share_link_becomes_its_api_and_a_login():
    repaired = urls.repair("https://demo.kheops.online/view/AbC123tokenXYZ")
    assert (repaired.url, repaired.token) == ("https://demo.kheops.online/api", "AbC123tokenXYZ")
    linked = urls.repair("https://demo.kheops.online/api/link/AbC123tokenXYZ/studies")
    assert (linked.url, linked.token) == ("https://demo.kheops.online/api", "AbC123tokenXYZ")


def test_the_token_is_in_no_repr():
    assert "AbC123" not in repr(urls.repair("https://k.org/view/AbC123tokenXYZ"))
    assert "AbC123" not in str(urls.repair("https://k.org/view/AbC123tokenXYZ").changes)


def test_the_study_of_a_pasted_resource_is_kept():
    assert urls.repair("http://h/rs/studies/1.2/series/1.3/rendered").resource == Resource("1.2", "1.3")


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "http://",
        "ftp://h/x",
        "http://alice:secret@h/rs",
        "http://h:99999/",
        "http://h/a b",
        "file:///etc/passwd",
        "x" * 9999,
    ],
)
def test_what_cannot_be_a_server_is_refused(pasted):
    with pytest.raises(InvalidInput) as error:
        urls.repair(pasted)
    assert "secret" not in str(error.value)


def test_the_candidates_of_a_bare_host_hold_the_usual_places():
    found = urls.candidates("http://h:8042")
    assert found[0] == "http://h:8042"
    assert "http://h:8042/dicom-web" in found
    assert urls.candidates("http://h/rs")[0] == "http://h/rs"


BASE = "https://pacs.example.org:8443/dicom-web"
SERIES = Resource("1.2", "1.3")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        (
            f"{BASE}/studies/1.2/series/1.3/instances/1.4/bulk/7",
            "/studies/1.2/series/1.3/instances/1.4/bulk/7",
        ),
        (f"{BASE}/bulk/77?offset=3", "/bulk/77?offset=3"),
        # A server behind a proxy names a host, scheme or port that is not its own.
        ("http://localhost/dicom-web/studies/1.2/bulk/7", "/studies/1.2/bulk/7"),
        ("http://pacs.example.org/other/studies/1.2/bulk/7", "/studies/1.2/bulk/7"),
        ("/studies/1.2/bulk/7", "/studies/1.2/bulk/7"),
        ("/dicom-web/studies/1.2/bulk/7", "/studies/1.2/bulk/7"),
    ],
)
def test_an_address_from_a_server_is_rebuilt_below_the_base(uri, path):
    assert urls.rebuild(uri, BASE) == (path,)


def test_a_relative_address_is_resolved_against_series_then_study():
    assert urls.rebuild("../../bulkdata/7", BASE, SERIES)[0] == "/studies/1.2/bulkdata/7"
    assert urls.rebuild("instances/1.4/frames", BASE, SERIES)[:2] == (
        "/studies/1.2/series/1.3/instances/1.4/frames",
        "/studies/1.2/instances/1.4/frames",
    )


@pytest.mark.parametrize(
    "uri",
    [
        "http://evil.example/steal",
        "//evil.example/steal",
        "../../../../../../admin",
        "",
        "/admin",
        f"{BASE}/../admin",
        "http://x\n/",
    ],
)
def test_an_address_that_leads_elsewhere_is_refused(uri):
    with pytest.raises(WireError):
        urls.rebuild(uri, BASE, SERIES)


@pytest.mark.slow
@given(st.text(alphabet="abcstudies./:?#%e2@\\-0123", max_size=60))
def test_nothing_but_a_path_below_the_base_ever_comes_out(text):
    try:
        found = urls.rebuild(text, BASE, SERIES)
    except WireError:
        return
    for path in found:
        assert path.startswith("/")
        assert not path.startswith("//")
        assert ".." not in path.partition("?")[0].split("/")
