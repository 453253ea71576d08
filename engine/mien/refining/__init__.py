"""Mends what the mesh swapper cannot, with a small network."""

from mien.refining.stage import RefinerStage

__all__ = ["RefinerStage"]
