"""Meshes as STL, OBJ and binary glTF.

STL and OBJ hold points in mm, LPS, and say so as 3D Slicer reads it (``SPACE=LPS``). glTF is in metres with
y upwards and the patient's face towards +z; its points are in mm, LPS, too, turned and scaled by a node.

References
----------
Khronos glTF 2.0, §3.4 (coordinates and units), §4 (GLB).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from dicomdock.imaging.mesh import Mesh

SPACE = "SPACE=LPS"

_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("points", "<f4", (3, 3)), ("attribute", "<u2")])

# columns: where the patient's left, back and head go, in metres, of left, up, and forwards
_TO_GLTF = [0.001, 0, 0, 0, 0, 0, -0.001, 0, 0, 0.001, 0, 0, 0, 0, 0, 1]
_FLOAT, _UNSIGNED = 5126, 5125
_VERTICES, _INDICES = 34962, 34963


def to_stl(meshes: Sequence[Mesh]) -> bytes:
    """Return the meshes as one binary STL, which holds neither names nor colours."""
    parts = []
    for mesh in meshes:
        corners = mesh.points[mesh.triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        part = np.zeros(len(corners), _STL_TRIANGLE)
        part["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
        part["points"] = corners
        parts.append(part)
    count = sum(map(len, parts))
    return b"".join([SPACE.encode().ljust(80), struct.pack("<I", count), *(part.tobytes() for part in parts)])


def to_obj(meshes: Sequence[Mesh], materials: str = "") -> str:
    """Return the meshes as OBJ, an object each.

    Parameters
    ----------
    materials : name of the file of their colours beside it; empty for none.
    """
    lines = [f"# {SPACE}", "# millimetres"]
    if materials:
        lines.append(f"mtllib {materials}")
    first = 1
    for number, mesh in enumerate(meshes, 1):
        lines.append(f"o {' '.join(mesh.label.split()) or number}")
        if materials:
            lines.append(f"usemtl segment{number}")
        lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in mesh.points.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (mesh.triangles + first).tolist()]
        first += len(mesh.points)
    return "\n".join([*lines, ""])


def to_mtl(meshes: Sequence[Mesh]) -> str:
    """Return the colours of the objects of an OBJ file."""
    lines: list[str] = []
    for number, mesh in enumerate(meshes, 1):
        red, green, blue = (value / 255 for value in mesh.colour)
        lines += [f"newmtl segment{number}", f"Kd {red:.4f} {green:.4f} {blue:.4f}"]
    return "\n".join([*lines, ""])


def to_glb(meshes: Sequence[Mesh]) -> bytes:
    """Return the meshes as binary glTF, a node with a name and a colour each."""
    data = bytearray()
    views: list[dict[str, int]] = []
    accessors: list[dict[str, Any]] = []
    for mesh in meshes:
        points, indices = mesh.points.astype("<f4"), mesh.triangles.astype("<u4").reshape(-1)
        for array, target in ((points, _VERTICES), (indices, _INDICES)):
            views.append({"buffer": 0, "byteOffset": len(data), "byteLength": array.nbytes, "target": target})
            data += array.tobytes()
        accessors += [
            {
                "bufferView": len(views) - 2,
                "componentType": _FLOAT,
                "count": len(points),
                "type": "VEC3",
                "min": points.min(axis=0).tolist(),
                "max": points.max(axis=0).tolist(),
            },
            {
                "bufferView": len(views) - 1,
                "componentType": _UNSIGNED,
                "count": len(indices),
                "type": "SCALAR",
            },
        ]
    numbers = range(len(meshes))
    document = {
        "asset": {"version": "2.0", "generator": "dicomdock"},
        "scene": 0,
        "scenes": [{"nodes": [len(meshes)]}],
        "nodes": [
            *({"name": mesh.label, "mesh": at} for at, mesh in enumerate(meshes)),
            {"name": "LPS in mm", "children": [*numbers], "matrix": _TO_GLTF},
        ],
        "meshes": [
            {
                "name": mesh.label,
                "primitives": [{"attributes": {"POSITION": 2 * at}, "indices": 2 * at + 1, "material": at}],
            }
            for at, mesh in enumerate(meshes)
        ],
        "materials": [
            {
                "name": mesh.label,
                "doubleSided": True,
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*(_linear(value) for value in mesh.colour), 1],
                    "metallicFactor": 0,
                    "roughnessFactor": 0.6,
                },
            }
            for mesh in meshes
        ],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(data)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(data)),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(data), b"BIN\0"),
            bytes(data),
        ]
    )


def _linear(value: int) -> float:
    """Return a part of an sRGB colour, 0 to 255, as glTF has it: linear, 0 to 1."""
    share = value / 255
    return round(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4, 5)
