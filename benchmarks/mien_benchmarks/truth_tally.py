"""Sums over the frames of one clip, and the figures that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from mien.types import F32Array, FaceTrack, U8Array
from mien_benchmarks.truth_motion import (
    SIGNALS,
    Motion,
    agreement,
    mean_difference,
    motion_of_faces,
    motion_of_parameters,
)
from mien_benchmarks.truth_set import Parameters

# A mask's pixel counts as covered from here on.
_HALF = 127


@dataclass(slots=True)
class Overlap:
    """Intersection over union of masks, over all frames."""

    shared: int = 0
    joined: int = 0

    def add(self, mask: U8Array, true_mask: U8Array) -> None:
        """One more frame."""
        one, other = mask > _HALF, true_mask > _HALF
        self.shared += int((one & other).sum())
        self.joined += int((one | other).sum())


@dataclass(slots=True)
class Tally:
    """What is summed up of one contestant on one clip.

    Attributes:
        frames: how many were compared with the truth.
        error, less_tone: sums of the frames' mean absolute differences from the truth, code
            values; the second after one colour was added so that the means agree.
        square: sum of the frames' mean square differences.
        unsteady: how the difference from the truth changes from frame to frame, mean absolute,
            one a frame.
        trembling: mean absolute second difference of the picture in time, one a frame.
        detail: sum of the frames' mean absolute Laplacians: how much fine structure there is.
        descriptors, faces: of the frames that were described, and of all.
        matte, occlusion: overlaps with the true masks.
        ms: times of the frames.
        missed: frames in which nothing was swapped.
    """

    frames: int = 0
    error: float = 0.0
    less_tone: float = 0.0
    square: float = 0.0
    detail: float = 0.0
    unsteady: list[float] = field(default_factory=list)
    trembling: list[float] = field(default_factory=list)
    descriptors: list[F32Array] = field(default_factory=list)
    faces: list[FaceTrack | None] = field(default_factory=list)
    matte: Overlap = field(default_factory=Overlap)
    occlusion: Overlap = field(default_factory=Overlap)
    ms: list[float] = field(default_factory=list)
    missed: int = 0
    _before: list[U8Array] = field(default_factory=list)
    _truth_before: U8Array | None = None

    def add_picture(self, picture: U8Array, truth: U8Array | None, region: U8Array) -> None:
        """Compares a frame with the truth inside a region.

        Args:
            picture: (H, W, 3) uint8; kept for the next two frames.
            truth: the same frame of the true swap, if there is one.
            region: (H, W) uint8, 255 inside.
        """
        rows, columns = np.nonzero(region.any(axis=1))[0], np.nonzero(region.any(axis=0))[0]
        if not rows.size:
            return
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        inside = region[window] > 0

        def pixels(image: U8Array) -> F32Array:
            return np.asarray(image[window][inside], np.float32)

        now = pixels(picture)
        if len(self._before) == 2:
            one, two = pixels(self._before[0]), pixels(self._before[1])
            self.trembling.append(float(np.abs(now - 2 * two + one).mean()))
        if truth is not None:
            difference = now - pixels(truth)
            self.error += float(np.abs(difference).mean())
            self.less_tone += float(np.abs(difference - difference.mean(axis=0)).mean())
            self.square += float(np.square(difference).mean())
            grey = cv2.cvtColor(np.ascontiguousarray(picture[window]), cv2.COLOR_BGR2GRAY)
            self.detail += float(np.abs(cv2.Laplacian(grey, cv2.CV_32F))[inside].mean())
            if self._truth_before is not None:
                earlier = pixels(self._before[-1]) - pixels(self._truth_before)
                self.unsteady.append(float(np.abs(difference - earlier).mean()))
            self.frames += 1
        self._before = [*self._before, picture][-2:]
        self._truth_before = truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One contestant on one clip, beside what it is measured by.

    Attributes:
        own, unswapped: tallies.
        truth: the true swap's; None where nobody has it.
        parameters: the maker's, if known.
        persona: name of who is worn.
        gallery: (128,) descriptors of everybody it could be, by name.
    """

    own: Tally
    unswapped: Tally
    truth: Tally | None
    parameters: Parameters | None
    persona: str
    gallery: Mapping[str, F32Array]


