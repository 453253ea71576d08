"""Where the faces of a picture are.

MediaPipe's BlazeFace models (Bazarevsky et al. 2019, *BlazeFace: Sub-millisecond Neural
Face Detection on Mobile GPUs*): anchors, box decoding and the blending of overlapping
boxes follow the published graphs. Far faces, too small for either model, are found by
running the short-range model on overlapping tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.perception._engines import OpenNetwork, PerceptionNetwork
from mien.perception._session import Crop, Network
from mien.perception.roi import Roi, roi_from_box
from mien.types import F32Array, U8Array

_MERGE_OVERLAP = 0.3
"""Boxes that overlap more than this are blended into one (published)."""

_TILE_STEP = 0.6
"""Step from tile to tile over the tile's side: a face of up to 0.4 sides is whole in one."""

_SMALLEST_TILE_PX = 128
"""Smaller tiles would only be enlarged for the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One detected face.

    Attributes:
        box: (4,) float32 centre x, centre y, width, height, frame pixels.
        points: (6, 2) float32 right eye, left eye, nose, mouth, right ear, left ear.
        score: 0..1.
    """

    box: F32Array
    points: F32Array
    score: float

    @property
    def roi(self) -> Roi:
        """The region in which to look for landmarks."""
        x, y, width, height = (float(value) for value in self.box)
        return roi_from_box(x, y, width, height, self.points[0], self.points[1])


@dataclass(frozen=True, slots=True)
class Tile:
    """A square window of a picture: left, top and side in pixels."""

    left: int
    top: int
    side: int


class _BlazeFace:
    """One detection network with its anchors and input buffer."""

    def __init__(
        self, network: PerceptionNetwork, anchors: F32Array, threshold: float, shift: float
    ) -> None:
        self._network = network
        self._anchors = anchors
        self._threshold = threshold
        self._side = self._network.input.shape[2]
        self._crop = Crop(self._network.input, (1.0 - shift) / 255.0, shift)

    def detect(self, image_bgr: U8Array, tile: Tile | None = None) -> list[Detection]:
        """Unblended detections in the whole picture (letterboxed) or in one tile of it."""
        height, width = image_bgr.shape[:2]
        if tile is None:
            side = max(height, width)
            left, top = (width - side) / 2, (height - side) / 2
        else:
            side, left, top = tile.side, tile.left, tile.top
        k = side / self._side
        cv2.warpAffine(
            image_bgr,
            np.array([[k, 0.0, left], [0.0, k, top]]),
            (self._side, self._side),
            dst=self._crop.bgr,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
        self._crop.load()
        regressors, logits = self._network.run()
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits[0, :, 0], -80.0, 80.0)))
        (hits,) = np.nonzero(scores >= self._threshold)
        if not len(hits):
            return []
        values = regressors[0, hits] / self._side
        values[:, [0, 1]] += self._anchors[hits]
        values[:, 4:] += np.tile(self._anchors[hits], 6)
        values *= side
        values[:, [0, *range(4, 16, 2)]] += left
        values[:, [1, *range(5, 16, 2)]] += top
        return [
            Detection(box=row[:4], points=row[4:].reshape(6, 2), score=float(score))
            for row, score in zip(values, scores[hits], strict=True)
        ]

    def close(self) -> None:
        self._network.close()


class Detector:
    """Finds faces near and far.

    One thread at a time may use it; networks and buffers are freed by :meth:`close`.
    """

    def __init__(self, threads: int = 1, open_network: OpenNetwork = Network) -> None:
        near = np.concatenate([_grid(16, 2), _grid(8, 6)])
        short, full = (
            open_network(f"face_detection_{which}_range", threads) for which in ("short", "full")
        )
        self._short = _BlazeFace(short, near, 0.5, -1.0)
        self._full = _BlazeFace(full, _grid(48, 1), 0.6, -1.0)

    def detect_near(self, image_bgr: U8Array) -> list[Detection]:
        """What the short-range model finds in the whole picture, largest first."""
        return blend(self._short.detect(image_bgr))

    def detect_far(self, image_bgr: U8Array) -> list[Detection]:
        """What the full-range model finds in the whole picture, largest first."""
        return blend(self._full.detect(image_bgr))

    def detect_in(self, image_bgr: U8Array, tiles: list[Tile]) -> list[Detection]:
        """The far faces that show in the given tiles, largest first."""
        found: list[Detection] = []
        for tile in tiles:
            found += self._short.detect(image_bgr, tile)
        return blend(found)

    def detect_whole(self, image_bgr: U8Array) -> list[Detection]:
        """What both models find in the whole picture, largest first."""
        return blend(self._short.detect(image_bgr) + self._full.detect(image_bgr))

    def close(self) -> None:
        """Free the networks."""
        self._short.close()
        self._full.close()


def _grid(cells: int, repeat: int) -> F32Array:
    """Anchor centres of a square grid, row by row, each ``repeat`` times, 0..1."""
    centres = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
    x, y = np.meshgrid(centres, centres)
    return np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeat, axis=0)


def tiles_of(height: int, width: int, *, levels: int) -> Iterator[Tile]:
    """Overlapping square tiles that cover a picture, at one half, a quarter, ... of it."""
    short = min(height, width)
    for level in range(1, levels + 1):
        side = short // 2**level
        if side < _SMALLEST_TILE_PX:
            return
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield Tile(left, top, side)


def _starts(length: int, side: int) -> list[int]:
    count = max(int(np.ceil((length - side) / (_TILE_STEP * side))), 0) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]


def blend(detections: list[Detection]) -> list[Detection]:
    """Overlapping detections blended by score into one each, largest first.

    Weighted non-maximum suppression of the BlazeFace paper, section 5: the box is the
    mean of the boxes that overlap the best one, not the best one itself.
    """
    if not detections:
        return []
    boxes = np.stack([detection.box for detection in detections])
    points = np.stack([detection.points for detection in detections])
    scores = np.array([detection.score for detection in detections], np.float32)
    rest = np.argsort(-scores, kind="stable")
    merged = []
    while len(rest):
        together = _overlaps(boxes[rest[0]], boxes[rest]) > _MERGE_OVERLAP
        together[0] = True
        group = rest[together]
        weights = scores[group] / scores[group].sum()
        merged.append(
            Detection(
                box=(boxes[group] * weights[:, None]).sum(axis=0),
                points=(points[group] * weights[:, None, None]).sum(axis=0),
                score=float(scores[rest[0]]),
            )
        )
        rest = rest[~together]
    return sorted(merged, key=lambda found: -float(found.box[2] * found.box[3]))


def _overlaps(box: F32Array, boxes: F32Array) -> npt.NDArray[np.float32]:
    """Intersection over union of one centre-size box with (N, 4) others."""
    low = np.maximum(box[:2] - box[2:] / 2, boxes[:, :2] - boxes[:, 2:] / 2)
    high = np.minimum(box[:2] + box[2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = box[2:].prod() + boxes[:, 2:].prod(axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)
