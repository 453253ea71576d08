"""Truth sets: clips with their true swap, as docs/truth_format.md describes them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from mien.errors import MediaError, MissingError
from mien.types import F32Array, Frame, U8Array
from mien_streamer.sources import open_source

FORMAT = "mien truth set"
VERSION = 1
MANIFEST = "truth.json"
VIDEO_SUFFIXES = (".mkv", ".mp4", ".mov", ".avi", ".webm")

_SEE = "docs/truth_format.md says what a set holds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a clip's maker knows of every frame; see docs/truth_format.md.

    Attributes:
        jaw, blink: (N,) float32, 0 closed jaw and open eyes .. 1.
        gaze: (N, 2) float32, -1..1: to the person's left, and up, relative to the head.
        pose_deg: (N, 3) float32: yaw, pitch, roll as seen by the camera.
        landmarks: (N, 468, 2) float32 of the truth's face, pixels; None if not known.
    """

    jaw: F32Array
    blink: F32Array
    gaze: F32Array
    pose_deg: F32Array
    landmarks: F32Array | None = None

    @property
    def frames(self) -> int:
        """How many frames they tell of."""
        return len(self.jaw)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthPersona:
    """Who is worn.

    Attributes:
        name: unique within the set.
        portraits: pictures, the most frontal first.
        cast: the member of mien's cast that the portraits show; empty for anybody else.
    """

    name: str
    portraits: tuple[Path, ...]
    cast: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthClip:
    """One clip.

    Attributes:
        name: unique within the set; outsiders name their output after it.
        group: clips of a group are scored together, such as ``cast`` and ``strangers``.
        persona: who is worn.
        driver: video or folder of the performer.
        truth: the same with the true swap; None where nobody has it.
        share: how much of the truth is the persona's; None if not known.
        occluder: what lies in front of the face; None without any.
        parameters: None if not known.
        fps: frames a second.
        frames: how many; None where only reading tells.
    """

    name: str
    group: str
    persona: TruthPersona
    driver: Path
    truth: Path | None = None
    share: Path | None = None
    occluder: Path | None = None
    parameters: Parameters | None = None
    fps: float = 30.0
    frames: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSet:
    """Clips and the people worn in them.

    Attributes:
        name: what to call the set.
        folder: where it lies.
        clips: in order.
        personas: by name; those worn, and others to be told apart from them.
    """

    name: str
    folder: Path
    clips: tuple[TruthClip, ...]
    personas: dict[str, TruthPersona] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthFrame:
    """A frame of a clip with everything that belongs to it.

    Attributes:
        frame: the performer's; whoever scores may paint into it.
        truth: (H, W, 3) uint8.
        share, occluder: (H, W) uint8, 255 = all.
    """

    frame: Frame
    truth: U8Array | None
    share: U8Array | None
    occluder: U8Array | None


