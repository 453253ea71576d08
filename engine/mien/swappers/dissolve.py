"""Two patches as one: what is drawn where no swapper can mix the two itself.

Each is laid over the performer's own pixels first, and the two pictures are mixed then: where
one of them covers nothing the performer shows through it, as it would with that one alone.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from mien import _kernels
from mien.face_mesh import FACE_OVAL
from mien.look import Blend, Side
from mien.types import F32Array, FaceTrack, Frame, HeadPose, Patch, U8Array

# Width of a wipe's soft front, of the face's own width or height (chosen by eye).
_FRONT = 0.25

# What a swapper draws may reach so far beyond the oval, in the same measure: a fifth to
# the hairline, and to the sides of a rolled head's box.
_BEYOND = 0.2

Draw = Callable[[], Patch]


def dissolve(
    frame: Frame, track: FaceTrack, blend: Blend, base: Draw | None, top: Draw | None
) -> Patch:
    """The patch between two.

    Args:
        frame: the frame.
        track: the face.
        blend: how, and how much; its names are not looked at. Pictures have colours and
            detail but no shape that could go its own way: a morph whose shape and skin part
            goes by its skin.
        base, top: draw one patch each, good until the next is drawn; None is the
            performer's own face, not both.

    Raises:
        ValueError: both are None.
    """
    wished = blend.amount if blend.how == "wipe" else blend.skin_amount
    amount = min(max(wished, 0.0), 1.0)
    if base is None and top is None:
        raise ValueError("a blend of nobody with nobody; expected at least one persona")
    if base is None or top is None:
        drawn = _unblended((base or top)())  # type: ignore[misc]
        return _faded(drawn, track, blend, amount, leaves=top is None)
    if amount in (0.0, 1.0):
        return top() if amount else base()
    # The second drawing may overwrite the first one's buffers.
    one = _unblended(base())
    one = Patch(left=one.left, top=one.top, bgr=one.bgr.copy(), matte=one.matte.copy())
    two = _unblended(top())
    if not (one.matte.size and two.matte.size):
        whole, leaves = (one, True) if one.matte.size else (two, False)
        return _faded(whole, track, blend, amount, leaves=leaves)
    return _mixed(frame, track, blend, amount, one, two)


def _unblended(patch: Patch) -> Patch:
    """The patch as one that is yet to be blended: what is blended already goes in whole."""
    if not patch.blended:
        return patch
    matte = np.where(patch.matte > 0, 255, 0).astype(np.uint8)
    return Patch(left=patch.left, top=patch.top, bgr=patch.bgr, matte=matte)


def _faded(patch: Patch, track: FaceTrack, blend: Blend, amount: float, *, leaves: bool) -> Patch:
    """One patch coming or leaving; changes its matte in place."""
    matte = patch.matte
    if not matte.size:
        return patch
    if blend.how == "wipe":
        front = front_map(track, blend.side, amount, patch.left, patch.top, matte.shape)
        if leaves:
            np.subtract(255, front, out=front)
        cv2.multiply(matte, front, dst=matte, scale=1.0 / 255.0)
    else:
        share = 1.0 - amount if leaves else amount
        cv2.convertScaleAbs(matte, dst=matte, alpha=share)
    return patch


def _mixed(
    frame: Frame, track: FaceTrack, blend: Blend, amount: float, one: Patch, two: Patch
) -> Patch:
    left, top = min(one.left, two.left), min(one.top, two.top)
    right = max(p.left + p.matte.shape[1] for p in (one, two))
    bottom = max(p.top + p.matte.shape[0] for p in (one, two))
    out = frame.bgr[top:bottom, left:right].copy()
    over = out.copy()
    covered = np.zeros(out.shape[:2], np.uint8)
    for patch, canvas in ((one, out), (two, over)):
        x, y = patch.left - left, patch.top - top
        _kernels.blend(canvas, x, y, patch.bgr, patch.matte)
        rows, columns = patch.matte.shape
        part = covered[y : y + rows, x : x + columns]
        np.maximum(part, patch.matte, out=part)
    if blend.how == "wipe":
        front = front_map(track, blend.side, amount, left, top, covered.shape)
        _kernels.blend(out, 0, 0, over, front)
    else:
        cv2.addWeighted(out, 1.0 - amount, over, amount, 0.0, dst=out)
    # The mixture holds the performer's share already, so it goes in whole wherever either of
    # the two covers anything.
    np.copyto(covered, 255, where=covered > 0)
    return Patch(left=left, top=top, bgr=out, matte=covered)


def front_map(
    track: FaceTrack, side: Side, amount: float, left: int, top: int, size: tuple[int, ...]
) -> U8Array:
    """How much of the newcomer shows, when a wipe has come so far over a face.

    Args:
        track: the face; the front follows its roll and ends at its edge.
        side: where the front moves to.
        amount: 0..1.
        left, top: frame position of the first pixel.
        size: (height, width) of the result.

    Returns:
        (h, w) uint8, 255 is all newcomer.
    """
    axis = _axis(track.pose, side)
    along = track.landmarks[list(FACE_OVAL), :2] @ axis
    face = max(float(np.ptp(along)), 1.0)
    start, length = float(along.min()) - _BEYOND * face, face * (1.0 + 2.0 * _BEYOND)
    reached = start + length * amount * (1.0 + _FRONT)
    height, width = size
    x = (np.arange(width, dtype=np.float32) + np.float32(left)) * axis[0]
    y = (np.arange(height, dtype=np.float32) + np.float32(top)) * axis[1]
    behind = (np.float32(reached) - y)[:, None] - x[None, :]
    behind *= np.float32(1.0 / (length * _FRONT))
    np.clip(behind, 0.0, 1.0, out=behind)
    behind *= behind * (3.0 - 2.0 * behind)
    return np.asarray(cv2.convertScaleAbs(behind, alpha=255.0), np.uint8)


def _axis(pose: HeadPose, side: Side) -> F32Array:
    """(2,) float32: the way of the front in the picture, along the head's own axes."""
    column = pose.rotation[:, 0] if side in ("left", "right") else -pose.rotation[:, 1]
    way = np.array([column[0], -column[1]], np.float32)
    if side in ("left", "up"):
        way = -way
    length = float(np.hypot(way[0], way[1]))
    if length < 1e-3:  # a head that looks along the axis shows nothing of it
        return np.array([1.0, 0.0] if side in ("left", "right") else [0.0, 1.0], np.float32)
    return np.asarray(way / np.float32(length), np.float32)
