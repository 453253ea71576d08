"""What makes a swapper's patch unfit to be shown."""

from __future__ import annotations

import cv2
import numpy as np

from mien.types import FaceTrack, Frame, Patch

# A patch smaller than this part of the visible face box draws no face. A hand before the
# mouth and nose, or a profile, still leaves more than a quarter (measured on the clips).
_LEAST_COVERAGE = 0.10
_LARGEST_PATCH = 4.0
EMPTY = "patch empty"


def patch_fault(patch: Patch, frame: Frame, track: FaceTrack) -> str:
    """What makes a patch unfit to be shown, in a few words; empty when it is fit."""
    bgr, matte = patch.bgr, patch.matte
    if bgr.dtype != np.uint8 or matte.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        return "patch malformed"
    if bgr.shape[:2] != matte.shape or 0 in matte.shape:
        return "patch malformed"
    height, width = frame.size
    patch_height, patch_width = matte.shape
    if patch.left < 0 or patch.top < 0:
        return "patch outside the frame"
    if patch.left + patch_width > width or patch.top + patch_height > height:
        return "patch outside the frame"
    left, top, right, bottom = track.box
    face_size = max(right - left, bottom - top, 1.0)
    if max(patch_height, patch_width) > _LARGEST_PATCH * face_size + 16:
        return "patch too large"
    visible_width = min(right, width - 1.0) - max(left, 0.0) + 1
    visible_height = min(bottom, height - 1.0) - max(top, 0.0) + 1
    visible = max(visible_width, 0.0) * max(visible_height, 0.0)
    drawn = cv2.countNonZero(matte)
    if drawn == 0 or drawn < _LEAST_COVERAGE * visible:
        return EMPTY
    return ""
