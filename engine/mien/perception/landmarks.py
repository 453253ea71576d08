"""478 landmarks of one face: crop, network, and back to frame pixels.

The network is MediaPipe's face landmark model with attention (Grishchenko et al. 2020,
*Attention Mesh: High-fidelity Face Mesh Prediction in Real-time*).
"""

from __future__ import annotations

from math import cos, exp, floor, sin

import cv2
import numpy as np
import numpy.typing as npt

from mien.perception._engines import OpenNetwork
from mien.perception._session import Crop, Network
from mien.perception.roi import Roi, roi_from_landmarks
from mien.types import F32Array, U8Array

FACE_BELIEF = 0.5
"""Below this belief there is no face (published)."""

_SIDE = 192


class Landmarker:
    """Finds the landmarks inside a region of a frame.

    One thread at a time may use it; its crop buffer and network are freed by
    :meth:`close`.
    """

    def __init__(self, threads: int = 1, open_network: OpenNetwork = Network) -> None:
        self._network = open_network("face_landmark_with_attention", threads)
        self._crop = Crop(self._network.input, 1.0 / 255.0)
        self._reduced: U8Array = np.zeros(0, np.uint8)

    def locate(self, image_bgr: U8Array, roi: Roi) -> tuple[F32Array, float]:
        """The landmarks in the region and how much they look like a face.

        Args:
            image_bgr: (H, W, 3) uint8.
            roi: where to look; it may reach beyond the image.

        Returns:
            (478, 3) float32 in frame pixels, z scaled like x and y; and 0..1.
        """
        frame_from_crop = roi.frame_from_crop(_SIDE)
        source, crop_from = self._averaged(image_bgr, roi, frame_from_crop)
        cv2.warpAffine(
            source,
            crop_from,
            (_SIDE, _SIDE),
            dst=self._crop.bgr,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        self._crop.load()
        points, flag = self._network.run()
        matrix = frame_from_crop.astype(np.float32)
        landmarks = np.empty((points.shape[1], 3), np.float32)
        np.matmul(points[0, :, :2], matrix[:, :2].T, out=landmarks[:, :2])
        landmarks[:, :2] += matrix[:, 2]
        np.multiply(points[0, :, 2], np.float32(roi.side / _SIDE), out=landmarks[:, 2])
        return landmarks, _sigmoid(float(flag[0, 0]))

    def locate_refined(self, image_bgr: U8Array, roi: Roi, rounds: int) -> tuple[F32Array, float]:
        """As :meth:`locate`, again in the region that the landmarks give, while it is a face."""
        landmarks, quality = self.locate(image_bgr, roi)
        for _ in range(rounds - 1):
            if quality < FACE_BELIEF:
                break
            landmarks, quality = self.locate(image_bgr, roi_from_landmarks(landmarks))
        return landmarks, quality

    def _averaged(
        self, image_bgr: U8Array, roi: Roi, frame_from_crop: npt.NDArray[np.float64]
    ) -> tuple[U8Array, npt.NDArray[np.float64]]:
        """The part of the frame under the region, averaged down, and the map to it.

        Bilinear sampling of a large face skips pixels: their noise and aliasing reach
        the landmarks. Averaging first takes a third of a near face's jitter away
        (docs/perception.md).
        """
        shrink = int(roi.side / _SIDE)
        if shrink < 2:
            return image_bgr, frame_from_crop
        reach = roi.side * (abs(cos(roi.angle_rad)) + abs(sin(roi.angle_rad))) / 2 + shrink
        height, width = image_bgr.shape[:2]
        # On a fixed grid: blocks that moved with the region would flicker.
        left = max(floor((roi.x - reach) / shrink), 0) * shrink
        top = max(floor((roi.y - reach) / shrink), 0) * shrink
        columns = (min(floor(roi.x + reach), width) - left) // shrink
        rows = (min(floor(roi.y + reach), height) - top) // shrink
        if columns < 1 or rows < 1:
            return image_bgr, frame_from_crop
        part = image_bgr[top : top + rows * shrink, left : left + columns * shrink]
        reduced = self._reduced_view(rows, columns)
        cv2.resize(part, (columns, rows), dst=reduced, interpolation=cv2.INTER_AREA)
        # Pixel x of the reduced part averages pixels left + x * shrink + 0 .. shrink - 1.
        matrix = frame_from_crop.copy()
        matrix[:, 2] -= np.array([left, top]) + (shrink - 1) / 2.0
        return reduced, matrix / shrink

    def _reduced_view(self, rows: int, columns: int) -> U8Array:
        """(rows, columns, 3) in a buffer that grows and is kept."""
        if self._reduced.size < rows * columns * 3:
            self._reduced = np.zeros(rows * columns * 3, np.uint8)
        return self._reduced[: rows * columns * 3].reshape(rows, columns, 3)

    def close(self) -> None:
        """Free the network."""
        self._network.close()


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + exp(-min(max(logit, -80.0), 80.0)))
