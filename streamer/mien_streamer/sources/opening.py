"""From what a user types to a source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from mien.errors import MediaError
from mien.yuv import Matrix
from mien_streamer.gpu_codecs import Codecs
from mien_streamer.sources.images import IMAGE_SUFFIXES, ImageSource
from mien_streamer.sources.source import Source
from mien_streamer.sources.video import VideoSource


def open_source(
    spec: str,
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    loop: bool = False,
    codecs: Codecs = "cpu",
    planes: frozenset[Matrix] = frozenset(),
    card: int | None = None,
) -> Source:
    """An opened source.

    Args:
        spec: ``camera:0`` (or a device path or part of its name), ``file:PATH`` for a
            file played in real time, a URL, or a path of a video, image or image folder,
            read as fast as it goes.
        size: (width, height) to ask a camera for.
        fps: rate to ask a camera for; rate of an image folder.
        codecs: where a video is decoded; see :data:`~mien_streamer.gpu_codecs.Codecs`.
        planes: matrices of 4:2:0 that the sink takes; see
            :class:`~mien_streamer.sources.video.VideoSource`.
        card: the GPU on which a video's decoded pictures stay.
        loop: start a ``file:`` over when it ends.

    Raises:
        MediaError: the file or stream is missing, broken or not media.
        DeviceError: there is no such camera.
    """
    kind, _, rest = spec.partition(":")
    if kind == "camera":
        from mien_streamer.sources.camera import CameraSource

        return CameraSource(rest or "0", size=size, fps=fps)
    if kind == "file" and not rest.startswith("//"):
        from mien_streamer.sources.paced import PacedSource

        return PacedSource(_open_path(rest, fps, codecs, planes, None), loop=loop)
    if "://" in spec:
        return VideoSource(spec, codecs=codecs, planes=planes)
    return _open_path(spec, fps, codecs, planes, card)


def _open_path(
    text: str, fps: float | None, codecs: Codecs, planes: frozenset[Matrix], card: int | None
) -> Source:
    path = Path(text).expanduser()
    if path.is_dir():
        rate = None if fps is None else Fraction(fps).limit_denominator(1001)
        return ImageSource.from_folder(path, fps=rate)
    if not path.exists():
        raise MediaError(f"no such file or folder: {text}", "check the path")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource(str(path), [path])
    return VideoSource(str(path), codecs=codecs, planes=planes, card=card)
