"""The head phantom: what tissue lies at each point, and what a CT scanner would show of it.

Coordinates are millimetres in the patient's frame (LPS: x to the left, y to the back, z to the head), with
the origin in the middle of the brain. Sizes follow an adult head; nothing was taken from any person's images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Vector = tuple[float, float, float]

COLUMNS = ROWS = 256
SLICES = 120
SPACING = 0.9765625  # mm between pixel centres, 250 mm field of view
SLICE_SPACING = 1.5  # mm
FIRST_PIXEL = (-(COLUMNS - 1) / 2 * SPACING, -(ROWS - 1) / 2 * SPACING, -84.5)  # mm

AIR, FAT, CSF, WHITE, GREY, MUSCLE, SKIN = -1000.0, -95.0, 6.0, 26.0, 38.0, 58.0, 30.0  # HU
SPONGY, COMPACT, ENAMEL = 480.0, 1250.0, 2300.0  # HU
NOISE = 6.0  # HU, standard deviation within a slice before smoothing
SEED = 20261122

SKULL_SEGMENT, BRAIN_SEGMENT, VENTRICLES_SEGMENT, LESION_SEGMENT = 1, 2, 3, 4


@dataclass(frozen=True)
class Slice:
    """One axial slice.

    Parameters
    ----------
    z : mm, height of its centre.
    hounsfield : (rows, columns) HU, rounded, int16.
    labels : (rows, columns) segment number of each pixel, 0 outside all, uint8.
    """

    z: float
    hounsfield: NDArray[np.int16]
    labels: NDArray[np.uint8]


def slices() -> Iterator[Slice]:
    """Make the phantom, from the neck upwards."""
    random = np.random.default_rng(SEED)
    head = _Head(coarse=_Texture(random, 9.0), medium=_Texture(random, 4.5), fine=_Texture(random, 2.2))
    for index in range(SLICES):
        z = FIRST_PIXEL[2] + index * SLICE_SPACING
        hounsfield, labels = head.slice_at(z)
        grain = random.standard_normal(hounsfield.shape, dtype=np.float32) * np.float32(NOISE)
        # Partial volume softens edges; reconstruction correlates the noise of neighbours but keeps it grainy.
        image = _soften(hounsfield) + 0.6 * grain + 0.8 * _soften(grain)
        yield Slice(z, np.clip(np.rint(image), -1024, 3071).astype(np.int16), labels)


def _soften(image: Floats) -> Floats:
    """Average with the neighbours, 1-2-1 in both directions; edges are repeated."""
    padded = np.pad(image, 1, mode="edge")
    rows = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    softened: Floats = 0.25 * rows[:, :-2] + 0.5 * rows[:, 1:-1] + 0.25 * rows[:, 2:]
    return softened


class _Texture:
    """Smooth random values through space, mean 0 and spread about 1: noise on a lattice, blended between."""

    def __init__(self, random: np.random.Generator, size: float) -> None:
        self.size = size  # mm between lattice points
        span = (SLICES * SLICE_SPACING, ROWS * SPACING, COLUMNS * SPACING)
        self.lattice = random.standard_normal([int(extent / size) + 3 for extent in span], dtype=np.float32)

    def at(self, z: float) -> Floats:
        index, weight = _lattice_place(np.array([z - FIRST_PIXEL[2]]), self.size)
        plane = self.lattice[index[0]] * (1 - weight[0]) + self.lattice[index[0] + 1] * weight[0]
        for axis, count in ((0, ROWS), (1, COLUMNS)):
            index, weight = _lattice_place(np.arange(count) * SPACING, self.size)
            weight = weight[:, None] if axis == 0 else weight
            plane = plane.take(index, axis) * (1 - weight) + plane.take(index + 1, axis) * weight
        blended: Floats = plane * np.float32(1.7)  # blending narrows the spread
        return blended


def _lattice_place(millimetres: Floats, size: float) -> tuple[NDArray[np.int64], Floats]:
    index = np.floor(millimetres / size).astype(np.int64)
    along = (millimetres / size - index).astype(np.float32)
    return index, along * along * (3 - 2 * along)


@dataclass
class _Head:
    """The anatomy, painted slice by slice from the outside inwards; what is painted later lies on top."""

    coarse: _Texture
    medium: _Texture
    fine: _Texture
    x: Floats = field(init=False)
    y: Floats = field(init=False)
    table: Floats = field(init=False)
    floor: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.x = (FIRST_PIXEL[0] + SPACING * np.arange(COLUMNS, dtype=np.float32))[None, :]
        self.y = (FIRST_PIXEL[1] + SPACING * np.arange(ROWS, dtype=np.float32))[:, None]
        self.image = np.full((ROWS, COLUMNS), AIR)
        self._table()
        self.table = self.image  # and air, the same in every slice
        self.floor = self._floor()

    def slice_at(self, z: float) -> tuple[Floats, NDArray[np.uint8]]:
        """Paint the slice at height z: HU and segment numbers."""
        self.z = z
        self.noise = self.coarse.at(z), self.medium.at(z), self.fine.at(z)
        self.image = self.table.copy()
        self.bone = np.zeros((ROWS, COLUMNS), bool)
        self._soft_tissue()
        self._facial_bones()
        inside = self._skull()
        self._orbits()
        self._airways()
        labels = np.zeros((ROWS, COLUMNS), np.uint8)
        if inside.any():
            brain, ventricles, lesion = self._brain(inside)
            labels[brain] = BRAIN_SEGMENT
            labels[ventricles] = VENTRICLES_SEGMENT
            labels[lesion] = LESION_SEGMENT
        labels[self.bone & (self.image > 250) & (labels == 0)] = SKULL_SEGMENT
        return self.image, labels

    # shapes

    def _ball(self, centre: Vector, radii: Vector) -> Floats:
        """Squared distance from the centre in radii: below 1 inside the ellipsoid."""
        distance: Floats = (
            ((self.x - centre[0]) / radii[0]) ** 2
            + ((self.y - centre[1]) / radii[1]) ** 2
            + ((self.z - centre[2]) / radii[2]) ** 2
        )
        return distance

    def _pair(self, centre: Vector, radii: Vector) -> Floats:
        """The same on both sides of the body: ``centre`` is on the left."""
        distance: Floats = (
            ((np.abs(self.x) - centre[0]) / radii[0]) ** 2
            + ((self.y - centre[1]) / radii[1]) ** 2
            + ((self.z - centre[2]) / radii[2]) ** 2
        )
        return distance

    def _cranium(self, width: float, length: float, height: float) -> Floats:
        """An ellipsoid about the brain that reaches further down than up."""
        return self._ball((0, 0, 0), (width, length, height if self.z > 0 else 1.35 * height))

    def _paint(self, where: Mask, value: float | Floats) -> None:
        np.copyto(self.image, value, where=where)

    def _paint_bone(self, where: Mask, value: float | Floats) -> None:
        self._paint(where, value)
        self.bone |= where

    # outside

    def _table(self) -> None:
        """A cradle under the head and the table top under it: thin shells around foam."""
        for radius, centre, half_width in ((104.0, 4.0, 88.0), (420.0, -306.0, 125.0)):
            depth = np.hypot(self.x, self.y - centre) - radius
            across = (np.abs(self.x) < half_width) & (self.y > 20)
            self._paint(across & (depth > 0) & (depth < 7), -940.0)
            self._paint(across & (((depth > 0) & (depth < 1.4)) | ((depth > 5.6) & (depth < 7))), -180.0)

    def _soft_tissue(self) -> None:
        z = self.z
        neck = ((self.x / 54) ** 2 + ((self.y - 18) / 58) ** 2) if z < -45 else None
        outline = np.minimum(self._cranium(76, 95, 77), self._ball((0, -42, -58), (61, 55, 66)))
        outline = np.minimum(outline, self._ball((0, -98, -47), (11, 14, 17)))  # nose
        if neck is not None:
            outline = np.minimum(outline, neck)
        ears = self._pair((76, 10, -22), (6, 15, 27))
        self._paint(outline < 1, SKIN)
        self._paint(outline < 0.955, FAT + 8 * self.noise[1])
        self._paint(outline < 0.90, MUSCLE + 4 * self.noise[1] - 110 * (self.noise[0] > 1.3))
        self._paint((ears < 1) & (outline >= 0.98), SKIN)
        self._paint((ears < 0.35) & (outline >= 0.98), 110.0)

    def _facial_bones(self) -> None:
        z = self.z
        if z > -30:  # above the arch
            return
        maxilla = (self._ball((0, -56, -56), (42, 36, 26)) < 1) & (self.y < -28)
        self._paint_bone(maxilla, 330 + 160 * self.noise[2])
        cheek = self._pair((52, -42, -38), (15, 24, 7))
        self._paint_bone(cheek < 1, COMPACT - 500 * (cheek < 0.4).astype(np.float32))
        arch = np.abs(np.hypot(self.x / 66, (self.y + 20) / 40) - 1)
        self._paint_bone((arch < 0.05) & (np.abs(z + 38) < 4) & (self.y < 0) & (np.abs(self.x) > 50), COMPACT)
        jaw = np.abs(np.hypot(self.x / 44, (self.y + 30) / 56) - 1)
        opening = 8 if z < -82 else -18
        ramus = (np.abs(self.x) > 38) & (self.y > -26) & (self.y < 2) & (z < -48)
        lower_jaw = (jaw < 0.12) & (((self.y < opening) & (z < -84)) | ramus)
        self._paint_bone(lower_jaw, COMPACT)
        self._paint_bone(lower_jaw & (jaw < 0.06), SPONGY + 120 * self.noise[2])
        arc = np.hypot(self.x / 33, (self.y + 42) / 42)
        angle = np.arctan2(self.x, -(self.y + 42))
        teeth = (np.abs(arc - 1) < 0.13) & (np.abs(angle) < 1.5) & (np.abs(z + 80) < 9)
        self._paint_bone(teeth & (np.abs(np.sin(angle * 9)) > 0.25), ENAMEL - 900 * (np.abs(arc - 1) < 0.04))
        self._vertebrae()

    def _vertebrae(self) -> None:
        if self.z > -62:
            return
        ring = np.hypot(self.x / 1.15, self.y - 30)
        self._paint_bone((ring > 13) & (ring < 20), COMPACT - 500 * (np.abs(ring - 16.5) < 2))
        self._paint_bone(self._pair((24, 26, -74), (10, 9, 11)) < 1, SPONGY + 150 * self.noise[2])
        self._paint_bone(self._ball((0, 14, -84), (6, 6, 22)) < 1, COMPACT - 400.0)
        self._paint(ring < 13, CSF)
        self._paint(((self.x / 7) ** 2 + ((self.y - 32) / 5.5) ** 2) < 1, GREY - 2)

    def _skull(self) -> Mask:
        """Paint the cranial vault and base; give where its inside is."""
        thickness = 6.2 + 0.45 * self.noise[0] + 2.5 * np.clip(self.y / 90, 0, 1)
        outer = np.sqrt(self._cranium(70, 88, 71))
        depth = (1 - outer) * 74  # mm below the outer table, nearly
        floor = self.floor
        vault = (depth > 0) & (depth < thickness) & (self.z > floor - 9)
        base = (depth > 0) & (self.z < floor) & (self.z > floor - 9)
        middle = (depth > 1.8) & (depth < thickness - 1.8)
        self._paint_bone(vault, np.where(middle, SPONGY + 170 * self.noise[2], COMPACT).astype(np.float32))
        hole = ((self.x / 15) ** 2 + ((self.y - 30) / 17) ** 2) < 1
        below = floor - self.z
        solid = np.where((below > 2) & (below < 7), SPONGY + 220 * self.noise[2], COMPACT - 250).astype(
            np.float32
        )
        self._paint_bone(base & ~hole, solid)
        petrous = ((np.abs(self.x) * 0.62 - 4 - self.y) / 10) ** 2 + ((self.z + 41) / 12) ** 2 < 1
        ridge = petrous & (np.abs(self.x) > 12) & (depth > 2)
        self._paint_bone(ridge, COMPACT + 250 - 300 * (self.noise[2] > 0.8))
        mastoid = self._pair((51, 24, -46), (13, 17, 19)) < 1
        self._paint_bone(mastoid, 700.0)
        self._paint(mastoid & (self.noise[2] > 0.05), AIR + 150.0)
        inside: Mask = (depth >= thickness) & (self.z >= floor) & ~ridge & ~mastoid
        return inside | (hole & (self.z < floor) & (self.z > -64))

    def _floor(self) -> Floats:
        """Height of the floor of the skull: front, middle and rear fossa go down in steps."""
        front = -14 - 5 * np.clip(1 - np.abs(self.x) / 30, 0, 1)
        middle = -40 + 14 * np.clip(1 - np.abs(self.x) / 16, 0, 1)
        rear = np.full_like(self.x + self.y, -56)
        to_middle = np.clip((self.y + 38) / 9, 0, 1)
        to_rear = np.clip((self.y - 8 - 0.35 * np.abs(self.x)) / 14, 0, 1)
        floor: Floats = (front * (1 - to_middle) + middle * to_middle) * (1 - to_rear) + rear * to_rear
        return floor

    def _orbits(self) -> None:
        eye = (32.0, -67.0, -27.0)
        if abs(self.z - eye[2]) > 22.5:  # beyond the widest part of the cone and its bone
            return
        # A cone of fat that narrows towards the apex behind the eye.
        along = np.clip((self.y + 78) / 46, 0, 1)
        axis = eye[0] - 16 * along
        radius = 20 * (1 - along**1.5) + 1e-3
        across = np.sqrt((np.abs(self.x) - axis) ** 2 + (self.z - eye[2]) ** 2)
        orbit = (along < 1) & (self.y > -82)
        self._paint_bone(
            orbit & (across < radius + 2.2) & (across >= radius) & (self.y > -76), COMPACT - 300.0
        )
        self._paint(orbit & (across < radius), FAT)
        self.bone &= ~(orbit & (across < radius))
        self._paint(orbit & (across < 2.4) & (self.y > eye[1] + 8), 32.0)  # optic nerve
        muscles = np.abs(across - 0.62 * radius) < 1.5
        self._paint(orbit & muscles & (self.y > eye[1] + 4) & (self._eye_angle(axis, eye[2]) > 0.9), MUSCLE)
        ball = self._pair(eye, (12.2, 12.2, 12.2))
        self._paint(ball < 1, 48.0)
        self._paint(ball < 0.82, 9.0)
        self._paint(self._pair((eye[0], eye[1] - 8.2, eye[2]), (4.8, 2.2, 4.8)) < 1, 92.0)

    def _eye_angle(self, axis: Floats, height: float) -> Floats:
        angle = np.arctan2(np.float32(self.z - height), np.abs(self.x) - axis)
        four: Floats = np.abs(np.cos(2 * angle))
        return four

    def _airways(self) -> None:
        if self.z > 7:  # above the frontal sinuses
            return
        sinuses = (
            (self._pair((25, -60, -55), (14, 17, 16)), 0.86),
            (self._pair((9, -82, -3), (11, 6.5, 10)), 0.70),
            (self._ball((0, -24, -38), (13, 11, 9)), 0.80),
        )
        for distance, wall in sinuses:
            self._paint_bone(distance < 1, COMPACT - 450.0)
            self._paint(distance < wall, AIR)
        lining = self._pair((25, -50, -67), (12, 9, 5)) < 1
        self._paint(lining & (sinuses[0][0] < sinuses[0][1]), 22.0)
        ethmoid = self._ball((0, -58, -28), (12, 24, 11))
        cells = (np.abs(np.sin(self.x * 0.42)) > 0.22) & (np.abs(np.sin(self.y * 0.36 + self.z * 0.2)) > 0.2)
        self._paint_bone(ethmoid < 1, 420.0)
        self._paint((ethmoid < 0.92) & cells, AIR + 60.0)
        nose = self._ball((0, -66, -56), (12, 36, 20))
        turbinates = np.abs(np.abs(self.x) - 7 - 2 * np.sin(self.z * 0.45)) < 1.6
        self._paint(nose < 1, 40.0)
        self._paint((nose < 0.86) & ~turbinates, AIR)
        self._paint_bone((nose < 0.95) & (np.abs(self.x + 1.5 * np.sin(self.y * 0.08)) < 0.9), 350.0)
        if self.z < -50:
            self._paint(((self.x / 13) ** 2 + ((self.y + 14) / 8) ** 2) < 1, 42.0)
            self._paint(((self.x / 10) ** 2 + ((self.y + 15) / 5) ** 2) < 1, AIR)
        self._paint(self._ball((0, -58, -93), (26, 28, 10)) < 1, MUSCLE - 4)  # tongue
        self._paint((self._pair((66, 6, -30), (18, 3.2, 3.2)) < 1), AIR)  # ear canals

    # inside

    def _brain(self, inside: Mask) -> tuple[Mask, Mask, Mask]:
        coarse, medium, fine = self.noise
        self._paint(inside, CSF + 2)
        self.bone &= ~inside
        depth = 1 - np.sqrt(self._cranium(63.5, 81, 62.5))
        fissure = np.abs(self.x) < 1.1 + 4 * np.clip(depth < 0.06, 0, 1)
        rear = self._ball((0, 44, -36), (46, 32, 19)) < 1
        tent = np.abs(self.z + 16 + 0.25 * np.abs(self.x)) < 1.3
        sulci = np.abs(medium + 0.4 * fine) < 0.26 + 0.25 * (0.16 - np.clip(depth, 0, 0.16)) / 0.16
        sylvian = np.abs(self.z + 4 - 0.16 * (self.y + 20)) < 1.6
        sylvian = sylvian & (np.abs(self.x) > 40) & (np.abs(self.y + 8) < 30)
        gap = (depth < 0.02) | (sulci & (depth < 0.16)) | sylvian
        gap |= fissure & ((depth < 0.5) & (self.z > 4) | (self.y < -48))
        gap |= tent & (self.y > 22) & ~(np.abs(self.x) < 12)
        brain = inside & ~gap
        cortex = (depth < 0.13 + 0.05 * coarse) | ((np.abs(medium) < 0.5) & (depth < 0.24))
        self._paint(brain, np.where(cortex, GREY, WHITE) + 1.4 * medium)
        self._deep_grey(brain)
        folia = np.abs(np.sin(self.z * 1.1 + 0.06 * self.y + 0.4 * coarse)) < 0.35
        self._paint(brain & rear, np.where(folia, GREY - 5, GREY + 1).astype(np.float32))
        stem = ((self.x / 13) ** 2 + ((self.y - 22 - 0.12 * self.z) / 12) ** 2) < 1
        self._paint(inside & stem & (self.z < -10), WHITE + 4 + medium)
        brain |= inside & stem & (self.z < -10)
        self._paint(
            inside & (np.abs(self.x) < 0.9) & (self.z > 6) & (depth < 0.42) & (depth > -0.04), 62.0
        )  # falx
        self._paint(self._ball((0, 24, 4), (2.4, 2.4, 2.4)) < 1, 160.0)  # calcified pineal gland
        self._paint(self._pair((21, 40, 8), (3, 3, 2)) < 1, 140.0)  # calcified choroid plexus
        lesion = self._lesion(brain)
        ventricles = self._ventricles(inside) & ~lesion
        return brain & ~ventricles & ~lesion, ventricles, lesion

    def _deep_grey(self, brain: Mask) -> None:
        for centre, radii in (
            ((11.0, 6.0, 3.0), (8.5, 14.0, 10.0)),  # thalami
            ((26.0, -8.0, 1.0), (7.0, 18.0, 11.0)),  # lentiform nuclei
            ((13.0, -26.0, 8.0), (5.5, 9.0, 9.0)),  # heads of the caudate nuclei
            ((36.5, -6.0, 2.0), (2.6, 24.0, 14.0)),  # insulae
        ):
            self._paint(brain & (self._pair(centre, radii) < 1), GREY + 1.0 + self.noise[2])

    def _ventricles(self, inside: Mask) -> Mask:
        wobble = 0.10 * self.noise[0]
        horns: Sequence[tuple[Vector, Vector]] = (
            ((8.0, -27.0, 13.0), (4.6, 12.0, 8.0)),
            ((10.0, -6.0, 19.0), (6.0, 24.0, 5.5)),
            ((17.0, 22.0, 15.0), (7.0, 15.0, 9.0)),
            ((24.0, 42.0, 8.0), (4.4, 20.0, 6.0)),
            ((31.0, 14.0, -9.0), (3.6, 20.0, 3.6)),
        )
        where = self._ball((0, 7, 0), (2.4, 14, 9)) < 1
        where |= self._ball((0, 36, -33), (7, 4.5, 9)) < 1
        for centre, radii in horns:
            where |= self._pair(centre, radii) < 1 + wobble
        where &= inside & (np.abs(self.image) < 120)
        septum = (np.abs(self.x) < 1.0) & (self.y < 2) & (self.z > 9)
        where &= ~septum
        self._paint(where, CSF)
        return where

    def _lesion(self, brain: Mask) -> Mask:
        """A dense, slightly lobed mass in the right frontal lobe with a dark rim of oedema."""
        lobes = self._ball((-33, -30, 27), (12.5, 14, 11.5)) + 0.16 * self.noise[0] + 0.05 * self.noise[1]
        oedema = self._ball((-32, -26, 27), (22, 26, 19)) + 0.30 * self.noise[0]
        self._paint(brain & (oedema < 1), 19 + 0.8 * self.noise[1])
        mass: Mask = brain & (lobes < 1)
        self._paint(mass, np.where(lobes < 0.25, 49, 66) + 2.5 * self.noise[2])
        return mass
