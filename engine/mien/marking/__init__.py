"""What says "synthetic": the visible badge, the statement in files; and the guard's slate."""

from mien.marking.badge import Marker
from mien.marking.lettering import text_mask
from mien.marking.metadata import COMPOSITE_SYNTHETIC, Statement
from mien.marking.slate import draw_slate

__all__ = ["COMPOSITE_SYNTHETIC", "Marker", "Statement", "draw_slate", "text_mask"]
