"""Blends a patch into its frame along the patch's matte."""

from __future__ import annotations

from mien import _kernels
from mien.ranges import ranged
from mien.types import FaceTrack, Patch, U8Array


class Compositor:
    """Paints patches in place. Stateless; any thread may use it."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    @ranged("composite")
    def composite(self, frame_bgr: U8Array, patch: Patch, track: FaceTrack) -> None:
        """Blends ``patch`` into ``frame_bgr``: ``frame += matte * (patch - frame)``.

        Softens ``patch.matte`` in place first; pixels that the mesh does not cover hold
        the frame's own colour, so the softened edge shows no seam. A patch that is blended
        already is put in its place.

        Args:
            frame_bgr: (H, W, 3) uint8, painted into.
            patch: what to paint; lies inside the frame.
            track: the face it belongs to.
        """
        if not patch.matte.size:
            return
        if patch.blended:
            rows, columns = patch.matte.shape
            left, top = patch.left, patch.top
            frame_bgr[top : top + rows, left : left + columns] = patch.bgr
            return
        _kernels.blur_matte(patch.matte, track.softening_px, 1, self._threads)
        _kernels.blend(frame_bgr, patch.left, patch.top, patch.bgr, patch.matte, self._threads)
