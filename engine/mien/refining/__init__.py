"""Mends what the mesh swapper cannot, with a small network."""

from mien.refining.allowance import Allowance
from mien.refining.refinement import Refinement, open_refinement
from mien.refining.stage import RefinerStage

__all__ = ["Allowance", "Refinement", "RefinerStage", "open_refinement"]
