from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomdock.errors import StoreError, WireError
from dicomdock.sources import Part
from dicomdock.web.multipart.reader import MAX_HEADERS, MAX_HELD, read_parts
from dicomdock.web.multipart.writer import MultipartBody

RELATED = 'multipart/related; type="application/dicom"; boundary=xx'


def body(
    *payloads: bytes,
    boundary: str = "xx",
    eol: bytes = b"\r\n",
    lengths: bool = False,
    end: bool = True,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    written = before
    for payload in payloads:
        written += b"--" + boundary.encode() + eol + b"Content-Type: application/dicom" + eol
        if lengths:
            written += b"Content-Length: %d" % len(payload) + eol
        written += eol + payload + eol
    return written + (b"--" + boundary.encode() + b"--" + after if end else b"")


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[place : place + size] for place in range(0, len(data), size))


def payloads(data: bytes, content_type: str = RELATED, size: int = 1 << 16) -> list[bytes]:
    return [b"".join(part.chunks()) for part in read_parts(cut(data, size), content_type)]


def read_until_error(data: bytes, size: int = 1 << 16) -> tuple[list[bytes], bool]:
    """Return the parts that came whole, and whether the last part itself broke."""
    whole: list[bytes] = []
    inside = False
    with pytest.raises(WireError):
        for part in read_parts(cut(data, size), RELATED):
            inside = True
            payload = b"".join(part.chunks())
            inside = False
            whole.append(payload)
    return whole, inside


AWKWARD = [
    b"",
    b"\r\n",
    b"\r",
    b"\n--x",
    b"\r\n--",
    b"abc\r\n--xxx\r\n\r\n",
    b"--xx",
    b"\r\n--xx and more",
    b"\r\n--xx--and more",
    bytes(range(256)),
    b"end\r",
]


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [True, False])
def test_parts_split_at_every_offset(lengths):
    data = body(*AWKWARD, lengths=lengths, before=b"hello\r\n", after=b"\r\nbye")
    for size in range(1, len(data) + 1):
        assert payloads(data, size=size) == AWKWARD, f"chunks of {size}"
    for place in range(len(data)):
        two = [data[:place], data[place:]]
        assert [b"".join(part.chunks()) for part in read_parts(two, RELATED)] == AWKWARD, f"cut at {place}"


@pytest.mark.slow
@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([*AWKWARD, b"\r\n--xy\r\n"])), max_size=5),
    st.booleans(),
    st.sampled_from([b"\r\n", b"\n"]),
    st.integers(0, 2**32),
)
@example([b"\n"], True, b"\n", 1)
def test_what_is_sent_arrives_whatever_the_chunks(parts, lengths, eol, seed):
    data = body(*parts, lengths=lengths, eol=eol)
    chance = random.Random(seed)
    chunks = []
    while data:
        size = chance.choice([1, 2, 3, 7, 50, 1000])
        chunks.append(data[:size])
        data = data[size:]
    received = [b"".join(part.chunks()) for part in read_parts(chunks, RELATED)]
    assert received == parts


@given(st.binary(max_size=300), st.sampled_from(["", RELATED, "multipart/related", "application/dicom"]))
def test_garbage_is_an_error_or_parts_but_never_anything_else(data, content_type):
    with suppress(WireError):
        payloads(data, content_type, size=7)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/related; boundary=xx",
        'multipart/related; type="application/dicom"; boundary="xx"',
        'Multipart/Related; Boundary="xx"; start=1',
        "multipart/related; type=application/dicom",
        "multipart/related; boundary=",
        "multipart/related; boundary=--xx",  # nowhere in the answer
        "multipart/mixed",
        "",
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1 << 16])
def test_the_boundary_is_quoted_unquoted_wrong_or_absent(content_type, size):
    assert payloads(body(b"one", b"two"), content_type, size) == [b"one", b"two"]


def test_a_quoted_boundary_may_hold_anything():
    odd = "a(b)'+_,-./:=? c;d"
    assert payloads(body(b"one", boundary=odd), f'multipart/related; boundary="{odd}"') == [b"one"]


