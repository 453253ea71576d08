"""478 landmarks of one face: crop, network, and back to frame pixels.

The network is MediaPipe's face landmark model with attention (Grishchenko et al. 2020,
*Attention Mesh: High-fidelity Face Mesh Prediction in Real-time*).
"""

from __future__ import annotations

import logging
from math import ceil, cos, exp, floor, sin

import cv2
import numpy as np

from mien.perception._engines import OpenNetwork
from mien.perception._on_gpu import CropOnGpu, CropPlan, open_crop
from mien.perception._session import Crop, Network
from mien.perception.roi import Roi, roi_from_landmarks
from mien.types import F32Array, U8Array

FACE_BELIEF = 0.5
"""Below this belief there is no face (published)."""

_SIDE = 192

# A crop that is another by a rounding moves no landmark by more; crop pixels.
_CROP_TOLERANCE_PX = 0.1
_PROBE = 640

logger = logging.getLogger(__name__)


class Landmarker:
    """Finds the landmarks inside a region of a frame.

    One thread at a time may use it; its crop buffer and network are freed by
    :meth:`close`.
    """

    def __init__(self, threads: int = 1, open_network: OpenNetwork = Network) -> None:
        self._network = open_network("face_landmark_with_attention", threads)
        self._crop = Crop(self._network.input, 1.0 / 255.0)
        self._reduced: U8Array = np.zeros(0, np.uint8)
        self.on_gpu: CropOnGpu | None = open_crop(open_network, self._network, 1.0 / 255.0)
        if self.on_gpu is not None and not self._agrees(self.on_gpu):
            logger.warning("the GPU cuts other crops than the CPU, which cuts them now")
            self.on_gpu.close()
            self.on_gpu = None

    def locate(self, image_bgr: U8Array, roi: Roi) -> tuple[F32Array, float]:
        """The landmarks in the region and how much they look like a face.

        Args:
            image_bgr: (H, W, 3) uint8.
            roi: where to look; it may reach beyond the image.

        Returns:
            (478, 3) float32 in frame pixels, z scaled like x and y; and 0..1.
        """
        plan = plan_crop((image_bgr.shape[0], image_bgr.shape[1]), roi)
        outputs = None if self.on_gpu is None else self.on_gpu.run(image_bgr, plan)
        points, flag = outputs or self._on_cpu(image_bgr, plan)
        matrix = roi.frame_from_crop(_SIDE).astype(np.float32)
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

    def _on_cpu(self, image_bgr: U8Array, plan: CropPlan) -> tuple[F32Array, ...]:
        """The network's outputs for a crop that is cut here."""
        left, top, right, bottom = plan.window
        source = image_bgr[top:bottom, left:right]
        if plan.shrink > 1:
            rows, columns = (bottom - top) // plan.shrink, (right - left) // plan.shrink
            reduced = self._reduced_view(rows, columns)
            cv2.resize(source, (columns, rows), dst=reduced, interpolation=cv2.INTER_AREA)
            source = reduced
        cv2.warpAffine(
            source,
            plan.block_from_crop,
            (_SIDE, _SIDE),
            dst=self._crop.bgr,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        self._crop.load()
        return self._network.run()

    def _agrees(self, on_gpu: CropOnGpu) -> bool:
        """Whether the network says the same of a crop that the GPU has cut."""
        y, x = np.mgrid[:_PROBE, :_PROBE]
        waves = [np.sin((x * a + y * b) / 90.0) for a, b in ((2, 1), (1, 3), (3, 2))]
        picture = (np.stack(waves, axis=-1) * 90 + 128).astype(np.uint8)
        for side in (0.4 * _PROBE, 0.8 * _PROBE):
            roi = Roi(x=0.5 * _PROBE, y=0.45 * _PROBE, side=side, angle_rad=0.3)
            plan = plan_crop((_PROBE, _PROBE), roi)
            outputs = on_gpu.run(picture, plan)
            if outputs is None:
                return False
            points = outputs[0].copy()
            away = np.abs(points - self._on_cpu(picture, plan)[0]).max()
            if not away <= _CROP_TOLERANCE_PX:
                return False
        on_gpu.shared.forget()
        return True

    def _reduced_view(self, rows: int, columns: int) -> U8Array:
        """(rows, columns, 3) in a buffer that grows and is kept."""
        if self._reduced.size < rows * columns * 3:
            self._reduced = np.zeros(rows * columns * 3, np.uint8)
        return self._reduced[: rows * columns * 3].reshape(rows, columns, 3)

    def close(self) -> None:
        """Free the network."""
        if self.on_gpu is not None:
            self.on_gpu.close()
        self._network.close()


def plan_crop(size: tuple[int, int], roi: Roi) -> CropPlan:
    """How the region's crop is cut from a frame.

    Bilinear sampling of a large face skips pixels: their noise and aliasing reach the
    landmarks. Averaging blocks first takes a third of a near face's jitter away
    (docs/perception.md).

    Args:
        size: (height, width) of the frame.
        roi: where to look; it may reach beyond the frame.
    """
    height, width = size
    matrix = roi.frame_from_crop(_SIDE)
    around = roi.side * (abs(cos(roi.angle_rad)) + abs(sin(roi.angle_rad))) / 2
    shrink = int(roi.side / _SIDE)
    if shrink >= 2:
        reach = around + shrink
        # On a fixed grid: blocks that moved with the region would flicker.
        left = max(floor((roi.x - reach) / shrink), 0) * shrink
        top = max(floor((roi.y - reach) / shrink), 0) * shrink
        columns = (min(floor(roi.x + reach), width) - left) // shrink
        rows = (min(floor(roi.y + reach), height) - top) // shrink
        if columns >= 1 and rows >= 1:
            # Pixel x of the reduced part averages pixels left + x * shrink + 0 .. shrink - 1.
            matrix[:, 2] -= np.array([left, top]) + (shrink - 1) / 2.0
            window = left, top, left + columns * shrink, top + rows * shrink
            return CropPlan(window, shrink, matrix / shrink)
    # Sampled a pixel beside the region's edge at most; one outside the frame keeps a border.
    reach = around + 2.0
    left, top = (
        min(max(floor(at - reach), 0), end - 1) for at, end in ((roi.x, width), (roi.y, height))
    )
    right = max(min(ceil(roi.x + reach) + 1, width), left + 1)
    bottom = max(min(ceil(roi.y + reach) + 1, height), top + 1)
    matrix[:, 2] -= np.array([left, top])
    return CropPlan((left, top, right, bottom), 1, matrix)


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + exp(-min(max(logit, -80.0), 80.0)))
