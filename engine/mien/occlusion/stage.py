"""Finds what covers a face before the swap and puts it back in front of the persona after.

Looking comes first because the compositor paints into the frame. Putting the frame's own
pixels back serves every swapper, and whatever mends its picture, alike.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from mien import _kernels
from mien.config import GuardMode, OcclusionConfig, PipelineConfig
from mien.errors import ModelError
from mien.models.catalogue import model_bytes
from mien.occlusion.masks import bound, decided, steadied
from mien.occlusion.memory import BareMemory
from mien.occlusion_view import CROP_SIZE, INPUT_CHANNELS, stack_inputs
from mien.refiner_view import crop_from_frame, crop_landmarks, cut_crop, frame_from_crop
from mien.types import F32Array, FaceTrack, Patch, U8Array

MOST_CUT: dict[GuardMode, float] = {"hold": 0.45, "off": 0.45, "blur": 0.30, "slate": 0.30}
"""Share of the persona that may be cut, by the guard's mode: stricter guards cover more."""

STRICT: tuple[GuardMode, ...] = ("blur", "slate")
"""Guards that would rather cover too much."""

# A face that was not seen for so many looks is a new one.
_FORGOTTEN_AFTER = 5
# Of the time a look takes, how much the latest counts.
_NEWS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredView:
    """What is before a face, kept from before the swap.

    Attributes:
        left, top: frame position of the first pixel.
        pixels: (h, w, 3) uint8 BGR, the frame's own.
        cut: (h, w) uint8, how much of the persona gives way.
    """

    left: int
    top: int
    pixels: U8Array
    cut: U8Array


@dataclass(slots=True)
class _Memory:
    """What was found on a face before.

    Attributes:
        bare: what the face looked like when nothing covered it.
        steady: (S, S) float32, averaged over time; None before the first guess.
        looked: number of the look.
        ran: whether the net ran at that look.
    """

    bare: BareMemory
    steady: F32Array | None
    looked: int
    ran: bool


