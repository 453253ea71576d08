"""Finds what covers a face, so that the persona stays behind it."""

from mien.occlusion.stage import CoveredView, OcclusionStage, open_occlusion

__all__ = ["CoveredView", "OcclusionStage", "open_occlusion"]
