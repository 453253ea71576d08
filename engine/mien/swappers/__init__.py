"""Swappers draw a persona on a track; others can add theirs by an entry point."""

from mien.swappers.registry import Swapper, make_swapper, swapper_names

__all__ = ["Swapper", "make_swapper", "swapper_names"]
