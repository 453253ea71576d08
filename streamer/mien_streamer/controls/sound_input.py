"""Where live sound comes from: an audio device, ALSA, or a file in real time."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np

from mien.errors import DeviceError, MediaError, MissingError
from mien.shows.ears import MOST_CHANNELS
from mien.types import F32Array
from mien_streamer.show_sound import sound_blocks

logger = logging.getLogger(__name__)

Take = Callable[[F32Array, float], None]
"""Gets (channels, N) float32 and the run's clock at its first sample."""

_RATE = 48_000
_BLOCK_S = 0.01


class SoundInput(Protocol):
    """Sound that comes in by itself.

    Attributes:
        name: for people.
        rate, channels: of what comes.
    """

    name: str
    rate: int
    channels: int

    def start(self, take: Take) -> None:
        """Hand every block to ``take``, in a thread of the input; once."""

    def close(self) -> None:
        """Stop. Safe to call twice."""


def open_sound(spec: str, channels: int = 2) -> SoundInput:
    """An input: ``file:PATH``, ``alsa:NAME``, or a device by number, part of its name, ``default``.

    Args:
        spec: which.
        channels: how many of a device are wanted, if it has so many.

    Raises:
        MissingError: the library for devices is not there.
        DeviceError: there is no such device, or it cannot be opened.
        MediaError: the file holds no sound.
    """
    kind, _, name = spec.partition(":")
    if kind == "file" and name:
        return FileSound(Path(name))
    if kind == "alsa" and name:
        return AlsaSound(name)
    return DeviceSound(spec, channels)


class FileSound:
    """A file's sound as fast as it was recorded; silence after its end."""

    def __init__(self, path: Path) -> None:
        self._blocks = sound_blocks(path)
        self._first = next(self._blocks, None)
        if self._first is None:
            raise MediaError(f"{path.name} holds no sound at all", "name a file with sound")
        self.name = path.name
        self.rate, _, block = self._first
        self.channels = len(block)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, take: Take) -> None:
        """See :class:`SoundInput`."""
        self._thread = threading.Thread(
            target=self._play, args=(take,), name="mien-sound", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """See :class:`SoundInput`."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def _play(self, take: Take) -> None:
        begun_s, played = time.monotonic(), 0
        assert self._first is not None
        block: F32Array | None = self._first[2]
        while block is not None:
            first_s = begun_s + played / self.rate
            played += block.shape[1]
            # A sample exists when it was played, not before.
            if self._closed.wait(max(begun_s + played / self.rate - time.monotonic(), 0.0)):
                return
            take(block, first_s)
            following = next(self._blocks, None)
            block = following[2] if following is not None else None


class AlsaSound:
    """A capture device of Linux, through PyAV's own ALSA: needs no further library."""

    def __init__(self, name: str) -> None:
        if "alsa" not in av.formats_available:
            hint = "name a device instead: --audio-in default" if sys.platform != "linux" else ""
            raise DeviceError("this PyAV knows no ALSA", hint or "pip install 'mien[audio]'")
        options = {"sample_rate": str(_RATE)}
        try:
            self._container = av.open(name, format="alsa", options=options)
            self._stream = self._container.streams.audio[0]
        except (av.error.FFmpegError, OSError, IndexError) as error:
            raise DeviceError(
                f"ALSA cannot record from {name!r}: {error}",
                "arecord -L lists what there is; alsa:default is the usual one",
            ) from error
        self.name = f"alsa:{name}"
        self.rate = int(self._stream.rate)
        self.channels = min(len(self._stream.layout.channels), MOST_CHANNELS)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, take: Take) -> None:
        """See :class:`SoundInput`."""
        self._thread = threading.Thread(
            target=self._record, args=(take,), name="mien-sound", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """See :class:`SoundInput`."""
        self._closed.set()
        if self._thread is None:
            self._container.close()
        else:
            self._thread.join(2.0)

    def _record(self, take: Take) -> None:
        # Some devices hand out single samples.
        floats = av.AudioResampler(
            "fltp", self._stream.layout, self.rate, frame_size=round(self.rate * _BLOCK_S)
        )
        try:
            for frame in self._container.decode(self._stream):
                if self._closed.is_set():
                    break
                for piece in floats.resample(frame):
                    block = np.asarray(piece.to_ndarray(), np.float32)[: self.channels]
                    take(block, time.monotonic() - block.shape[1] / self.rate)
        except (av.error.FFmpegError, OSError) as error:
            logger.warning("%s went silent: %s", self.name, error)
        finally:
            self._container.close()


class DeviceSound:
    """An audio device, through PortAudio."""

    def __init__(self, spec: str, channels: int) -> None:
        devices = _portaudio()
        present = input_devices(devices)
        if spec == "default" and present:
            found = dict(devices.query_devices(kind="input"))
        else:
            found = find_device(spec, present)
        self._devices, self._index = devices, found["index"]
        self.name = str(found["name"])
        self.rate = int(found["default_samplerate"])
        # Sound servers offer more than a hundred.
        self.channels = min(int(found["max_input_channels"]), channels, MOST_CHANNELS)
        self._stream: Any = None

    def start(self, take: Take) -> None:
        """See :class:`SoundInput`."""

        def came(data: Any, frames: int, times: Any, status: Any) -> None:
            del frames
            if status:
                logger.debug("%s: %s", self.name, status)
            late_s = times.currentTime - times.inputBufferAdcTime
            if not 0.0 <= late_s < 1.0:  # some drivers tell no times
                late_s = len(data) / self.rate
            take(np.ascontiguousarray(data.T, np.float32), time.monotonic() - late_s)

        try:
            self._stream = self._devices.InputStream(
                device=self._index,
                channels=self.channels,
                samplerate=self.rate,
                blocksize=round(self.rate * _BLOCK_S),
                dtype="float32",
                latency="low",
                callback=came,
            )
            self._stream.start()
        except self._devices.PortAudioError as error:
            raise DeviceError(
                f"{self.name} cannot be recorded from: {error}",
                "close the program that holds it, or choose another with --audio-in",
            ) from error

    def close(self) -> None:
        """See :class:`SoundInput`."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def _portaudio() -> Any:
    """The library, loaded only when it is wanted.

    Raises:
        MissingError: it, or PortAudio itself, is not there.
    """
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise MissingError(
            f"sound from a device needs a library: {error}", "pip install 'mien[audio]'"
        ) from error
    except OSError as error:
        hint = "apt install libportaudio2, or use --audio-in alsa:default"
        raise MissingError(
            f"sound from a device needs PortAudio: {error}",
            hint if sys.platform == "linux" else "pip install --force-reinstall sounddevice",
        ) from error


def input_devices(library: Any = None) -> list[dict[str, Any]]:
    """Devices that can be recorded from, as PortAudio tells of them.

    Raises:
        MissingError: see :func:`open_sound`.
    """
    library = library if library is not None else _portaudio()
    return [dict(one) for one in library.query_devices() if one["max_input_channels"] > 0]


def find_device(spec: str, devices: list[dict[str, Any]]) -> dict[str, Any]:
    """The device that is meant.

    Raises:
        DeviceError: there is none.
    """
    if spec == "default" and devices:
        return devices[0]
    for one in devices:
        named = not spec.isdigit() and spec.lower() in str(one["name"]).lower()
        if named or (spec.isdigit() and int(spec) == one["index"]):
            return one
    known = ", ".join(f"{one['index']} {one['name']}" for one in devices)
    raise DeviceError(
        f"no audio input is called {spec!r}",
        f"choose from: {known}" if known else "plug one in; none is there",
    )
