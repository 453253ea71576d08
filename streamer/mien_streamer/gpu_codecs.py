"""NVDEC and NVENC through FFmpeg: whether they open here, and what is said where they do not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import av
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext

from mien.errors import DeviceError

logger = logging.getLogger(__name__)

Codecs = Literal["cpu", "auto", "gpu"]
"""Where videos are decoded and encoded: ``auto`` takes the GPU where it opens, ``gpu`` must."""

NVENC = "h264_nvenc"
# Every card's encoder takes it; smaller sides are refused by some.
_PROBE_SIZE = (640, 360)


def nvenc_options(crf: float) -> dict[str, str]:
    """Of a file at about the quality that x264 has at this crf."""
    return {"preset": "p5", "tune": "hq", "rc": "vbr", "cq": f"{crf:g}", "b:v": "0"}


def nvenc_refusal() -> str:
    """Why the GPU's H.264 encoder cannot be used here; empty if it can.

    Encodes one picture: a driver, a card without an encoder (A100, H100) and one whose sessions
    are all taken show only then.
    """
    if NVENC not in av.codecs_available:
        return "this PyAV has no NVENC"
    try:
        with _quiet():
            context = av.CodecContext.create(NVENC, "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height = _PROBE_SIZE
            context.pix_fmt = "yuv420p"
            context.options = nvenc_options(18.0)
            picture = av.VideoFrame(*_PROBE_SIZE, "yuv420p")
            picture.pts = 0
            context.encode(picture)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        return f"NVENC does not open ({_words(error)})"
    return ""


def choose_encoder(codecs: Codecs) -> str:
    """``h264_nvenc`` or ``libx264``; says why where ``auto`` stays on the CPU.

    Raises:
        DeviceError: ``gpu`` was asked for and does not open.
    """
    if codecs == "cpu":
        return "libx264"
    refusal = nvenc_refusal()
    if not refusal:
        return NVENC
    if codecs == "gpu":
        raise DeviceError(refusal, "use --codecs auto or cpu")
    logger.warning("%s; videos are encoded on the CPU", refusal)
    return "libx264"


def card_for(codecs: Codecs, device: str, turn: int = 0) -> int | None:
    """The card on which pictures can stay from decoder to encoder; None where they cannot.

    Args:
        codecs: as asked for.
        device: ``--device``; of the CPU, the first card.
        turn: of several cards, which one: loops side by side have one each.
    """
    if codecs == "cpu" or nvenc_refusal():
        return None
    from mien.gpu import Gpu, process_fleet  # not needed on most machines

    try:
        cards = process_fleet().cards(device) or [0]
        index = cards[turn % len(cards)]
        Gpu(index).close()
    except DeviceError as error:
        logger.info("decoded pictures come to the host: %s", error.what)
        return None
    return index


def nvdec(index: int = 0) -> HWAccel:
    """What makes FFmpeg decode on a GPU, with pictures brought back to the host."""
    return HWAccel("cuda", device=str(index), allow_software_fallback=True)


def decoding_refused(codecs: Codecs, error: Exception) -> None:
    """Says once that a file is decoded on the CPU, or raises where that was not wanted.

    Raises:
        DeviceError: ``gpu`` was asked for.
    """
    said = f"NVDEC does not open ({_words(error)})"
    if codecs == "gpu":
        raise DeviceError(said, "use --codecs auto or cpu") from error
    logger.warning("%s; the video is decoded on the CPU", said)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


@contextmanager
def _quiet() -> Iterator[None]:
    """FFmpeg tells its troubles to stderr by itself."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    try:
        yield
    finally:
        av.logging.set_level(before)
