"""Whether texture sticks to the face or to the pixel grid: slices through space and time.

One frame of a clip is moved by fractions of a pixel and turned by fractions of a degree, with
its track; every swapper draws each step. A line that is fixed to the head is read from every
result and the lines are stacked: one row a step. Texture that moves with the head makes straight
vertical lines; texture that clings to the grid slants or beats (after Karras et al. 2021,
*Alias-Free Generative Adversarial Networks*, figure 1). The number beside it is what changes
along time over what changes along the line, both root mean square: 0 is perfect.

Run as ``python -m mien_benchmarks.sticking [--out DIR] [-p PERSONA]``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from math import cos, radians, sin
from pathlib import Path

import cv2
import numpy as np

from mien.compositing import Compositor
from mien.config import PipelineConfig
from mien.perception import FaceTracker, estimate_pose
from mien.personas.library import Library
from mien.swappers import make_swapper
from mien.types import F32Array, FaceTrack, Frame, U8Array
from mien_streamer.sources import open_source

STEPS = 96
"""Rows of a slice."""

_WARM_UP = 12
# So far the head goes in all, across and down; frame pixels. An irrational slope, so that every
# phase of the pixel grid is met.
_ACROSS, _DOWN, _TURN_DEG = 11.3, 4.7, 5.0
# The line runs through the outer corners of the eyes and beyond them by so much of their distance.
_BEYOND = 0.15
_SAMPLES = 320
_ROW_PX = 4

Swap = Callable[[Frame, FaceTrack], U8Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Lines of one way of drawing.

    Attributes:
        name: who drew.
        lines: (STEPS, N, 3) uint8.
        sticking: change along time over change along the line.
    """

    name: str
    lines: U8Array
    sticking: float


def moved(frame: Frame, track: FaceTrack, share: float, index: int) -> tuple[Frame, FaceTrack]:
    """Frame and track as they are at a share, 0..1, of the motion."""
    angle = radians(_TURN_DEG) * sin(2.0 * np.pi * share)
    centre = track.landmarks[:468, :2].mean(axis=0)
    linear = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    shift = np.array([_ACROSS, _DOWN]) * share + centre - linear @ centre
    transform = np.concatenate([linear, shift[:, None]], axis=1)
    height, width = frame.size
    picture = cv2.warpAffine(
        frame.bgr,
        transform,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    landmarks = track.landmarks.copy()
    landmarks[:, :2] = landmarks[:, :2] @ linear.T + shift
    there = replace(
        track,
        landmarks=landmarks.astype(np.float32),
        pose=estimate_pose(landmarks.astype(np.float32)),
        age=index,
    )
    shown = Frame(
        index=index,
        bgr=np.ascontiguousarray(picture, np.uint8),
        capture_ns=index * 33_000_000,
        pts_ns=index * 33_000_000,
    )
    return shown, there


def slice_of(name: str, frame: Frame, track: FaceTrack, swap: Swap) -> Slice:
    """The slice that a way of drawing gives.

    Args:
        name: for the legend.
        frame, track: the step that all others are moved from.
        swap: draws; may paint into the frame.
    """
    lines = []
    for step in range(-_WARM_UP, STEPS):
        share = max(step, 0) / STEPS
        there, follows = moved(frame, track, share, step + _WARM_UP)
        drawn = swap(there, follows)
        if step >= 0:
            lines.append(_line(drawn, follows.landmarks))
    stacked = np.stack(lines)
    return Slice(name=name, lines=np.asarray(stacked, np.uint8), sticking=sticking(stacked))


def sticking(lines: F32Array | U8Array) -> float:
    """Root mean square along time over that along the line."""
    values = lines.astype(np.float64)
    steady = values.mean(axis=0)
    along = float(np.sqrt(((steady - steady.mean(axis=0)) ** 2).mean()))
    return float(np.sqrt(((values - steady) ** 2).mean())) / max(along, 1e-9)


def _line(bgr: U8Array, landmarks: F32Array) -> F32Array:
    right, left = landmarks[33, :2], landmarks[263, :2]
    across = left - right
    start = right - _BEYOND * across
    at = start + np.linspace(0.0, 1.0 + 2.0 * _BEYOND, _SAMPLES)[:, None] * across
    places = at.astype(np.float32)
    row = cv2.remap(bgr, places[None, :, 0], places[None, :, 1], cv2.INTER_CUBIC)
    return np.asarray(row[0], np.float32)


def draw(slices: Sequence[Slice]) -> U8Array:
    """Slices side by side under their names."""
    panels = []
    for one in slices:
        tall = np.repeat(one.lines, _ROW_PX, axis=0)
        panel = cv2.copyMakeBorder(tall, 34, 8, 8, 8, cv2.BORDER_CONSTANT, value=(255,) * 3)
        cv2.putText(
            panel, f"{one.name}: {one.sticking:.3f}", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6,
            (40, 40, 40), 1, cv2.LINE_AA,
        )  # fmt: skip
        panels.append(panel)
    return np.asarray(np.hstack(panels), np.uint8)


def first_face(frames: Iterator[Frame]) -> tuple[Frame, FaceTrack]:
    """The first frame in which a face is found, and the face."""
    with FaceTracker() as finder:
        for frame in frames:
            faces = finder.find(frame.bgr)
            if faces:
                return frame, faces[0]
    raise SystemExit("no face in the clip")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes ``sticking.png`` and ``sticking.json``."""
    parser = argparse.ArgumentParser(prog="python -m mien_benchmarks.sticking")
    parser.add_argument("--out", type=Path, default=Path("sticking"))
    parser.add_argument("-p", "--persona", default="ada")
    parser.add_argument("--swapper", action="append", help="default: mesh and stylegan3")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    worn = Library().resolve(options.persona)
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip,
        open_source(str(clip)) as source,
    ):
        frame, track = first_face(source.frames())
    slices = [slice_of("unswapped", frame, track, lambda there, _: there.bgr)]
    compositor = Compositor()
    for name in options.swapper or ["mesh", "stylegan3"]:
        swapper = make_swapper(name, PipelineConfig())
        state = swapper.prepare(worn)

        def swap(there: Frame, follows: FaceTrack) -> U8Array:
            patch = swapper.swap(there, follows, state)  # noqa: B023
            compositor.composite(there.bgr, patch, follows)
            return there.bgr

        slices.append(slice_of(name, frame, track, swap))
        swapper.close()
    cv2.imwrite(str(options.out / "sticking.png"), draw(slices))
    report = {"persona": options.persona, **{one.name: round(one.sticking, 4) for one in slices}}
    (options.out / "sticking.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
