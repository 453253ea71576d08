"""The backing track of a show, from where the playhead stands."""

from __future__ import annotations

import tempfile
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from mien.errors import MediaError
from mien_streamer.sources.source import SourceInfo

RATE = 48_000


def with_audio(info: SourceInfo, track: Path) -> SourceInfo:
    """The facts about a source whose sound is another file's."""
    return replace(info, media=str(track), has_audio=True, origin_s=Fraction(0))


def trimmed_track(track: Path, start_s: float, folder: Path | None = None) -> Path:
    """A WAV file of the track from a time on; the caller removes it.

    Raises:
        MediaError: the track is no sound, or ends before.
    """
    pieces = []
    try:
        with av.open(str(track)) as container:
            if not container.streams.audio:
                raise MediaError(f"{track.name} holds no sound", "name an audio file")
            resampler = av.AudioResampler("s16", "stereo", RATE)
            for frame in container.decode(audio=0):
                pieces += [piece.to_ndarray() for piece in resampler.resample(frame)]
            pieces += [piece.to_ndarray() for piece in resampler.resample(None)]
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(
            f"{track.name} cannot be read as sound: {error}", "export it as WAV"
        ) from error
    sound = np.concatenate([piece.reshape(-1) for piece in pieces]) if pieces else np.empty(0)
    sound = sound[2 * round(start_s * RATE) :]
    if not sound.size:
        raise MediaError(f"{track.name} ends before {start_s:.1f} s", "start earlier")
    with tempfile.NamedTemporaryFile(suffix=".wav", delete=False, dir=folder) as file:
        write_wav(Path(file.name), sound.reshape(-1, 2).astype(np.int16), RATE)
    return Path(file.name)


def write_wav(path: Path, sound: np.typing.NDArray[np.int16], rate: int) -> None:
    """Writes (N, 2) int16 samples."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(sound, "<i2").tobytes())