def read_set(folder: Path) -> TruthSet:
    """The set in a folder; its videos are read later, frame by frame.

    Raises:
        MissingError: there is no set.
        MediaError: the manifest or a file that it names does not check out.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise MissingError(
            f"there is no truth set in {folder}",
            "clone mien for benchmarks/truth_set, or render one: mien train truth DATA OUT",
        )
    try:
        return _Manifest(folder, json.loads(manifest.read_text(encoding="utf-8"))).truth_set()
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MediaError(f"{manifest} cannot be read: {error}", _SEE) from error


def truth_frames(clip: TruthClip, limit: int | None = None) -> Iterator[TruthFrame]:
    """The frames of a clip in order.

    Raises:
        MediaError: a video is missing or broken, has another size, or not as many frames
            as the others.
    """
    with ExitStack() as stack:
        streams: list[Iterator[Any]] = [
            stack.enter_context(open_source(str(clip.driver), fps=clip.fps)).frames()
        ]
        truth = clip.truth
        if truth is not None:
            streams.append(stack.enter_context(open_source(str(truth), fps=clip.fps)).frames())
        masks = [path for path in (clip.share, clip.occluder) if path is not None]
        streams.extend(mask_frames(path) for path in masks)
        paths = [path for path in (clip.driver, truth, *masks) if path is not None]
        for index, parts in enumerate(zip_longest(*streams)):
            if limit is not None and index >= limit:
                return
            frame = parts[0]
            for path, part in zip(paths, parts, strict=True):
                if part is None:
                    raise MediaError(
                        f"{path} ends after {index} frames, others of clip {clip.name} do not",
                        "all files of a clip hold the same number of frames",
                    )
                picture = part.bgr if isinstance(part, Frame) else part
                check_size(path, picture, frame.size)
            rest = [part.bgr if isinstance(part, Frame) else part for part in parts[1:]]
            yield TruthFrame(
                frame=frame,
                truth=rest.pop(0) if truth is not None else None,
                share=rest.pop(0) if clip.share is not None else None,
                occluder=rest.pop(0) if clip.occluder is not None else None,
            )


def mask_frames(path: Path) -> Iterator[U8Array]:
    """The (H, W) uint8 pictures of a grey video, or of a folder of pictures.

    Raises:
        MediaError: it is missing or not a video.
    """
    if path.is_dir():
        with open_source(str(path)) as source:
            for frame in source.frames():
                yield np.ascontiguousarray(frame.bgr[..., 1])
        return
    if not path.is_file():
        raise MediaError(f"no such file: {path}", _SEE)
    try:
        with av.open(str(path)) as container:
            for picture in container.decode(video=0):
                yield np.asarray(picture.to_ndarray(format="gray"), np.uint8)
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise MediaError(f"{path} cannot be read as a video: {error}", _SEE) from error


def check_size(path: Path, picture: npt.NDArray[np.uint8], size: tuple[int, int]) -> None:
    """Refuses a picture that is not as large as the driver's.

    Raises:
        MediaError: it is not.
    """
    if picture.shape[:2] != size:
        raise MediaError(
            f"{path} is {picture.shape[1]}x{picture.shape[0]}, the driver is {size[1]}x{size[0]}",
            "write frames of the driver's size; mien does not scale what it scores",
        )


def read_parameters(path: Path) -> Parameters:
    """What a ``parameters.npz`` holds.

    Raises:
        MediaError: it is missing, broken, or an array has the wrong shape.
    """
    try:
        # Opened here: NumPy leaves a file open that is not what it seemed.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: np.asarray(arrays[name], np.float32) for name in _NUMBERS & {*arrays}}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise MediaError(f"{path} cannot be read: {error}", _SEE) from error
    frames = len(found["jaw"]) if "jaw" in found and found["jaw"].ndim else 0
    for name, shape in _SHAPES.items():
        if name not in found and name in _OPTIONAL:
            continue
        got = found[name].shape if name in found else None
        if got != (frames, *shape) or not np.isfinite(found[name]).all():
            raise MediaError(
                f"{path}: {name} must be {('N', *shape)} finite numbers, got {got}", _SEE
            )
    return Parameters(**found)


_SHAPES: dict[str, tuple[int, ...]] = {
    "jaw": (), "blink": (), "gaze": (2,), "pose_deg": (3,), "landmarks": (468, 2),
}  # fmt: skip
_OPTIONAL = {"landmarks"}
_NUMBERS = set(_SHAPES)


class _Manifest:
    """Turns the JSON into a set and complains by name of what is wrong."""

    def __init__(self, folder: Path, values: Any) -> None:
        self._folder = folder
        self._values = values
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise MediaError(f"{folder / MANIFEST} is not the manifest of a truth set", _SEE)
        if values.get("version") != VERSION:
            raise MediaError(
                f"{folder / MANIFEST} has version {values.get('version')!r}, this mien reads "
                f"{VERSION}",
                "update mien, or render the set anew",
            )

    def truth_set(self) -> TruthSet:
        personas = {
            name: self._persona(name, values)
            for name, values in self._get(self._values, "personas", dict).items()
        }
        clips = [self._clip(values, personas) for values in self._get(self._values, "clips", list)]
        names = [clip.name for clip in clips]
        if not clips or len(set(names)) != len(names):
            raise self._wrong("clips", "must be one or more with names of their own")
        return TruthSet(
            name=self._get(self._values, "name", str),
            folder=self._folder,
            clips=tuple(clips),
            personas=personas,
        )

    def _persona(self, name: str, values: Any) -> TruthPersona:
        portraits = self._get(values, "portraits", list)
        if not portraits:
            raise self._wrong(f"personas.{name}.portraits", "must name one picture at least")
        return TruthPersona(
            name=name,
            portraits=tuple(self._path(file) for file in portraits),
            cast=self._get(values, "cast", str, ""),
        )

    def _clip(self, values: Any, personas: dict[str, TruthPersona]) -> TruthClip:
        name = self._get(values, "name", str)
        if not name or Path(name).name != name:
            raise self._wrong("clips.name", f"must be a plain file name, got {name!r}")
        worn = self._get(values, "persona", str)
        if worn not in personas:
            raise self._wrong(f"clip {name}", f"wears {worn!r}, who is not among the personas")
        frames = self._get(values, "frames", int)
        paths = {
            part: self._path(values[part])
            for part in ("truth", "share", "occluder", "parameters")
            if values.get(part) is not None
        }
        parameters = paths.pop("parameters", None)
        known = read_parameters(parameters) if parameters is not None else None
        if known is not None and known.frames != frames:
            raise MediaError(
                f"{parameters} tells of {known.frames} frames, clip {name} has {frames}", _SEE
            )
        return TruthClip(
            name=name,
            group=self._get(values, "group", str, "all"),
            persona=personas[worn],
            driver=self._path(self._get(values, "driver", str)),
            parameters=known,
            fps=float(self._get(values, "fps", (int, float))),
            frames=frames,
            **paths,
        )

    def _path(self, name: Any) -> Path:
        """A file of the set; one outside its folder is refused."""
        if not isinstance(name, str):
            raise self._wrong("a file", f"must be named by text, got {name!r}")
        path = self._folder / name
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise self._wrong(name, "lies outside the set")
        if not path.exists():
            raise MediaError(f"the set in {self._folder} lacks {name}", "copy or render it again")
        return path

    def _get(self, values: Any, name: str, kind: Any, default: Any = None) -> Any:
        found = values.get(name, default) if isinstance(values, dict) else None
        if not isinstance(found, kind) or isinstance(found, bool):
            raise self._wrong(name, f"is missing or of the wrong kind: {found!r}")
        return found

    def _wrong(self, name: str, why: str) -> MediaError:
        return MediaError(f"{self._folder / MANIFEST}: {name} {why}", _SEE)
