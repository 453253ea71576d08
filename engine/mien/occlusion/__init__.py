"""Finds what covers a face, so that the persona stays behind it."""

from mien.occlusion.stage import CoveredView, OcclusionStage

__all__ = ["CoveredView", "OcclusionStage"]
