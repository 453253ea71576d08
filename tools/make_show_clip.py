"""Makes docs/images/show_morph.webp: one change of the demo show, over and over.

    python tools/make_show_clip.py [--cue tunde] [--out docs/images/show_morph.webp]

Renders the demo show with the mesh swapper and keeps the head around one cue, there and back.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mien.config import PipelineConfig
from mien.pipeline import Outcome
from mien.shows import load_show
from mien.types import Frame, U8Array
from mien_streamer.cli.show_run import Wishes, play_file
from mien_streamer.sources import open_source
from mien_streamer.sources.pingpong import PingPongSource

SIDE_PX = 360
BEFORE_S, AFTER_S = 0.5, 0.7
EVERY = 2
"""Every second frame is enough to see how it goes, and half the size."""


def render(cue_name: str) -> tuple[list[U8Array], float]:
    """Heads around a cue, all cut alike, and the time between two of them in seconds."""
    folder = files("mien_streamer").joinpath("demo")
    with (
        as_file(folder.joinpath("show.toml")) as show_path,
        as_file(folder.joinpath("driver.mp4")) as clip,
        tempfile.TemporaryDirectory() as scratch,
    ):
        show = load_show(show_path)
        cue = show.find(cue_name)
        if cue is None:
            raise SystemExit(f"the demo show has no cue {cue_name!r}")
        start_s = show.planned_s()[cue_name]
        end_s = start_s + cue.duration.seconds(show.tempo, start_s) + AFTER_S
        start_s -= BEFORE_S
        with open_source(str(clip)) as probe:
            fps = float(probe.info.fps or 30)
        # The clip is shorter than the show, which plays it forwards and backwards.
        source = PingPongSource(lambda: open_source(str(clip)), round(end_s * fps))
        pictures: list[tuple[U8Array, tuple[float, float, float, float]]] = []

        def watch(frame: Frame, outcome: Outcome) -> None:
            face = next((track for track in outcome.tracks if track.is_performer), None)
            inside = start_s <= frame.pts_ns / 1e9 < end_s
            if face is not None and inside and frame.index % EVERY == 0:
                pictures.append((outcome.frame.bgr.copy(), face.box))

        play_file(source, show, Path(scratch) / "film.mp4", PipelineConfig(), Wishes(), watch)
    boxes = np.array([box for _, box in pictures])
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    height, width = pictures[0][0].shape[:2]
    side = int(min(1.35 * max(right - left, bottom - top), height, width))
    x = int(np.clip((left + right - side) / 2, 0, width - side))
    y = int(np.clip((top + bottom - side) / 2 - 0.05 * side, 0, height - side))
    size = (SIDE_PX, SIDE_PX)
    heads = [
        np.asarray(cv2.resize(bgr[y : y + side, x : x + side], size, interpolation=cv2.INTER_AREA))
        for bgr, _ in pictures
    ]
    return heads, EVERY / fps


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cue", default="tunde")
    parser.add_argument("--out", type=Path, default=Path("docs/images/show_morph.webp"))
    wanted = parser.parse_args()
    heads, step_s = render(wanted.cue)
    frames = [Image.fromarray(head[..., ::-1]) for head in heads]
    frames += frames[-2:0:-1]
    frames[0].save(
        wanted.out,
        save_all=True,
        append_images=frames[1:],
        duration=round(step_s * 1000),
        loop=0,
        quality=72,
        method=6,
    )
    print(f"{wanted.out}: {len(frames)} pictures, {wanted.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
