"""Swappers draw a persona on a track; others can add theirs by an entry point."""

from mien.swappers.ensemble import Ensemble
from mien.swappers.registry import (
    AUTO,
    Swapper,
    chosen_swapper,
    make_swapper,
    swapper_names,
)

__all__ = ["AUTO", "Ensemble", "Swapper", "chosen_swapper", "make_swapper", "swapper_names"]