class OcclusionStage:
    """The occlusion net as a stage of a pipeline. Belongs to one thread.

    Args:
        model: ONNX file that :func:`mien.networks.occlusion_onnx.export_occlusion` wrote, or
            its bytes.
        config: how often it looks.
        guard: the guard's mode; decides how much may be cut at most.
        threads: of the network.

    Raises:
        ModelError: the file is missing or not an occlusion net.
    """

    def __init__(
        self,
        model: Path | bytes,
        config: OcclusionConfig | None = None,
        *,
        guard: GuardMode = "hold",
        threads: int = 1,
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        what = "the occlusion net" if isinstance(model, bytes) else str(model)
        try:
            self._session = ort.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:
            raise ModelError(f"{what} cannot be run: {error}", "reinstall mien") from error
        node = self._session.get_inputs()[0]
        if node.shape != [1, INPUT_CHANNELS, CROP_SIZE, CROP_SIZE]:
            raise ModelError(
                f"{what} takes {node.shape}", "it is not an occlusion net of this version"
            )
        self._name = node.name
        self._config = config or OcclusionConfig()
        self._most = MOST_CUT[guard]
        self._inputs = np.empty((1, INPUT_CHANNELS, CROP_SIZE, CROP_SIZE), np.float32)
        self._memories: dict[int, _Memory] = {}
        self._looks = 0
        self._cost_ms = 0.0

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> CoveredView | None:
        """Finds what covers the face; call before the swapper's patch is painted.

        Args:
            frame_bgr: (H, W, 3) uint8 as it came.
            track: the face.

        Returns:
            What :meth:`restore` needs, or None when nothing covers the face.
        """
        self._looks += 1
        transform = crop_from_frame(track.landmarks, CROP_SIZE)
        steady = self._remembered(frame_bgr, track, transform)
        cut = decided(steady)
        if not cut.any():
            return None
        return _seen(frame_bgr, transform, cut)

    def restore(self, frame_bgr: U8Array, patch: Patch, view: CoveredView | None) -> None:
        """Puts what covers the face back in front of the persona, in place.

        Args:
            frame_bgr: (H, W, 3) uint8 with the patch in it.
            patch: what was painted.
            view: what :meth:`look` returned for this face.
        """
        if view is None or not patch.matte.size:
            return
        strength = bound(_share_cut(patch, view), self._most)
        if strength <= 0.0:
            return
        cut = view.cut if strength >= 1.0 else cv2.convertScaleAbs(view.cut, alpha=strength)
        _kernels.blend(frame_bgr, view.left, view.top, view.pixels, np.ascontiguousarray(cut), 1)

    def reset(self) -> None:
        """Forgets every face."""
        self._memories.clear()

    def close(self) -> None:
        """Nothing to release; the session goes with the stage."""

    def _remembered(self, frame_bgr: U8Array, track: FaceTrack, transform: F32Array) -> F32Array:
        """The guess for this picture, averaged with those before it."""
        memory = self._memories.get(track.track_id)
        if memory is None or self._looks - memory.looked > _FORGOTTEN_AFTER:
            memory = self._memories[track.track_id] = _Memory(BareMemory(), None, 0, False)
        memory.looked = self._looks
        if memory.steady is not None and memory.ran and self._too_dear():
            # The crop follows the face, so that the last mask still lies on it.
            memory.ran = False
            return memory.steady
        start = time.perf_counter()
        guess = self._run(frame_bgr, track, transform, memory.bare)
        spent_ms = (time.perf_counter() - start) * 1000
        self._cost_ms += (spent_ms - self._cost_ms) * (_NEWS if self._cost_ms else 1.0)
        steady = steadied(guess, memory.steady)
        if not np.isfinite(steady).all():
            raise ModelError("the occlusion net gave no numbers", "reinstall mien")
        memory.steady, memory.ran = steady, True
        if len(self._memories) > 64:
            self._memories = {
                key: kept
                for key, kept in self._memories.items()
                if self._looks - kept.looked <= _FORGOTTEN_AFTER
            }
        return steady

    def _too_dear(self) -> bool:
        return 0.0 < self._config.budget_ms < self._cost_ms

    def _run(
        self, frame_bgr: U8Array, track: FaceTrack, transform: F32Array, bare: BareMemory
    ) -> F32Array:
        landmarks = crop_landmarks(track.landmarks, transform)
        crop = cut_crop(frame_bgr, transform, CROP_SIZE)
        planes = stack_inputs(crop, landmarks, bare.recall(self._looks))
        np.multiply(planes.transpose(2, 0, 1), np.float32(1 / 255), out=self._inputs[0])
        found: F32Array = self._session.run(None, {self._name: self._inputs})[0][0, 0]
        bare.note(crop, landmarks, found, self._looks)
        return found


def open_occlusion(config: PipelineConfig) -> OcclusionStage | None:
    """The occlusion net that ships with mien; None where it is not wanted.

    Args:
        config: of the pipeline.

    Raises:
        ModelError: the model file is missing or corrupt.
    """
    strict = config.guard.mode in STRICT
    if config.occlusion.mode == "off" or (config.occlusion.mode == "auto" and strict):
        return None
    return OcclusionStage(
        model_bytes("occlusion"),
        config.occlusion,
        guard=config.guard.mode,
        threads=config.tracker.threads,
    )


def _seen(frame_bgr: U8Array, transform: F32Array, cut: U8Array) -> CoveredView | None:
    """The part of the frame that is cut, and how much."""
    rows, columns = np.nonzero(cut.any(axis=1))[0], np.nonzero(cut.any(axis=0))[0]
    low = np.array([columns[0] - 1, rows[0] - 1], np.float32)
    high = np.array([columns[-1] + 1, rows[-1] + 1], np.float32)
    corners = np.array([low, high, [low[0], high[1]], [high[0], low[1]]], np.float32)
    back = frame_from_crop(transform)
    where = corners @ back[:, :2].T + back[:, 2]
    height, width = frame_bgr.shape[:2]
    left, top = np.maximum(np.floor(where.min(axis=0)).astype(int), 0)
    right, bottom = np.ceil(where.max(axis=0)).astype(int) + 1
    right, bottom = min(int(right), width), min(int(bottom), height)
    if left >= right or top >= bottom:
        return None
    back[:, 2] -= (left, top)
    size = (right - int(left), bottom - int(top))
    moved = np.asarray(cv2.warpAffine(cut, back, size, flags=cv2.INTER_LINEAR), np.uint8)
    pixels = frame_bgr[top:bottom, left:right].copy()
    return CoveredView(left=int(left), top=int(top), pixels=pixels, cut=moved)


def _share_cut(patch: Patch, view: CoveredView) -> float:
    """0..1: how much of the persona's pixels gives way."""
    rows, columns = patch.matte.shape
    top, left = max(patch.top, view.top), max(patch.left, view.left)
    bottom = min(patch.top + rows, view.top + view.cut.shape[0])
    right = min(patch.left + columns, view.left + view.cut.shape[1])
    if top >= bottom or left >= right:
        return 0.0
    shown = patch.matte[
        top - patch.top : bottom - patch.top, left - patch.left : right - patch.left
    ]
    cut = view.cut[top - view.top : bottom - view.top, left - view.left : right - view.left]
    total = float(cv2.sumElems(patch.matte)[0])
    both = cv2.multiply(shown, cut, scale=1 / 255)
    return float(cv2.sumElems(both)[0]) / max(total, 1.0)
