"""When and how hard the tracker looks for further faces."""

from __future__ import annotations

from dataclasses import dataclass

from mien.perception.detector import Detection, Detector, Tile, tiles_of
from mien.perception.roi import Roi
from mien.types import U8Array

_IDLE_INTERVAL_S = 0.25
"""Between looks for further faces while the ones that matter are being followed."""

_TILES_A_FRAME = 2
"""Tiles searched for far faces in a frame that shows none: about 2 ms."""

_FAR_EVERY = 4
"""While others are in view, the full-range model looks for the performer this often."""

_KNOWN = 0.3
"""A detection whose region overlaps a followed one more than this is the same face."""

_FORGET_S = 2.0


@dataclass(slots=True)
class _Stranger:
    """A face that was looked at and left alone, so as not to look again at once."""

    roi: Roi
    seen_s: float
    look_again_s: float
    interval_s: float


class Search:
    """Proposes regions in which a new face may be.

    One thread at a time may use it; it borrows the detector.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._strangers: list[_Stranger] = []
        self._next_s = 0.0
        self._turn = 0
        self._thorough = True

    def restart(self) -> None:
        """Look at once and everywhere, as at the start."""
        self._strangers.clear()
        self._next_s = 0.0
        self._turn = 0
        self._thorough = True

    def candidates(
        self, image_bgr: U8Array, known: list[Roi], *, waiting: bool, time_s: float
    ) -> list[Roi]:
        """Regions of faces that are not yet followed, largest first.

        Args:
            image_bgr: (H, W, 3) uint8.
            known: regions of the faces that are followed.
            waiting: the performer is missing, so look in every frame.
            time_s: now.
        """
        if known and not waiting:
            if time_s < self._next_s:
                return []
            self._next_s = time_s + _IDLE_INTERVAL_S
        self._turn += 1
        found = self._detector.detect_near(image_bgr)
        fresh = self._fresh(found, known, time_s)
        if not fresh and (not found or (waiting and self._turn % _FAR_EVERY == 1)):
            found = self._detector.detect_far(image_bgr)
            fresh = self._fresh(found, known, time_s)
        if not fresh and not found and not known:
            found = self._detector.detect_in(image_bgr, self._tiles(image_bgr))
            fresh = self._fresh(found, known, time_s)
        self._thorough = False
        return fresh

    def dismiss(self, roi: Roi, time_s: float) -> None:
        """Leave the face in this region alone for a while."""
        for stranger in self._strangers:
            if stranger.roi.overlap(roi) > _KNOWN:
                stranger.interval_s = min(stranger.interval_s * 2, 1.0)
                stranger.look_again_s = time_s + stranger.interval_s
                return
        self._strangers.append(_Stranger(roi, time_s, time_s + 0.1, 0.1))

    def _fresh(self, found: list[Detection], known: list[Roi], time_s: float) -> list[Roi]:
        self._strangers = [s for s in self._strangers if time_s - s.seen_s < _FORGET_S]
        rois = [detection.roi for detection in found]
        return [
            roi
            for roi in rois
            if not any(roi.overlap(other) > _KNOWN for other in known)
            and not self._is_left_alone(roi, time_s)
        ]

    def _is_left_alone(self, roi: Roi, time_s: float) -> bool:
        for stranger in self._strangers:
            if stranger.roi.overlap(roi) > _KNOWN:
                stranger.roi, stranger.seen_s = roi, time_s
                return time_s < stranger.look_again_s
        return False

    def _tiles(self, image_bgr: U8Array) -> list[Tile]:
        """All tiles in a thorough look, else the next few in turn."""
        tiles = list(tiles_of(image_bgr.shape[0], image_bgr.shape[1], levels=2))
        if self._thorough or not tiles:
            return tiles
        first = self._turn * _TILES_A_FRAME
        return [tiles[(first + i) % len(tiles)] for i in range(_TILES_A_FRAME)]
