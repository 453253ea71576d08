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
    INPUT_CHANNELS,
    VIEW_SIZE,
    crop_from_frame,
    crop_landmarks,
    cut_crop,
    frame_from_crop,
    gain_reach,
    stack_view,
)
from mien.types import F32Array, FaceTrack, Patch, U8Array

# Share of the newest gain; the rest damps flicker from landmark noise.
_NEWEST_GAIN = 0.5
# The gain is softened by this much, standard deviation in cells: what changes from one cell to
# the next carries over worst to what the network was not trained on. On clip 1 of the truth
# benchmark (another renderer) the error is 0.80 of the unswapped one's unrefined, 0.77 with the
# gain as it is and 0.75 softened; the mean descriptor distance on six photographs is 0.387,
# 0.412 and 0.389. Softer still (1.2) shows less and gains nothing.
_SOFTENING, _SOFTENING_CELLS = 0.7, (3, 3)
_MOST_FACES = 16
# What is added to a frame goes as bytes, of which this is nought: bytes move and add ten
# times as fast as floats.
_NOUGHT = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformerView:
    """What the performer looked like before the swap.

    Attributes:
        transform: crop from frame.
        crop: (S, S, 3) uint8 BGR.
    """

    transform: F32Array
    crop: U8Array


class RefinerStage:
    """The refiner as a stage of a pipeline. Belongs to one thread.

    Args:
        model: what :func:`mien.networks.refiner_onnx.export_refiner` wrote, a file or its bytes.
        threads: of the network.
        strength: 0..1, how much of the mending is shown.

    Raises:
        ModelError: it is missing or not a refiner.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 1, strength: float = 1.0) -> None:
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"strength must lie in 0..1, got {strength}")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        called = "the refiner" if isinstance(model, bytes) else str(model)
        try:
            self._session = ort.InferenceSession(
                model if isinstance(model, bytes) else called,
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:
            raise ModelError(f"{called} cannot be run: {error}", "export it anew") from error
        node = self._session.get_inputs()[0]
        if node.shape != [1, INPUT_CHANNELS, VIEW_SIZE, VIEW_SIZE]:
            raise ModelError(f"{called} takes {node.shape}", "it is not a refiner of this version")
        self._name = node.name
        self._strength = np.float32(strength)
        self._inputs = np.empty((1, INPUT_CHANNELS, VIEW_SIZE, VIEW_SIZE), np.float32)
        self._gains: dict[int, F32Array] = {}

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> PerformerView:
        """Keeps what the performer looks like; call before the swapper paints."""
        transform = crop_from_frame(track.landmarks)
        return PerformerView(transform=transform, crop=cut_crop(frame_bgr, transform))

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
        top, bottom, left, right = _region(view.transform, frame_bgr.shape[:2])
        if top >= bottom or left >= right or not patch.matte.size:
            return
        change = self._change(frame_bgr, patch, track, view)
        back = frame_from_crop(view.transform)
        # From crop pixels to those of the region.
        back[:, 2] -= (left, top)
        moved = cv2.warpAffine(
            change, back, (right - left, bottom - top), flags=cv2.INTER_LINEAR,
            borderValue=(_NOUGHT, _NOUGHT, _NOUGHT),
        )  # fmt: skip
        area = frame_bgr[top:bottom, left:right]
        cv2.addWeighted(area, 1.0, moved, 1.0, -float(_NOUGHT), dst=area)

    def _change(
        self, frame_bgr: U8Array, patch: Patch, track: FaceTrack, view: PerformerView
    ) -> U8Array:
        """(S, S, 3) uint8: what to add to the crop of the frame, and 128."""
        transform = view.transform
        composite = cut_crop(frame_bgr, transform)
        matte = _cut_matte(patch, transform)
        stacked = stack_view(
            composite, view.crop, matte, crop_landmarks(track.landmarks, transform)
        )
        np.multiply(stacked.transpose(2, 0, 1), np.float32(1 / 255), out=self._inputs[0])
        (newest,) = self._session.run(None, {self._name: self._inputs})
        coarse = self._smoothed(track, newest[0].transpose(1, 2, 0))
        size = (CROP_SIZE, CROP_SIZE)
        log_gain = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)
        log_gain *= gain_reach(matte)[..., None] * np.float32(1 / 255)
        change: F32Array = composite * (np.exp(log_gain) - np.float32(1))
        change = change * self._strength + np.float32(_NOUGHT)
        return np.clip(np.rint(change), 0, 255).astype(np.uint8)

    def _smoothed(self, track: FaceTrack, newest: F32Array) -> F32Array:
        before = self._gains.pop(track.track_id, None)
        cells = np.ascontiguousarray(newest, np.float32)
        gain = np.asarray(cv2.GaussianBlur(cells, _SOFTENING_CELLS, _SOFTENING), np.float32)
        if before is not None and track.age > 0:
            gain = before + (gain - before) * np.float32(_NEWEST_GAIN)
        if len(self._gains) >= _MOST_FACES:
            self._gains.pop(next(iter(self._gains)))
        self._gains[track.track_id] = gain
        return gain


def _cut_matte(patch: Patch, transform: F32Array) -> U8Array:
    """(S, S) uint8: the crop of the patch's matte; nothing where there is no patch."""
    shifted = transform.copy()
    shifted[:, 2] += transform[:, :2] @ np.array([patch.left, patch.top], np.float32)
    # A ring of nothing, so that the crop's border repeats 0 and not the matte's edge; as wide
    # as what is averaged into one pixel of the crop.
    ring = int(2 / max(float(np.hypot(*transform[:, 0])), 0.01)) + 2
    ringed = cv2.copyMakeBorder(
        patch.matte, ring, ring, ring, ring, cv2.BORDER_CONSTANT, value=(0,)
    )
    shifted[:, 2] -= transform[:, :2].sum(axis=1) * np.float32(ring)
    return cut_crop(np.asarray(ringed, np.uint8), shifted)


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
