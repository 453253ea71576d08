"""Who a face is: dlib's 128-number identity descriptor.

King 2017, *High Quality Face Recognition with Deep Metric Learning* (dlib). Two
descriptors of one person lie within a Euclidean distance of 0.6.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mien.face_mesh import DESCRIPTOR_POINTS
from mien.perception._engines import OpenNetwork
from mien.perception._session import Crop, Network
from mien.types import F32Array, U8Array

SAME_PERSON = 0.6
"""Largest distance between descriptors of one person (published with the network)."""

SAME_PERSON_SAME_DAY = 0.5
"""The same for views from one session: genuine ones stay below 0.44 at up to 40 degrees
of turn (measured), so that a stricter bound costs nothing and shuts more strangers out."""

_CHIP_SIDE = 150
_PADDING = 0.25
# Where the five points lie in an unpadded unit chip (published with dlib's 5-point model).
_UNIT_CHIP = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
_CHIP_POINTS = (_UNIT_CHIP + _PADDING) / (1.0 + 2.0 * _PADDING) * _CHIP_SIDE


class FaceDescriptor:
    """Computes identity descriptors.

    One thread at a time may use it; its chip buffer and network are freed by
    :meth:`close`.
    """

    def __init__(self, threads: int = 1, open_network: OpenNetwork = Network) -> None:
        self._network = open_network("dlib_face128", threads)
        self._chip = Crop(self._network.input, 1.0)

    def describe(self, image_bgr: U8Array, landmarks: F32Array) -> F32Array:
        """The descriptor of the face at ``landmarks``.

        Args:
            image_bgr: (H, W, 3) uint8.
            landmarks: (478, 3) or (468, 3) float32, pixels of the image.

        Returns:
            (128,) float32; compare with :func:`distance`.
        """
        chip_from_image = _similarity(landmarks[list(DESCRIPTOR_POINTS), :2])
        image, chip_from_image = _reduced(image_bgr, chip_from_image)
        cv2.warpAffine(
            image,
            chip_from_image,
            (_CHIP_SIDE, _CHIP_SIDE),
            dst=self._chip.bgr,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )
        self._chip.load()
        (embedding,) = self._network.run()
        return np.array(embedding[0], np.float32)

    def close(self) -> None:
        """Free the network."""
        self._network.close()


def chip_from_points(landmarks: F32Array) -> npt.NDArray[np.float64]:
    """(2, 3): from pixels of a picture to those of the chip that the network looks at.

    Args:
        landmarks: (478, 2 or 3) or (468, 2 or 3) float32, pixels of the picture.
    """
    return _similarity(landmarks[list(DESCRIPTOR_POINTS), :2])


def distance(a: F32Array, b: F32Array) -> float:
    """Euclidean distance of two descriptors: one person below 0.6, two people above."""
    return float(np.linalg.norm(a - b))


def _similarity(points: F32Array) -> npt.NDArray[np.float64]:
    """(2, 3) least-squares similarity from image points (5, 2) to the chip."""
    source = points[:, 0] + 1j * points[:, 1].astype(np.float64)
    target = _CHIP_POINTS[:, 0] + 1j * _CHIP_POINTS[:, 1]
    source_mean, target_mean = source.mean(), target.mean()
    spread = float((np.abs(source - source_mean) ** 2).sum())
    turn = ((target - target_mean) * np.conj(source - source_mean)).sum() / max(spread, 1e-12)
    shift = target_mean - turn * source_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _reduced(
    image_bgr: U8Array, chip_from_image: npt.NDArray[np.float64]
) -> tuple[U8Array, npt.NDArray[np.float64]]:
    """The part of the image under the chip, averaged down when the chip is much smaller.

    Bilinear sampling of a large face would alias; dlib itself walks down a pyramid.
    """
    shrink = int(1.0 / max(float(np.hypot(*chip_from_image[0, :2])), 1e-6))
    if shrink < 2:
        return image_bgr, chip_from_image
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64) * _CHIP_SIDE
    inverse = cv2.invertAffineTransform(chip_from_image)
    reach = corners @ inverse[:, :2].T + inverse[:, 2]
    height, width = image_bgr.shape[:2]
    left, top = np.clip(np.floor(reach.min(axis=0)).astype(int), 0, [width, height])
    right, bottom = np.clip(np.ceil(reach.max(axis=0)).astype(int), 0, [width, height])
    size = ((right - left) // shrink, (bottom - top) // shrink)
    if min(size) < 1:
        return image_bgr, chip_from_image
    part = image_bgr[top : top + size[1] * shrink, left : left + size[0] * shrink]
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    # Pixel x of the reduced part covers pixels left + x * shrink + 0 .. shrink - 1.
    offset = np.array([left, top]) + (shrink - 1) / 2.0
    matrix = chip_from_image.copy()
    matrix[:, 2] += chip_from_image[:, :2] @ offset
    matrix[:, :2] *= shrink
    return np.asarray(small, np.uint8), matrix