def test_blank_lines_before_the_first_boundary():
    assert payloads(body(b"one", before=b"\r\n\r\n"), "multipart/related") == [b"one"]
    assert payloads(body(b"one", before=b"\r\n\r\n"), RELATED) == [b"one"]


def test_the_first_part_is_there_before_the_second_has_come():
    data = body(b"a" * 1000, b"b" * 1000)
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for chunk in cut(data, 100):
            taken += len(chunk)
            yield chunk

    parts = read_parts(chunks(), RELATED)
    part = next(parts)
    assert b"".join(part.chunks()) == b"a" * 1000
    assert taken < 1300


def test_headers_are_kept_in_lower_case():
    headers = (
        b"content-TYPE: image/jpeg; q=1\r\nMIME-Version:1.0\r\nContent-Location: /a\r\n /b\r\nodd line\r\n"
    )
    data = b"--xx\r\n" + headers + b"\r\nx\r\n--xx--"
    (part,) = list(read_parts([data], RELATED))
    assert part.content_type == "image/jpeg; q=1"
    assert part.headers == {
        "content-type": "image/jpeg; q=1",
        "mime-version": "1.0",
        "content-location": "/a /b",
    }


@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
def test_a_part_without_headers(eol):
    data = b"--xx" + eol + eol + b"payload" + eol + b"--xx" + eol + eol + eol + b"--xx--"
    parts = [(part.content_type, b"".join(part.chunks())) for part in read_parts([data], RELATED)]
    assert parts == [("", b"payload"), ("", b"")]


def test_an_empty_part_whose_blank_line_is_all_there_is():
    data = b"--xx\r\nContent-Type: a/b\r\n\r\n--xx\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n--xx--"
    assert payloads(data) == [b"", b""]
    assert payloads(data, size=1) == [b"", b""]


def test_padding_after_a_boundary():
    data = b"--xx  \r\nContent-Type: a/b\r\n\r\none\r\n--xx\t\r\n\r\ntwo\r\n--xx-- \r\nbye"
    assert payloads(data, size=3) == [b"one", b"two"]


def test_no_parts_at_all():
    assert payloads(b"--xx--\r\n") == []
    with pytest.raises(WireError, match="empty"):
        payloads(b"")
    with pytest.raises(WireError, match="boundary"):
        payloads(b"<html>no multipart</html>")


def test_a_boundary_far_behind_a_long_preamble_is_refused():
    with pytest.raises(WireError, match="boundary"):
        payloads(b"x" * 200_000 + b"\r\n" + body(b"one"))


# --- lengths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 10, 1 << 16])
def test_a_payload_with_the_boundary_in_it_survives_when_its_length_is_right(size):
    nested = body(b"inner", b"other") + b"\r\n--xx\r\nContent-Type: a/b\r\n\r\nmore"
    assert payloads(body(nested, b"next", lengths=True), size=size) == [nested, b"next"]


def test_a_large_payload_with_the_boundary_in_it_survives():
    nested = b"x" + body(b"inner") + b"\r\n--xx--\r\n" + os.urandom(MAX_HELD + 1000)
    nested = b"\r\n" + nested
    assert payloads(body(nested, b"next", lengths=True)) == [nested, b"next"]


@pytest.mark.parametrize("lie", [-5, -1, 1, 2, 10, 24, 60, 80, 1000, 10**12])
@pytest.mark.parametrize("size", [1, 16, 1 << 16])
def test_a_wrong_length_neither_cuts_nor_lengthens_a_part(lie, size):
    one, two, three = os.urandom(50), os.urandom(40), b"third"
    data = body(one, two, three, lengths=True)
    data = data.replace(b"Content-Length: 50", b"Content-Length: %d" % max(0, 50 + lie))
    assert payloads(data, size=size) == [one, two, three]


@pytest.mark.parametrize("lie", [-7, 3, 9, 500, 10**9])
def test_a_wrong_length_of_the_last_part(lie):
    payload = os.urandom(200)
    data = body(payload, lengths=True, after=b"\r\n").replace(b"Length: 200", b"Length: %d" % (200 + lie))
    assert payloads(data) == [payload]
    assert payloads(data, size=11) == [payload]


