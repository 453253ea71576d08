"""From what a user types to a sink."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mien.errors import UsageError
from mien.yuv import Matrix
from mien_streamer.controls.hotkeys import Action
from mien_streamer.sinks import video as video_sink
from mien_streamer.sinks import virtual_camera
from mien_streamer.sinks.images import ImageFileSink, ImageFolderSink
from mien_streamer.sinks.sink import NullSink, Sink
from mien_streamer.sinks.video import CONTAINERS, VideoFileSink, VideoOptions
from mien_streamer.sinks.virtual_camera import VirtualCameraSink
from mien_streamer.sinks.window import WindowSink
from mien_streamer.sources.images import IMAGE_SUFFIXES
from mien_streamer.sources.source import SourceInfo


def planes_taken(spec: str) -> frozenset[Matrix]:
    """Of which matrices a sink takes 4:2:0 planes as they are; see :mod:`mien.planes`."""
    kind, _, rest = spec.partition(":")
    if spec == "webrtc" or kind == "virtualcam":
        return frozenset({virtual_camera.PLANES})
    is_video = Path(rest if kind == "file" else spec).suffix.lower() in CONTAINERS
    return frozenset({video_sink.PLANES}) if is_video else frozenset()


def open_sink(
    spec: str,
    info: SourceInfo,
    *,
    metadata: Mapping[str, str] | None = None,
    video: VideoOptions | None = None,
    names: Sequence[str] = (),
    embed: Callable[[bytes], bytes] = lambda image: image,
    on_action: Callable[[Action], None] = lambda _: None,
    on_key: Callable[[str], bool] = lambda _: False,
) -> Sink:
    """An opened sink.

    Args:
        spec: ``virtualcam`` or ``virtualcam:DEVICE``, ``window``, ``null``, or a path
            (with or without ``file:``) of a video, an image or a folder.
        info: the source that the frames come from.
        metadata: tags for video files.
        video: how video files are encoded.
        names: file names for an image folder.
        embed: puts a statement into encoded pictures.
        on_action: told what the keys of a window ask for.
        on_key: asked about a window's keys before; True when it took the key.

    Raises:
        UsageError: the format is unknown, or the output is the input.
        OutputError: the output cannot be written.
        DeviceError: there is no virtual camera or no screen.
    """
    kind, _, rest = spec.partition(":")
    if spec == "webrtc":
        raise UsageError(
            "WebRTC is live: mien swap cannot write to it",
            "mien live --source file:PATH --sink webrtc sends a file to a browser or OBS; for "
            "mien swap name a file, as in -o out.mp4",
        )
    if spec == "null":
        return NullSink()
    if spec == "window":
        return WindowSink(on_action, on_key=on_key)
    if kind == "virtualcam":
        return VirtualCameraSink(info, device=rest or None)
    path = Path(rest if kind == "file" else spec).expanduser()
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES and not path.is_dir():
        return ImageFileSink(path, info, embed=embed)
    if suffix in CONTAINERS:
        return VideoFileSink(path, info, options=video, metadata=metadata)
    if not suffix or path.is_dir():
        return ImageFolderSink(path, info, names, embed=embed)
    raise UsageError(
        f"cannot tell what to write from the name {path.name}",
        f"use a video ({' '.join(CONTAINERS)}), a picture (.png .jpg) or a folder",
    )