def score_clips(clips: Sequence[Measured]) -> dict[str, Any]:
    """The figures of a contestant over some clips, each of which counts the same.

    Returns:
        What docs/benchmarks.md explains, JSON-ready; None for what cannot be told.
    """
    compared = [clip for clip in clips if clip.own.frames]
    own, unswapped = [c.own for c in compared], [c.unswapped for c in compared]
    distances, right = _identity(clips)
    ms = [value for clip in clips for value in clip.own.ms]
    motions = [_Motions.of(clip) for clip in clips]
    tracked = [(m.own, m.truth) for m in motions if m.truth is not None]
    told = [(m.own, m.parameters) for m in motions if m.parameters is not None]
    found = [face is not None for clip in clips for face in clip.own.faces]
    square = _mean([tally.square / tally.frames for tally in own])
    return {
        "clips": len(clips),
        "frames": len(found),
        "error": _mean([tally.error / tally.frames for tally in own]),
        "relative_error": _ratio(_per_frame(own, "error"), _per_frame(unswapped, "error")),
        "relative_less_tone": _ratio(
            _per_frame(own, "less_tone"), _per_frame(unswapped, "less_tone")
        ),
        "psnr_db": None if not square else float(10 * np.log10(255.0**2 / square)),
        "descriptor": float(np.median(distances)) if distances else None,
        "nearest": _mean([float(hit) for hit in right]),
        "flicker": _ratio(
            [_mean(c.own.trembling) or 0.0 for c in clips if c.truth is not None],
            [_mean(c.truth.trembling) or 0.0 for c in clips if c.truth is not None],
        ),
        "detail": _ratio(
            _per_frame(own, "detail"),
            _per_frame([c.truth for c in compared if c.truth is not None], "detail"),
        ),
        "unsteady": _mean([value for tally in own for value in tally.unsteady]),
        "matte_iou": _overlap([clip.own.matte for clip in clips]),
        "occlusion_iou": _overlap([clip.own.occlusion for clip in clips]),
        "agreement": {
            signal: {"parameters": _agreed(told, signal), "tracked": _agreed(tracked, signal)}
            for signal in SIGNALS
        },
        "expression": _agreed(tracked, "expression"),
        "pose_error_deg": mean_difference([(a.pose, b.pose) for a, b in tracked]),
        "face_found": _mean([float(hit) for hit in found]),
        "missed": sum(clip.own.missed for clip in clips),
        "ms": {f"p{p}": float(np.percentile(ms, p)) for p in (25, 50, 75)} if ms else None,
    }


@dataclass(frozen=True, slots=True)
class _Motions:
    own: Motion
    truth: Motion | None
    parameters: Motion | None

    @classmethod
    def of(cls, clip: Measured) -> _Motions:
        return cls(
            own=motion_of_faces(clip.own.faces),
            truth=motion_of_faces(clip.truth.faces) if clip.truth is not None else None,
            parameters=motion_of_parameters(clip.parameters, len(clip.own.faces))
            if clip.parameters is not None
            else None,
        )


def _agreed(pairs: Sequence[tuple[Motion, Motion]], signal: str) -> float | None:
    return agreement([(getattr(one, signal), getattr(other, signal)) for one, other in pairs])


def _identity(clips: Sequence[Measured]) -> tuple[list[float], list[bool]]:
    """Distances to the persona's portraits, and whether nobody else's are nearer."""
    distances, right = [], []
    for clip in clips:
        names = list(clip.gallery)
        known = np.stack([clip.gallery[name] for name in names])
        for descriptor in clip.own.descriptors:
            apart = np.linalg.norm(known - descriptor, axis=1)
            distances.append(float(apart[names.index(clip.persona)]))
            right.append(names[int(apart.argmin())] == clip.persona)
    return distances, right


def _per_frame(tallies: Sequence[Tally], name: str) -> list[float]:
    return [getattr(tally, name) / tally.frames for tally in tallies]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _ratio(values: Sequence[float], others: Sequence[float]) -> float | None:
    whole = sum(others)
    return sum(values) / whole if whole > 0 else None


def _overlap(overlaps: Sequence[Overlap]) -> float | None:
    joined = sum(overlap.joined for overlap in overlaps)
    return sum(overlap.shared for overlap in overlaps) / joined if joined else None
