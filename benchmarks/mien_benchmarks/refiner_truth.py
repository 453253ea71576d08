"""The truth benchmark with a refiner behind the mesh swapper.

``python -m mien_benchmarks.refiner_truth FOLDER MODEL.onnx --strip strip.png`` prints the
scores of mesh alone and of mesh with the refiner as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.compositing import Compositor
from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.errors import MienError
from mien.guard import Guard
from mien.marking import Marker, draw_slate
from mien.perception import FaceDescriptor, FaceTracker
from mien.personas.create import create_ad_hoc
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.refiner_view import crop_from_frame, cut_crop
from mien.refining import RefinerStage
from mien.swappers import make_swapper
from mien.types import FaceTrack, Frame, Patch, U8Array
from mien_benchmarks.truth import PORTRAIT, score_clip

_STRIP_FRAMES = (12, 40, 68, 96, 124, 152)


class _Watched:
    """A swapper that lets the refiner look first, and a compositor that lets it mend."""

    name = "mesh"

    def __init__(self, refiner: RefinerStage | None) -> None:
        self._swapper = make_swapper("mesh", PipelineConfig())
        self._compositor = Compositor()
        self._refiner = refiner
        self._view: Any = None
        self.refine_ms: list[float] = []

    def prepare(self, persona: Persona) -> object:
        return self._swapper.prepare(persona)

    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch:
        if self._refiner is not None:
            start = time.perf_counter()
            self._view = self._refiner.look(frame.bgr, track)
            self.refine_ms.append((time.perf_counter() - start) * 1e3)
        return self._swapper.swap(frame, track, state)

    def composite(self, frame_bgr: U8Array, patch: Patch, track: FaceTrack) -> None:
        self._compositor.composite(frame_bgr, patch, track)
        if self._refiner is not None:
            start = time.perf_counter()
            self._refiner.refine(frame_bgr, patch, track, self._view)
            self.refine_ms[-1] += (time.perf_counter() - start) * 1e3

    def close(self) -> None:
        self._swapper.close()


def measure_refined(
    folder: Path,
    refiner: RefinerStage | None,
    *,
    max_frames: int | None = None,
    keep: dict[int, list[U8Array]] | None = None,
) -> dict[str, Any]:
    """Scores as of :func:`mien_benchmarks.truth.score_clip`, and ``refine_ms``.

    Args:
        folder: the truth folder.
        refiner: None scores the mesh swapper alone.
        max_frames: stop after so many.
        keep: takes the face crops (driver, output, truth) of some frames.

    Raises:
        MienError: a file of the folder is missing or shows no face.
    """
    config = PipelineConfig(
        guard=GuardConfig(mode="off"), mark=MarkConfig(badge=False, metadata=False)
    )
    watched = _Watched(refiner)
    pipeline = Pipeline(
        config,
        tracker=FaceTracker(config.tracker),
        swapper=watched,
        compositor=watched,
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
    )
    descriptor = FaceDescriptor()
    try:
        with FaceTracker() as finder, pipeline:
            persona = create_ad_hoc(folder / PORTRAIT, finder=finder, descriptor=descriptor)
            pipeline.set_persona(persona, wait=True)

            def keep_crops(index: int, driver: U8Array, output: U8Array, truth: U8Array) -> None:
                if keep is None or index not in _STRIP_FRAMES:
                    return
                faces = finder.find(driver)
                if faces:
                    cut = crop_from_frame(faces[0].landmarks, 320)
                    keep[index] = [cut_crop(p, cut, 320) for p in (driver, output, truth)]

            score = score_clip(
                folder,
                lambda frame: pipeline.process(frame).frame.bgr,
                finder=finder,
                describer=descriptor,
                max_frames=max_frames,
                on_frame=keep_crops,
            ).to_json()
    finally:
        descriptor.close()
    if watched.refine_ms:
        score["refine_ms"] = {
            f"p{share}": round(float(np.percentile(watched.refine_ms, share)), 2)
            for share in (50, 95)
        }
    return score


def main() -> int:
    """Parse the arguments, measure, print JSON; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mien_benchmarks.refiner_truth")
    parser.add_argument("folder", type=Path, help="truth folder, see mien_benchmarks.truth")
    parser.add_argument("model", type=Path, help="the refiner's ONNX file")
    parser.add_argument("--frames", type=int, help="stop after so many frames")
    parser.add_argument("--threads", type=int, default=1, help="threads of the refiner")
    parser.add_argument("--strength", type=float, default=1.0, help="0..1, how much is mended")
    parser.add_argument("--strip", type=Path, help="picture: driver, mesh, refined, truth")
    arguments = parser.parse_args()
    plain: dict[int, list[U8Array]] = {}
    mended: dict[int, list[U8Array]] = {}
    try:
        refiner = RefinerStage(
            arguments.model, threads=arguments.threads, strength=arguments.strength
        )
        scores = {
            "mesh": measure_refined(
                arguments.folder, None, max_frames=arguments.frames, keep=plain
            ),
            "refined": measure_refined(
                arguments.folder, refiner, max_frames=arguments.frames, keep=mended
            ),
        }
    except MienError as error:
        print(f"error: {error.what}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    if arguments.strip and plain:
        rows = [
            np.hstack([plain[i][0], plain[i][1], mended[i][1], plain[i][2]])
            for i in sorted(plain.keys() & mended.keys())
        ]
        cv2.imwrite(str(arguments.strip), np.vstack(rows))
    print(json.dumps(scores, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
