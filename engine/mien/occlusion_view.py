"""What the occlusion net sees of a frame: a small upright crop and maps of the face in it.

Shared by training and by the stage that runs the network, so that both see the same.
"""

from __future__ import annotations

from mien.refiner_view import MAP_CHANNELS

CROP_SIZE = 128
"""Side of the crop in pixels; its place is that of :func:`mien.refiner_view.crop_from_frame`."""

INPUT_CHANNELS = 3 + MAP_CHANNELS
"""Frame BGR, then the maps of :func:`mien.refiner_view.draw_maps`; 0..1."""