def test_a_length_far_too_large_is_an_error_rather_than_a_guess():
    data = body(b"one", b"y" * (MAX_HELD + 5), b"z" * 100, lengths=True)
    data = data.replace(b"Content-Length: 3", b"Content-Length: %d" % (MAX_HELD + 50), 1)
    assert read_until_error(data) == ([], True)


@pytest.mark.parametrize("length", ["-1", "many", "9" * 30, "", "1_0", "٣"])
def test_a_length_that_is_not_a_number_is_ignored(length):
    data = f"--xx\r\nContent-Length: {length}\r\n\r\npayload\r\n--xx--".encode()
    assert payloads(data) == [b"payload"]


# --- truncation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [True, False])
def test_a_truncated_answer_never_looks_complete(lengths):
    one, two = b"first \r\n payload", b"second \r\n--x payload"
    data = body(one, two, lengths=lengths)
    last = len(data) - len(b"--")  # without the dashes the closing delimiter is none
    for place in range(last + 1):
        whole, broken = read_until_error(data[:place], size=13)
        assert whole == [one, two][: len(whole)], f"cut at {place}"
        if place < data.index(one) + len(one):
            assert not whole
        if not lengths and place == data.index(two) + len(two):
            assert broken, "a part without length or delimiter is not known to be whole"


def test_whole_parts_are_given_before_the_missing_end_is_reported():
    assert read_until_error(body(b"one", b"two", lengths=True, end=False)) == ([b"one", b"two"], False)
    assert read_until_error(body(b"one", b"two", end=False)) == ([b"one"], True)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_last_part_is_given_where_http_says_that_the_body_is_whole(size):
    """Some servers write no closing delimiter; what stands before it may be theirs or the part's."""
    data = body(b"one", b"two", end=False)
    found = []
    with pytest.raises(WireError, match="ended before it was complete"):
        found.extend(
            b"".join(part.chunks())
            for part in read_parts(
                (data[at : at + size] for at in range(0, len(data), size)),
                "multipart/related; boundary=xx",
                complete=True,
            )
        )
    assert [one.removesuffix(b"\r\n") for one in found] == [b"one", b"two"]


def test_a_part_with_the_boundary_in_it_that_is_cut_behind_it_is_not_taken_for_whole():
    nested = b"begin\r\n--xx\r\nContent-Type: a/b\r\n\r\n" + b"x" * 100
    data = body(nested, lengths=True)
    whole, broken = read_until_error(data[: data.index(b"x" * 100) + 50])
    assert (whole, broken) == ([], True)


def test_an_error_of_the_connection_passes_through():
    def chunks() -> Iterator[bytes]:
        yield body(b"one", end=False)
        raise WireError("cut")

    parts = read_parts(chunks(), RELATED)
    with pytest.raises(WireError, match="cut"):
        list(next(parts).chunks())
    with pytest.raises((WireError, StopIteration)):
        next(parts)


def test_an_error_behind_the_closing_delimiter_does_not_matter():
    def chunks() -> Iterator[bytes]:
        yield body(b"one", after=b"\r\n")
        raise WireError("cut")

    assert [b"".join(part.chunks()) for part in read_parts(chunks(), RELATED)] == [b"one"]


def test_headers_without_end_are_refused():
    with pytest.raises(WireError, match="headers"):
        payloads(b"--xx\r\nX-Long: " + b"a" * (2 * MAX_HEADERS))


# --- using parts -----------------------------------------------------------------------------------------


def test_parts_that_are_left_unread_are_skipped():
    data = body(b"one", b"y" * 1000, b"three")
    read = []
    for number, part in enumerate(read_parts(cut(data, 100), RELATED)):
        if number == 1:
            beginning = part.chunks()
            next(beginning)
            beginning.close()
        elif number == 2:
            read = list(part.chunks())
    assert b"".join(read) == b"three"


def test_a_part_is_read_once():
    parts = read_parts([body(b"one")], RELATED)
    part = next(parts)
    list(part.chunks())
    with pytest.raises(WireError, match="once"):
        part.chunks()


