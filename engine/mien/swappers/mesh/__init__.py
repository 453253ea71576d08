"""The mesh swapper: the persona's skin and shape on the performer's expression."""

from mien.swappers.mesh.swapper import MeshSwapper

__all__ = ["MeshSwapper"]
