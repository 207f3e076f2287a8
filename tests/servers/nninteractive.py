"""A server of nnInteractive's protocol with region growing instead of a network. It is not nnInteractive.

It is built from the client's own package: its paths, headers and packing of arrays. What it answers when was
written after the real server's description (github.com/MIC-DKFZ/nnInteractive, SERVER_CLIENT.md, 2.6).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nnInteractive.inference.remote import _protocol as protocol
from nnInteractive.inference.remote.serialization import pack_array, unpack_array

from tests.servers.canned import Answer, Canned, Request, answering

TOLERANCE = 30  # grey values that a region may differ from its seed


def grown(image: np.ndarray, seed: tuple[int, ...], limits: np.ndarray | None = None) -> np.ndarray:
    """Return the voxels that hang together with a seed and are as bright, within limits."""
    alike = np.abs(image.astype(int) - int(image[seed])) <= TOLERANCE
    if limits is not None:
        alike &= limits
    region = np.zeros(image.shape, bool)
    region[seed] = alike[seed]
    while True:
        wider = region.copy()
        for axis in range(3):
            for step in (1, -1):
                moved = np.roll(region, step, axis)
                edge = [slice(None)] * 3
                edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
                moved[tuple(edge)] = False
                wider |= moved
        wider &= alike
        if (wider == region).all():
            return region
        region = wider


@dataclass
class RegionGrowing:
    """One session at a time; ``steps`` lists what it was asked to do, ``drawn`` the scribbles and lassos.

    Parameters
    ----------
    token : what it asks for; empty for none.
    undoes : it can take prompts back.
    hold : prompts wait for it; set from the beginning.
    spoil : makes something else of an answer to a prompt.
    """

    token: str = ""
    undoes: bool = True
    hold: threading.Event = field(default_factory=threading.Event)
    spoil: Any = None
    steps: list[str] = field(default_factory=list)
    lease: str = ""
    image: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 1)))
    target: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 1), np.uint8))
    past: list[np.ndarray] = field(default_factory=list)
    spacing: list[float] = field(default_factory=list)
    drawn: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hold.set()

    def __call__(self, request: Request) -> Answer | None:
        """Answer a request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return _json({"detail": "Invalid bearer token"}, 401)
        if request.path == protocol.PATH_CLAIM:
            if self.lease:
                return _json({"detail": "server is at capacity (1 sessions)"}, 503)
            self.lease = f"lease-{len(self.steps)}"
            return _json(
                {"lease_token": self.lease, "idle_timeout_seconds": 600, "liveness_timeout_seconds": 0}
            )
        given = headers.get(protocol.LEASE_HEADER.lower())
        if request.path == protocol.PATH_RELEASE:
            self.lease = "" if given == self.lease else self.lease
            return _json({"released": True})
        if not self.lease or given != self.lease:
            return _json({"detail": "lease expired or unknown"}, 410)
        meta = json.loads(headers.get(protocol.META_HEADER.lower(), "{}"))
        return self._answer(request, meta)

    def _answer(self, request: Request, meta: dict[str, Any]) -> Answer:
        path = request.path
        if path == protocol.PATH_CAPABILITIES:
            return _json(self.capabilities)
        self.steps.append(path.strip("/").removesuffix("_interaction"))
        if path == protocol.PATH_SET_IMAGE:
            self.image = unpack_array(request.body)[0]
            self.spacing = meta["image_properties"]["spacing"]
            return _json({"original_image_shape": [1, *self.image.shape]})
        if path == protocol.PATH_ADD_SCRIBBLE or path == protocol.PATH_ADD_LASSO:
            mask = np.zeros(self.image.shape, bool)
            bounds = tuple(slice(*one) for one in meta["interaction_bbox"])
            mask[bounds] = unpack_array(request.body) != 0
            self.drawn.append(mask)
            return self._changed(
                self._by_mask(mask, path == protocol.PATH_ADD_LASSO), meta["include_interaction"]
            )
        if path == protocol.PATH_ADD_INITIAL_SEG:
            self.past.append(self.target)
            self.target = unpack_array(request.body)
            return self._patch(None)
        body = json.loads(request.body)
        match path:
            case protocol.PATH_SET_TARGET_BUFFER:
                self.target, self.past = np.zeros(body["shape"], body["dtype"]), []
            case protocol.PATH_RESET_INTERACTIONS:
                self.target, self.past = np.zeros_like(self.target), []
            case protocol.PATH_UNDO:
                if not self.past:
                    return self._patch(None, ran=False)
                self.target = self.past.pop()
                return self._patch([[0, size] for size in self.target.shape])
            case protocol.PATH_ADD_POINT:
                region = grown(self.image, tuple(body["coordinates"]))
                return self._changed(region, body["include_interaction"])
            case protocol.PATH_ADD_BBOX:
                mask = np.zeros(self.image.shape, bool)
                mask[tuple(slice(*one) for one in body["bbox_coords"])] = True
                return self._changed(self._by_mask(mask, True), body["include_interaction"])
        return _json({})

    def _by_mask(self, mask: np.ndarray, filled: bool) -> np.ndarray:
        """Grow from the middle voxel of what is drawn; what is filled limits it on its own slice."""
        places = np.argwhere(mask)
        seed = tuple(int(at) for at in places[len(places) // 2])
        limits = None
        if filled:
            axis = next(axis for axis in range(3) if not np.ptp(places[:, axis]))
            limits = np.broadcast_to(mask.any(axis=axis, keepdims=True), mask.shape)
        return grown(self.image, seed, limits)

    def _changed(self, region: np.ndarray, positive: bool) -> Answer:
        self.hold.wait(30)
        self.past.append(self.target)
        changed = region & (self.target == (0 if positive else 1))
        self.target = np.where(region, np.uint8(positive), self.target).astype(np.uint8)
        places = np.argwhere(changed)
        bounds = (
            None
            if not len(places)
            else [[int(low), int(high) + 1] for low, high in zip(places.min(0), places.max(0), strict=True)]
        )
        answer = self._patch(bounds)
        return self.spoil(self, answer) if self.spoil else answer

    def _patch(self, bounds: list[list[int]] | None, *, ran: bool = True) -> Answer:
        meta = json.dumps({"ran_prediction": ran, "bbox": bounds})
        body = pack_array(self.target[tuple(slice(*one) for one in bounds)]) if bounds else b""
        return Answer(body=body, headers={protocol.META_HEADER: meta})

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it says that it can."""
        return {
            "supported_interactions": {
                "points": True,
                "bbox2d": True,
                "bbox3d": False,
                "scribble": True,
                "lasso": True,
            },
            "channel_mapping": {"prev_seg": 0, "points": [3, 4]},
            "num_interaction_channels": 7,
            "supports_initial_label": True,
            "supports_zero_shot_label_refinement": True,
            "preferred_scribble_thickness": [2, 2, 2],
            "interaction_decay": 0.9,
            "patch_size": [192, 192, 192],
            "do_autozoom": True,
            "inference_session_version": "region growing, not nnInteractive",
            "license": "none needed",
            "supports_undo": self.undoes,
        }


@contextmanager
def region_growing(**options: Any) -> Iterator[tuple[Canned, RegionGrowing]]:
    """Run the server on loopback."""
    growing = RegionGrowing(**options)
    with answering(growing) as server:
        try:
            yield server, growing
        finally:
            growing.hold.set()


def _json(document: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
