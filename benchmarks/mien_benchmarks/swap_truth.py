"""The shipped pipeline on a ground-truth clip, with its one portrait as the persona."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.config import GuardConfig, MarkConfig, PipelineConfig, TrackerConfig
from mien.perception import FaceDescriptor, FaceTracker
from mien.personas.create import create_ad_hoc
from mien.pipeline import Pipeline
from mien_benchmarks.truth import PORTRAIT, score_clip


def measure_truth(
    folder: Path, *, swapper: str = "mesh", threads: int = 1, max_frames: int | None = None
) -> dict[str, Any]:
    """Scores of the pipeline as users run it, without badge and guard.

    Raises:
        MienError: a file of the folder is missing or shows no face.
    """
    config = PipelineConfig(
        tracker=TrackerConfig(threads=threads),
        guard=GuardConfig(mode="off"),
        mark=MarkConfig(badge=False, metadata=False),
    )
    descriptor = FaceDescriptor(threads)
    try:
        with FaceTracker() as finder, Pipeline.create(config, swapper) as pipeline:
            persona = create_ad_hoc(folder / PORTRAIT, finder=finder, descriptor=descriptor)
            pipeline.set_persona(persona, wait=True)
            score = score_clip(
                folder,
                lambda frame: pipeline.process(frame).frame.bgr,
                finder=finder,
                describer=descriptor,
                max_frames=max_frames,
            )
    finally:
        descriptor.close()
    return score.to_json()
