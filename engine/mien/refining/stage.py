"""Runs the refiner on a frame: look before the swap, mend after the compositor."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from mien import _kernels
from mien.errors import ModelError
from mien.refiner_view import (
    INPUT_CHANNELS,
    VIEW_SIZE,
    crop_landmarks,
    gain_reach,
    stack_view,
)
from mien.refining.rough_crop import ROUGH_SIZE, RoughCrop, plan_crop
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
# The smooth gain is sampled at so many nodes a cell, and lies straight between them: 0.1 code
# values off at most.
_NODES = 4
# The kernel's gain is a ratio of two lights, to both of which it adds a floor.
_EVEN_LIGHT, _FLOOR = 99.0, 1.0
_LEAST_GAIN, _MOST_GAIN = 0.2, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformerView:
    """What the performer looked like before the swap.

    Attributes:
        place: where the face is.
        crop: (96, 96, 3) uint8 BGR.
    """

    place: RoughCrop
    crop: U8Array


class RefinerStage:
    """The refiner as a stage of a pipeline. Belongs to one thread.

    Args:
        model: what :func:`mien.networks.refiner_onnx.export_refiner` wrote, a file or its bytes.
        threads: of the network and of what lights the pixels.
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
        self._threads = threads
        self._strength = np.float32(strength)
        self._inputs = np.empty((1, INPUT_CHANNELS, VIEW_SIZE, VIEW_SIZE), np.float32)
        self._gains: dict[int, F32Array] = {}
        # Grows to the largest patch and stays.
        self._lit = np.empty(0, np.uint8)

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> PerformerView:
        """Keeps what the performer looks like; call before the swapper paints."""
        height, width = frame_bgr.shape[:2]
        place = plan_crop(track.landmarks, (height, width))
        return PerformerView(place=place, crop=place.cut(frame_bgr))

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
        if not patch.matte.size or self._strength == 0:
            return
        gain = self._smoothed(track, self._log_gain(frame_bgr, patch, track, view))
        rows, columns = patch.matte.shape
        left, top = patch.left, patch.top
        lit = self._buffer(rows, columns)
        np.copyto(lit, frame_bgr[top : top + rows, left : left + columns])
        light = self._light(gain, patch, view.place.transform)
        even = np.full_like(light, _EVEN_LIGHT)
        _kernels.light_transfer(lit, even, light, _LEAST_GAIN, _MOST_GAIN, self._threads)
        _kernels.blend(frame_bgr, left, top, lit, gain_reach(patch.matte), self._threads)

    def _log_gain(
        self, frame_bgr: U8Array, patch: Patch, track: FaceTrack, view: PerformerView
    ) -> F32Array:
        """(12, 12, 3) float32: what the network says of this frame."""
        place = view.place
        stacked = stack_view(
            place.cut(frame_bgr),
            view.crop,
            place.cut_matte(patch),
            crop_landmarks(track.landmarks, place.transform),
        )
        np.multiply(stacked.transpose(2, 0, 1), np.float32(1 / 255), out=self._inputs[0])
        (newest,) = self._session.run(None, {self._name: self._inputs})
        cells: F32Array = np.ascontiguousarray(newest[0].transpose(1, 2, 0), np.float32)
        return cells

    def _smoothed(self, track: FaceTrack, newest: F32Array) -> F32Array:
        before = self._gains.pop(track.track_id, None)
        gain = np.asarray(cv2.GaussianBlur(newest, _SOFTENING_CELLS, _SOFTENING), np.float32)
        if before is not None and track.age > 0:
            gain = before + (gain - before) * np.float32(_NEWEST_GAIN)
        if len(self._gains) >= _MOST_FACES:
            self._gains.pop(next(iter(self._gains)))
        self._gains[track.track_id] = gain
        return gain

    def _light(self, gain: F32Array, patch: Patch, transform: F32Array) -> F32Array:
        """(h, w, 3) float32: what an even light becomes by the gain, at the kernel's nodes.

        Nodes are the centres of equal cells that tile the patch.
        """
        side = len(gain) * _NODES
        smooth = cv2.resize(gain, (side, side), interpolation=cv2.INTER_CUBIC)
        share = self._strength * np.float32(_EVEN_LIGHT + _FLOOR)
        light = np.exp(smooth, out=smooth)
        light *= share
        light += np.float32(_EVEN_LIGHT) - share
        # A node every so many pixels of the frame: about as many as there are in `light`.
        scale = max(hypot(float(transform[0, 0]), float(transform[1, 0])), 1e-6)
        step = ROUGH_SIZE / (side * scale)
        height, width = patch.matte.shape
        columns, rows = max(ceil(width / step), 2), max(ceil(height / step), 2)
        # From nodes to the frame, on to the crop, on to `light`; centres at whole numbers.
        cell = np.array([width / columns, height / rows])
        first = transform[:, :2] @ (cell / 2 - 0.5 + (patch.left, patch.top)) + transform[:, 2]
        ratio = side / ROUGH_SIZE
        place = np.empty((2, 3))
        place[:, :2] = transform[:, :2] * (cell * ratio)
        place[:, 2] = (first + 0.5) * ratio - 0.5
        nodes = cv2.warpAffine(
            light, place, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(nodes, np.float32)

    def _buffer(self, rows: int, columns: int) -> U8Array:
        """(rows, columns, 3) uint8, undefined."""
        size = 3 * rows * columns
        if self._lit.size < size:
            self._lit = np.empty(size + size // 4, np.uint8)
        return self._lit[:size].reshape(rows, columns, 3)
