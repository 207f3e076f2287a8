"""Meshes: the surfaces of segments as triangles."""

from __future__ import annotations

from dicomdock.imaging.mesh.mesh import SMOOTHING, Mesh, meshes_of, surface_of

__all__ = ["SMOOTHING", "Mesh", "meshes_of", "surface_of"]
