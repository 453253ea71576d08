"""What it saves to write only painted rectangles back into a picture's own 4:2:0 planes.

``python -m mien_benchmarks.planes`` swaps the bundled clip and makes, of every frame, the
picture that an encoder gets: by its pixels, all of which are converted, and by its planes. Both
are timed on each frame, in an order drawn anew, so that a busy machine is busy for both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import as_file, files
from time import perf_counter
from typing import Any

import av
import cv2
import numpy as np

from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.pipeline import Pipeline
from mien.planes import Painted, planes_for_sink
from mien.types import Frame
from mien.yuv import bgr_from_i420
from mien_benchmarks.times import spread
from mien_streamer.cli.report import device
from mien_streamer.cli.setup import find_persona
from mien_streamer.colour import (
    kept_planes,
    picture_of_planes,
    planes_of,
    yuv420_bt709_from_bgr,
)
from mien_streamer.sources import open_source

WARM_UP = 5
SEED = 7


class Clock:
    """Adds up what a part of the pipeline takes, while it runs as ever."""

    def __init__(self) -> None:
        self.spent_ms = 0.0

    def timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, timed."""

        def run(*arguments: Any) -> Any:
            before = perf_counter()
            try:
                return work(*arguments)
            finally:
                self.spent_ms = (perf_counter() - before) * 1e3

        return run


def measure(size: tuple[int, int], frames: int) -> dict[str, Any]:
    """Milliseconds by way, their ratio, and how far the pictures differ.

    Args:
        size: (width, height), even.
        frames: how many, after a warm-up.
    """
    config = PipelineConfig(guard=GuardConfig(mode="off"), mark=MarkConfig())
    order = np.random.default_rng(SEED)
    by_pixels: list[float] = []
    by_planes: list[float] = []
    shares: list[float] = []
    differs = 0
    with Pipeline.create(config, "mesh") as pipeline:
        pipeline.set_persona(find_persona("ada"), wait=True)
        painting = Clock()
        settle = painting.timed(pipeline._painted.settle)
        pipeline._painted.settle = settle  # type: ignore[method-assign]
        for number, picture in enumerate(_pictures(size, WARM_UP + frames)):
            frame, copying_ms = _decoded(picture, number)
            outcome = pipeline.process(frame)
            planes = planes_for_sink(outcome.frame, "bt709")
            if planes is None:
                continue
            ways: dict[str, Callable[[], av.VideoFrame]] = {
                "pixels": partial(yuv420_bt709_from_bgr, outcome.frame.bgr),
                "planes": partial(picture_of_planes, planes, alone=True),
            }
            spent, made = {}, {}
            for name in order.permutation(list(ways)):
                before = perf_counter()
                made[name] = ways[name]()
                spent[name] = (perf_counter() - before) * 1e3
            differs = max(differs, _difference(made, pipeline._painted))
            if number >= WARM_UP:
                by_pixels.append(spent["pixels"])
                by_planes.append(copying_ms + painting.spent_ms + spent["planes"])
                shares.append(by_planes[-1] / by_pixels[-1])
    return {
        "size": f"{size[0]}x{size[1]}",
        "frames": len(shares),
        "by_pixels_ms": spread(by_pixels),
        "by_planes_ms": spread(by_planes),
        "ratio": {f"p{p}": round(float(np.percentile(shares, p)), 3) for p in (10, 50, 90)},
        "most_difference_in_painted_boxes": differs,
    }


def _pictures(size: tuple[int, int], count: int) -> Any:
    """The bundled clip again and again, in 4:2:0, BT.709."""
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip,
        open_source(str(clip)) as source,
    ):
        made = [
            yuv420_bt709_from_bgr(np.asarray(cv2.resize(frame.bgr, size), np.uint8))
            for frame in itertools.islice(source.frames(), 60)
        ]
    yield from itertools.islice(itertools.cycle(made), count)


def _decoded(picture: av.VideoFrame, number: int) -> tuple[Frame, float]:
    """A frame as a source hands it over, and what keeping its planes took."""
    bgr = bgr_from_i420(planes_of(picture), "bt709")
    frame = Frame(index=number, bgr=bgr, capture_ns=number, pts_ns=number * 40_000_000)
    before = perf_counter()
    planes = kept_planes(picture, bgr, "bt709")
    return replace(frame, decoded=planes), (perf_counter() - before) * 1e3


def _difference(made: dict[str, av.VideoFrame], painted: Painted) -> int:
    """Most code values between both ways where something was painted."""
    most = 0
    for left, top, right, bottom in painted.boxes:
        for plane, (one, other) in enumerate(
            zip(planes_of(made["pixels"]), planes_of(made["planes"]), strict=True)
        ):
            step = 1 if plane == 0 else 2
            part = slice(top // step, bottom // step), slice(left // step, right // step)
            gap = np.abs(one[part].astype(np.int16) - other[part])
            most = max(most, int(gap.max(initial=0)))
    return most


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    chosen = parser.parse_args(arguments)
    if chosen.frames < 10:
        parser.error("--frames must be at least 10")
    cv2.setNumThreads(1)
    results = [measure(size, chosen.frames) for size in ((1280, 720), (1920, 1080))]
    print(json.dumps({"device": device(), "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
