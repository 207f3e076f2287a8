"""Sessions with an nnInteractive server: what is sent, what comes back, and servers that misbehave."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from dicomdock.config.secrets import Secrets
from dicomdock.config.settings import Settings
from dicomdock.errors import (
    AuthenticationError,
    Cancelled,
    DicomdockError,
    InvalidInput,
    ProfileError,
    TimedOut,
    ToolError,
    Unreachable,
)
from dicomdock.tools.nninteractive import Prompt, PromptSession
from tests.servers.canned import Answer, answering
from tests.waiting import join

pytest.importorskip("nnInteractive", reason="dicomdock[nninteractive] is not installed")

from tests.servers.nninteractive import RegionGrowing, region_growing

IMAGE = np.zeros((6, 10, 12), np.int16)
IMAGE[1:4, 2:7, 3:9] = 100
IMAGE[4:6, 2:4, 3:5] = 200


def point(k: int, j: int, i: int, positive: bool = True) -> Prompt:
    return Prompt("point", positive, (k, j, i), np.ones((1, 1, 1), bool))


class Segment:
    """The segment, as it is after each prompt."""

    def __init__(self, session: PromptSession) -> None:
        self.session, self.mask = session, np.zeros(IMAGE.shape, bool)

    def begin(self, mask: np.ndarray) -> bool:
        self.mask = mask.copy()
        return self.session.begin(mask)

    def add(self, prompt: Prompt) -> np.ndarray:
        changed = self.session.add(prompt)
        if changed is not None:
            start, mask = changed
            box = tuple(slice(at, at + size) for at, size in zip(start, mask.shape, strict=True))
            self.mask[box] = mask
        return self.mask


def at(settings: Settings, url: str) -> Settings:
    return replace(settings, nninteractive=url)


@pytest.mark.slow
def test_prompts_change_the_segment_and_are_taken_back(settings):
    with region_growing() as (server, growing):
        session = PromptSession(at(settings, server.url))
        assert (session.version, session.licence) == ("region growing, not nnInteractive", "none needed")
        session.set_image(IMAGE, (2.0, 0.8, 0.6))
        assert growing.spacing == [2.0, 0.8, 0.6]
        np.testing.assert_array_equal(growing.image, IMAGE)
        segment = Segment(session)
        assert segment.begin(np.zeros(IMAGE.shape, bool))
        np.testing.assert_array_equal(segment.add(point(2, 3, 4)), IMAGE == 100)
        np.testing.assert_array_equal(segment.add(point(5, 2, 3)), IMAGE >= 100)
        assert session.add(point(5, 2, 3)) is None  # it is there already
        assert session.undo()
        np.testing.assert_array_equal(segment.add(point(2, 3, 4, positive=False)), IMAGE == 200)
        assert session.undo()
        segment.mask = IMAGE >= 100
        lasso = Prompt("lasso", True, (5, 2, 3), np.ones((1, 2, 1), bool))
        np.testing.assert_array_equal(segment.add(lasso), IMAGE >= 100)
        drawn = np.zeros(IMAGE.shape, bool)
        drawn[0, 0, 0] = True
        assert segment.begin(drawn)  # goes on from what was drawn by hand
        box = Prompt("box", True, (4, 2, 3), np.ones((1, 2, 2), bool))
        np.testing.assert_array_equal(segment.add(box), drawn | (IMAGE == 200))
        with pytest.raises(ToolError, match="does not understand a box over several slices"):
            session.add(Prompt("box", True, (0, 0, 0), np.ones((2, 2, 2), bool)))
        scribble = Prompt("scribble", False, (4, 2, 3), np.array([[[True, False], [False, True]]]))
        np.testing.assert_array_equal(segment.add(scribble), drawn)
        session.close()
        assert growing.lease == ""
    sent = [one.path for one in server.asked]
    assert sent.count("/set_image") == 1  # the images travel once


@pytest.mark.slow
def test_who_may_be_asked(settings):
    with pytest.raises(InvalidInput, match="No nnInteractive server is known"):
        PromptSession(settings)
    with pytest.raises(ProfileError, match="has not been allowed"):
        PromptSession(at(settings, "https://gpu.invalid"))
    with region_growing(token="t0ken-of-it") as (server, _):
        known = at(settings, server.url)
        with pytest.raises(AuthenticationError, match="refuses the token"):
            PromptSession(known)
        origin = server.url.replace("localhost", "127.0.0.1")
        Secrets(settings).set("tool nninteractive", origin, "t0ken-of-it")
        session = PromptSession(known)
        with pytest.raises(ToolError, match="no free session"):
            PromptSession(known)
        session.close()


@pytest.mark.slow
def test_servers_that_are_gone_or_something_else(settings):
    with region_growing() as (server, growing):
        session = PromptSession(at(settings, server.url), prediction=0.5)
        session.set_image(IMAGE, (1, 1, 1))
        growing.hold.clear()
        with pytest.raises(TimedOut, match="did not answer in time"):
            session.add(point(2, 3, 4))
        growing.hold.set()
        growing.lease = "another"
        with pytest.raises(ToolError, match="has ended the session"):
            session.add(point(2, 3, 4))
    with pytest.raises(Unreachable, match="cannot be reached"):
        PromptSession(at(settings, server.url))
    for body in (b"", b"<html>", b"[]", b'{"lease_token": 1}'):
        with answering(lambda _, body=body: Answer(body=body)) as other, pytest.raises(DicomdockError) as why:
            PromptSession(at(settings, other.url))
        assert "does not answer as" in str(why.value)


def patched(bbox: object, body: bytes = b""):
    return lambda _server, answer: Answer(
        body=body or answer.body, headers={"X-Meta": json.dumps({"ran_prediction": True, "bbox": bbox})}
    )


@pytest.mark.parametrize(
    "spoil",
    [
        patched([[0, 1], [0, 1], [0, 1]]),
        patched([[0, 99], [0, 99], [0, 99]]),
        patched("all"),
        patched([[0, 1]] * 3, b"NNIA" + bytes(60)),
        patched([[0, 1]] * 3, b"other"),
        lambda _server, answer: Answer(body=answer.body, headers={"X-Meta": "{"}),
        lambda _server, _answer: Answer(500, b"out of memory"),
    ],
)
def test_a_part_that_is_not_of_the_volume_is_a_sentence(settings, spoil):
    with region_growing() as (server, growing):
        session = PromptSession(at(settings, server.url))
        session.set_image(IMAGE, (1, 1, 1))
        growing.spoil = spoil
        with pytest.raises(ToolError, match=r"does not answer as|status 500"):
            session.add(point(2, 3, 4))
        session.close()


def test_a_prompt_that_waits_is_given_up_when_the_session_is_closed(settings):
    with region_growing() as (server, growing):
        session = PromptSession(at(settings, server.url), prediction=20)
        session.set_image(IMAGE, (1, 1, 1))
        growing.hold.clear()
        raised: list[BaseException] = []

        def wait() -> None:
            try:
                session.add(point(2, 3, 4))
            except DicomdockError as error:
                raised.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        while "add_point" not in growing.steps:
            thread.join(0.01)
        session.close()
        assert growing.lease == ""  # the server has its session back at once
        growing.hold.set()
        thread.join(30)
    assert not thread.is_alive()
    assert not raised or isinstance(raised[0], Cancelled)
    with pytest.raises(Cancelled):
        session.add(point(2, 3, 4))


def test_images_and_token_follow_no_redirect(settings):
    growing = RegionGrowing(token="t0ken-of-it")

    def reply(request):
        if request.path == "/set_image":
            return Answer(307, headers={"Location": f"{elsewhere.url}/set_image"})
        return growing(request)

    with answering(lambda _: Answer()) as elsewhere, answering(reply) as server:
        Secrets(settings).set(
            "tool nninteractive", server.url.replace("localhost", "127.0.0.1"), growing.token
        )
        session = PromptSession(at(settings, server.url))
        with pytest.raises(ToolError, match="status 307"):
            session.set_image(IMAGE, (1, 1, 1))
        session.close()
    assert elsewhere.asked == []


def packed(shape: tuple[int, ...], kind: bytes, chunks: bytes = b"\0\0\0\0") -> bytes:
    """Return an array as the protocol packs it, of any claim."""
    head = struct.pack("<4sBBBB", b"NNIA", 1, 1, len(shape), len(kind)) + kind
    return head + struct.pack(f"<{len(shape)}q", *shape) + chunks


BOX = {"ran_prediction": True, "bbox": [[0, 1]] * 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        (bytes(2 << 20), {}, "gave more than"),
        (gzip.compress(bytes(1 << 16)), {"Content-Encoding": "gzip"}, "packed an answer"),
        (packed((1 << 33,), b"uint8"), {}, "does not answer as"),
        (packed((1,), b"V1000000000"), {}, "does not answer as"),
        (packed((-1, -(1 << 40)), b"uint8"), {}, "does not answer as"),
    ],
    ids=["long", "packed", "claims much", "claims large values", "claims less than nothing"],
)
def test_an_answer_is_bounded_before_it_is_read_or_unpacked(settings, body, headers, why):
    with region_growing() as (server, growing):
        session = PromptSession(at(settings, server.url))
        session.set_image(IMAGE, (1, 1, 1))
        growing.spoil = lambda _server, _answer: Answer(
            body=body, headers={"X-Meta": json.dumps(BOX), **headers}
        )
        tracemalloc.start()
        with pytest.raises(ToolError, match=why):
            session.add(point(2, 3, 4))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 32 << 20
        growing.spoil = None
        session.close()


@pytest.mark.slow
def test_an_answer_that_comes_drop_by_drop_is_given_up(settings):
    """Each block comes in time, the whole never."""
    ended = threading.Event()

    def drops(connection):
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with connection, contextlib.suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: drops(listener.accept()[0]), daemon=True)
        thread.start()
        with pytest.raises(TimedOut, match="did not answer in time"):
            PromptSession(at(settings, f"http://127.0.0.1:{listener.getsockname()[1]}"), prediction=1)
        ended.set()
        join(thread)