def test_closing_closes_the_answer():
    closed = []

    def chunks() -> Iterator[bytes]:
        try:
            yield from cut(body(b"one", b"two"), 20)
        finally:
            closed.append(True)

    parts = read_parts(chunks(), RELATED)
    next(parts)
    parts.close()
    assert closed == [True]


@pytest.mark.parametrize(
    "content_type", ["application/dicom", "application/dicom; transfer-syntax=1.2", "image/jpeg", ""]
)
def test_a_single_part_where_multipart_was_asked(content_type):
    (part,) = [
        (part.content_type, b"".join(part.chunks())) for part in read_parts([b"", b"DI", b"CM"], content_type)
    ]
    assert part == (content_type, b"DICM")


@pytest.mark.slow
def test_two_gigabytes_in_constant_memory():
    chunk = os.urandom(1 << 18)
    count = (2 << 30) // len(chunk)

    def chunks(length: bool) -> Iterator[bytes]:
        yield b"--xx\r\nContent-Type: a/b\r\n"
        if length:
            yield b"Content-Length: %d\r\n" % (count * len(chunk))
        yield b"\r\n"
        for _ in range(count):
            yield chunk
        yield b"\r\n--xx--"

    for length in (True, False):
        tracemalloc.start()
        received = sum(len(piece) for part in read_parts(chunks(length), RELATED) for piece in part.chunks())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert received == 2 << 30
        assert peak < 4 << 20


def test_received_chunks_are_not_copied():
    payload = os.urandom(1 << 20)
    chunks = list(cut(body(payload, lengths=True), 1 << 18))
    pieces = [piece for part in read_parts(chunks, RELATED) for piece in part.chunks()]
    shared = sum(
        len(piece)
        for piece in pieces
        if any((piece.obj if isinstance(piece, memoryview) else piece) is c for c in chunks)
    )
    assert shared > len(payload) - 1000


# --- writing ---------------------------------------------------------------------------------------------


def made(
    payload: bytes, content_type: str = "application/dicom", *, length: bool = True, **headers: str
) -> Part:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Part(
        content_type, lambda: cut(payload, 7), length=len(payload) if length else None, headers=fields
    )


def test_a_written_body_is_read_back():
    written = MultipartBody([made(one) for one in AWKWARD])
    data = b"".join(written.chunks())
    assert payloads(data, written.content_type, size=9) == AWKWARD
    assert written.length == len(data)
    assert b"".join(written.chunks()) == data, "it can be sent again"


def test_a_written_body_is_strict():
    written = MultipartBody(
        [made(b"DICM", "application/dicom; transfer-syntax=1.2.3", content_location="/i/1", x_odd="1")]
    )
    boundary = written.content_type.partition("boundary=")[2]
    assert written.content_type.startswith('multipart/related; type="application/dicom"; boundary=')
    assert len(boundary) <= 70
    assert '"' not in boundary
    assert (
        b"".join(written.chunks())
        == (
            f"--{boundary}\r\nContent-Type: application/dicom; transfer-syntax=1.2.3\r\nContent-Length: 4\r\n"
            f"Content-Location: /i/1\r\n\r\nDICM\r\n--{boundary}--\r\n"
        ).encode()
    )


def test_the_length_is_unknown_where_a_part_does_not_tell():
    written = MultipartBody(
        [made(b"one"), made(b"two", "", length=False)], media_type="application/octet-stream"
    )
    assert written.length is None
    data = b"".join(written.chunks())
    assert b"Content-Type: application/octet-stream\r\n\r\n" in data
    assert payloads(data, written.content_type) == [b"one", b"two"]


def test_a_header_cannot_bring_in_lines():
    data = b"".join(
        MultipartBody([made(b"x", "a/b\r\nX-Evil: 1", content_location="/\r\n\r\nbody")]).chunks()
    )
    (part,) = read_parts([data], "")
    assert set(part.headers) == {"content-type", "content-length", "content-location"}


def test_a_part_that_changed_meanwhile_is_reported(tmp_path):
    file = tmp_path / "one.dcm"
    file.write_bytes(b"12345")
    written = MultipartBody([Part.from_file(file)])
    file.write_bytes(b"123")
    with pytest.raises(StoreError, match="changed"):
        list(written.chunks())
