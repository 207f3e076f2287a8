"""Addresses are read as urllib.parse, urllib3 and yarl read them, or not at all."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import pytest
import urllib3.util
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dicomdock.errors import InvalidInput
from dicomdock.web.url import Origin, Url, is_loopback, literal, reach, redact

HOSTS = st.sampled_from(
    [
        *(
            "pacs.example",
            "localhost",
            "a.localhost",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
        ),
        *(
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fe80::1%25eth0]",
            "::1",
            "[::1",
            "evil.example.",
            "PACS.Example",
            "a..b",
        ),
        *(
            "b\u00fccher.example",
            "stra\u00dfe.example",
            "\uff11\uff12\uff17.0.0.1",
            "",
            "a_b",
            "%65vil.example",
            "a b",
        ),
    ]
)
PIECES = st.sampled_from(
    ["/", "//", "\\", "@", ":", "?", "#", ".", "..", "%2f", "\t", " ", "\r\n", "http:", "HTTPS://", "u:p@"]
)
ADDRESSES = st.builds(
    lambda scheme, before, host, port, tail: scheme + before + host + port + "".join(tail),
    st.sampled_from(["http://", "https://", "HTTP://", "http:", "http:/", "http:///", "ftp://", "//", ""]),
    st.sampled_from(["", "", "", "user@", "user:pw@", "evil.example\\@", "evil.example#@", "evil.example?@"]),
    HOSTS,
    st.sampled_from(["", "", ":80", ":443", ":8042", ":0", ":65536", ":", ":+80", ":\u0661", ":80:80"]),
    st.lists(st.one_of(PIECES, st.text("aZ9-._~^|{}\u00e4", max_size=3)), max_size=6),
)


@pytest.mark.slow
@given(ADDRESSES)
@example("http://evil.example:80\\@pacs.example:80/")
@example("http://[bad")
@example("http://\uff11\uff12\uff17.0.0.1")
def test_what_is_accepted_every_parser_reads_alike(text):
    try:
        url = Url.parse(text)
    except InvalidInput as error:
        assert "\n" not in str(error)
        return
    host = url.origin.host
    assert re.fullmatch(r"[a-z0-9._:-]+", host)
    for written in (str(url), text.strip(" ")):
        parts = urlsplit(written)
        other = urllib3.util.parse_url(written)
        port = url.origin.port
        assert (parts.scheme, parts.port or {"http": 80, "https": 443}[parts.scheme]) == (
            url.origin.scheme,
            port,
        )
        assert parts.username is None
        assert other.auth is None
        assert (other.port or {"http": 80, "https": 443}[str(other.scheme)]) == port
        if parts.hostname and parts.hostname.isascii():
            for seen in (parts.hostname, str(other.host).strip("[]")):
                seen = seen.lower().removesuffix(".")
                assert seen == host or ipaddress.ip_address(seen) == ipaddress.ip_address(host)
    assert Url.parse(str(url)) == url
    assert Origin.parse(str(url.origin)) == url.origin


@pytest.mark.slow
@given(ADDRESSES, ADDRESSES)
def test_a_reference_leads_where_its_own_text_says(base, reference):
    try:
        start = Url.parse(base)
        end = start.join(reference)
    except InvalidInput:
        return
    # Somewhere else than where it was found only when an authority stands in it.
    if end.origin != start.origin:
        assert "//" in reference
        assert (
            end.origin.host
            in Url.parse(reference if ":" in reference[:6] else f"http:{reference}").origin.host
        )
    assert end.path == "" or end.path.startswith("/")
    assert not re.search(r"[\s\\]", end.target)


@pytest.mark.slow
@given(st.ip_addresses())
def test_an_address_reaches_what_ipaddress_says(address):
    assert literal(str(address)) == address
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_loopback:
        assert reach(address) == "loopback"
    if plain.is_link_local:
        assert reach(address) == "forbidden"
    written = f"[{address}]" if address.version == 6 else str(address)
    origin = Origin.parse(f"http://{written}:8042/x")
    assert str(origin) == f"http://{written}:8042"
    assert origin.address == address
    assert origin.is_loopback == (reach(address) == "loopback")


@given(
    st.ip_addresses(v=4, network="127.0.0.0/8"),
    st.sampled_from([".nip.io", ".evil.example", ".", "-x.example"]),
)
def test_a_name_that_begins_like_an_address_is_none(address, behind):
    assert not is_loopback(f"{address}{behind}".removesuffix(".")) or behind == "."
    assert not is_loopback(f"127{behind}") or behind == "."


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.255.0.9", "::1", "[::1]"],
)
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.evil.example",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "notlocalhost",
        "10.0.0.1",
        "::",
        "0.0.0.0",
        "",
    ],
)
def test_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("wrapped", ["::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_loopback_wrapped_in_ipv6(wrapped):
    assert Origin.parse(f"http://[{wrapped}]/").is_loopback


@pytest.mark.parametrize("wrapped", ["64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "2001::80ff:fffe"])
def test_loopback_by_way_of_a_gateway_is_not_this_machine(wrapped):
    """A packet to it leaves the machine: plain http to it would show a login to the network."""
    origin = Origin.parse(f"http://[{wrapped}]/")
    assert not origin.is_loopback
    assert origin.reach == "forbidden"


@pytest.mark.parametrize(
    ("text", "origin", "short"),
    [
        ("http://[::1]:8042", "http://[::1]:8042", "http://[::1]:8042"),
        ("http://[0:0:0:0:0:0:0:1]/x", "http://[::1]:80", "http://[::1]"),
        ("HTTPS://PACS.Example.:443/dicom-web", "https://pacs.example:443", "https://pacs.example"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example:443", "https://xn--bcher-kva.example"),
        ("http://pacs:/", "http://pacs:80", "http://pacs"),
    ],
)
def test_an_origin_has_one_form(text, origin, short):
    assert str(Origin.parse(text)) == origin
    assert Origin.parse(text).short == short


@pytest.mark.parametrize(
    "text",
    [
        *(
            "http://a\\@b/",
            "http:\\\\a/",
            "http://a/b\\c",
            "http://u@a/",
            "http://u:p@a/",
            "http://a\t/",
            "ht\ntp://a/",
        ),
        *(
            "http://2130706433/",
            "http://127.1/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://1.2.3.4.5/",
            "http://\uff11\uff12\uff17.0.0.1/",
        ),
        *(
            "http://a:0/",
            "http://a:65536/",
            "http://a:x/",
            "http://[::1%25lo]/",
            "http://[::1]x/",
            "http://%61/",
        ),
        *(
            "http:a",
            "http:/a",
            "http:///a",
            "//a",
            "a",
            "",
            "ftp://a/",
            "javascript:alert(1)",
            "http://stra\u00dfe.de/",
        ),
    ],
)
def test_what_programs_read_differently_is_refused(text):
    with pytest.raises(InvalidInput) as caught:
        Url.parse(text, "This address")
    assert str(caught.value).startswith("This address ")


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("/studies?a=1", "http://pacs:8042/studies?a=1"),
        ("../x", "http://pacs:8042/x"),
        ("?b", "http://pacs:8042/dicom-web/studies?b"),
        ("//pacs:8042/y", "http://pacs:8042/y"),
        ("http://PACS:8042/z#f", "http://pacs:8042/z"),
        ("/studies?ModalitiesInStudy=CT\\MR", "http://pacs:8042/studies?ModalitiesInStudy=CT%5CMR"),
        ("/a b\u00e4", "http://pacs:8042/a%20b%C3%A4"),
    ],
)
def test_references(reference, target):
    assert str(Url.parse("http://pacs:8042/dicom-web/studies?x").join(reference)) == target


@pytest.mark.parametrize(
    "reference", ["///evil/", "http:evil", "http:/evil", "/\\evil/", "\\\\evil", "mailto:a", "//[bad"]
)
def test_references_that_programs_read_differently(reference):
    with pytest.raises(InvalidInput):
        Url.parse("http://pacs/").join(reference)


@pytest.mark.slow
@given(
    st.text("ab=&?/%:@", max_size=20), st.sampled_from(["access_token", "X-Signature", "api_key", "Password"])
)
def test_redact(text, name):
    assume("#" not in text)
    shown = redact(f"https://user:s3cr3t@pacs.example/x?{name}=s3cr3t&{text}")
    assert "s3cr3t" not in shown
    assert shown.startswith("https://pacs.example/x?")
