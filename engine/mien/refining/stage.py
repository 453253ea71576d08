"""Runs the refiner on a frame: look before the swap, mend after the compositor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from mien.errors import ModelError
from mien.refiner_view import (
    CROP_SIZE,
    crop_from_frame,
    crop_landmarks,
    cut_crop,
    draw_maps,
    frame_from_crop,
)
from mien.types import F32Array, FaceTrack, Patch, U8Array


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformerView:
    """The performer's own pixels, kept from before the swap.

    Attributes:
        transform: crop from frame.
        crop: (S, S, 3) uint8 BGR.
        region: (top, bottom, left, right) of the frame under the crop.
        pixels: the frame's own pixels there.
    """

    transform: F32Array
    crop: U8Array
    region: tuple[int, int, int, int]
    pixels: U8Array


class RefinerStage:
    """The refiner as a stage of a pipeline. Belongs to one thread.

    Args:
        model: ONNX file that :func:`mien.networks.refiner_onnx.export_refiner` wrote.
        threads: of the network.
        strength: 0..1, how much of the mending is shown.

    Raises:
        ModelError: the file is missing or not a refiner.
    """

    def __init__(self, model: Path, *, threads: int = 1, strength: float = 1.0) -> None:
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"strength must lie in 0..1, got {strength}")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(f"{model} cannot be run: {error}", "export it anew") from error
        node = self._session.get_inputs()[0]
        if node.shape != [1, 12, CROP_SIZE, CROP_SIZE]:
            raise ModelError(f"{model} takes {node.shape}", "it is not a refiner of this version")
        self._name = node.name
        self._strength = np.float32(strength)
        self._inputs = np.empty((1, 12, CROP_SIZE, CROP_SIZE), np.float32)

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> PerformerView:
        """Keeps what the performer looks like; call before the swapper paints."""
        transform = crop_from_frame(track.landmarks)
        region = _region(transform, frame_bgr.shape[:2])
        top, bottom, left, right = region
        return PerformerView(
            transform=transform,
            crop=cut_crop(frame_bgr, transform),
            region=region,
            pixels=frame_bgr[top:bottom, left:right].copy(),
        )

    def refine(
        self, frame_bgr: U8Array, patch: Patch, track: FaceTrack, view: PerformerView
    ) -> None:
        """Mends the face in the composited frame, in place.

        Args:
            frame_bgr: (H, W, 3) uint8, with the patch in it.
            patch: what the compositor blended, its matte as it blended it.
            track: the face.
            view: what :meth:`look` returned for this face.
        """
        top, bottom, left, right = view.region
        if top >= bottom or left >= right or not patch.matte.size:
            return
        outputs = self._run(frame_bgr, patch, track, view)
        back = frame_from_crop(view.transform)
        # From crop pixels to those of the region.
        back[:, 2] -= (left, top)
        size = (right - left, bottom - top)
        residual = outputs[:3].transpose(1, 2, 0) * (255 * self._strength)
        shown = (1 - outputs[3]) * self._strength
        area = frame_bgr[top:bottom, left:right]
        # Bytes are moved and added ten times as fast as floats; signs go separately.
        cv2.add(area, _moved(residual, back, size), dst=area)
        cv2.subtract(area, _moved(-residual, back, size), dst=area)
        if float(shown.max()) * 255 >= 1.0:
            share = _moved(shown * 255, back, size)[..., None].astype(np.float32) / 255
            mended = area + (view.pixels.astype(np.float32) - area) * share
            area[:] = cv2.convertScaleAbs(mended)

    def close(self) -> None:
        """Nothing to release; the session goes with the stage."""

    def _run(
        self, frame_bgr: U8Array, patch: Patch, track: FaceTrack, view: PerformerView
    ) -> F32Array:
        transform = view.transform
        shifted = transform.copy()
        shifted[:, 2] += transform[:, :2] @ np.array([patch.left, patch.top], np.float32)
        # A ring of nothing, so that the crop's border repeats 0 and not the matte's edge.
        matte = cv2.copyMakeBorder(patch.matte, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
        shifted[:, 2] -= transform[:, :2].sum(axis=1)
        planes = np.dstack(
            [
                cut_crop(frame_bgr, transform),
                view.crop,
                cut_crop(np.asarray(matte, np.uint8), shifted),
                draw_maps(crop_landmarks(track.landmarks, transform)),
            ]
        )
        np.multiply(planes.transpose(2, 0, 1), np.float32(1 / 255), out=self._inputs[0])
        outputs: F32Array = self._session.run(None, {self._name: self._inputs})[0][0]
        return outputs


def _moved(plane: F32Array, back: F32Array, size: tuple[int, int]) -> U8Array:
    """The positive part of a crop's plane, rounded, where it lies in the region."""
    rounded = cv2.convertScaleAbs(np.maximum(plane, 0.0))
    return np.asarray(cv2.warpAffine(rounded, back, size, flags=cv2.INTER_LINEAR), np.uint8)


def _region(transform: F32Array, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the part of the frame that the crop covers."""
    back = frame_from_crop(transform)
    last = CROP_SIZE - 1
    corners = np.array([[0, 0], [last, 0], [0, last], [last, last]], np.float32)
    where = corners @ back[:, :2].T + back[:, 2]
    left, top = np.floor(where.min(axis=0)).astype(int)
    right, bottom = np.ceil(where.max(axis=0)).astype(int) + 1
    return (
        max(int(top), 0), min(int(bottom), size[0]), max(int(left), 0), min(int(right), size[1]),
    )  # fmt: skip
