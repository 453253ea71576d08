"""The input's audio tracks, copied into an output as the video goes along."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from mien_streamer.sources.video import open_media

logger = logging.getLogger(__name__)

COPIED = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac"},
    "mpegts": {"aac", "mp2", "mp3", "ac3", "eac3"},
}
"""Codecs that players expect inside each container; others become AAC. Matroska
takes whatever its muxer accepts."""


class AudioTracks:
    """All audio of a medium, muxed packet by packet; one thread.

    Packets keep their exact timestamps; a track whose codec the container cannot
    hold is decoded and encoded as AAC.
    """

    def __init__(self, media: str, output: OutputContainer, origin_s: Fraction) -> None:
        self._output = output
        self._input = open_media(media)
        self._tracks = {
            stream.index: _track(stream, output, origin_s) for stream in self._input.streams.audio
        }
        self._packets = self._read()
        self._next: av.Packet[AudioStream] | None = None
        self._ended = False

    def _read(self) -> Iterator[av.Packet[AudioStream]]:
        packets = self._input.demux(audio=tuple(range(len(self._input.streams.audio))))
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                logger.warning("audio ends early: %s", error)
                return
            if packet is None:
                return
            if packet.size and packet.dts is not None:
                yield packet

    def copy_until(self, end_s: Fraction | None) -> None:
        """Mux everything that starts before ``end_s`` on the output's clock; None = all."""
        while not self._ended:
            packet = self._next or next(self._packets, None)
            self._next = packet
            if packet is None:
                self._ended = True
                return
            track = self._tracks[packet.stream_index]
            if end_s is not None and track.start_s(packet) >= end_s:
                return
            self._next = None
            for ready in track.take(packet):
                self._output.mux(ready)

    def finish(self, end_s: Fraction | None) -> None:
        """Mux the rest up to ``end_s``, empty the encoders and close the input."""
        self.copy_until(end_s)
        for track in self._tracks.values():
            for ready in track.flush():
                self._output.mux(ready)
        self.close()

    def close(self) -> None:
        """Close the input; what was not muxed is dropped."""
        self._ended = True
        self._input.close()


class _CopiedTrack:
    def __init__(self, stream: AudioStream, output: OutputContainer, origin_s: Fraction) -> None:
        self._out = output.add_stream_from_template(stream)
        assert stream.time_base is not None
        self._time_base = stream.time_base
        self._origin = round(origin_s / stream.time_base)

    def start_s(self, packet: av.Packet[AudioStream]) -> Fraction:
        assert packet.dts is not None
        return (packet.dts - self._origin) * self._time_base

    def take(self, packet: av.Packet[AudioStream]) -> Iterator[av.Packet[AudioStream]]:
        if packet.pts is not None:
            packet.pts -= self._origin
        if packet.dts is not None:
            packet.dts -= self._origin
        packet.stream = self._out
        yield packet

    def flush(self) -> Iterator[av.Packet[AudioStream]]:
        return iter(())


class _EncodedTrack(_CopiedTrack):
    """Decodes and encodes as AAC; the decoder skips damaged packets."""

    def __init__(self, stream: AudioStream, output: OutputContainer, origin_s: Fraction) -> None:
        assert stream.time_base is not None
        self._time_base = stream.time_base
        self._origin = round(origin_s / stream.time_base)
        rate = stream.rate if stream.rate in AAC_RATES else 48_000
        self._encoder = output.add_stream("aac", rate=rate)
        self._encoder.layout = "stereo" if stream.layout.nb_channels != 1 else "mono"
        self._encoder.bit_rate = 192_000
        self._resampler = av.AudioResampler("fltp", self._encoder.layout, rate)

    def take(self, packet: av.Packet[AudioStream]) -> Iterator[av.Packet[AudioStream]]:
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError as error:
            logger.debug("undecodable audio packet: %s", error)
            return
        for sound in decoded:
            if sound.pts is not None and sound.time_base is not None:
                sound.pts -= round(self._origin * self._time_base / sound.time_base)
            for piece in self._resampler.resample(sound):
                yield from self._encoder.encode(piece)

    def flush(self) -> Iterator[av.Packet[AudioStream]]:
        for piece in self._resampler.resample(None):
            yield from self._encoder.encode(piece)
        yield from self._encoder.encode(None)


AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}


def _track(stream: AudioStream, output: OutputContainer, origin_s: Fraction) -> _CopiedTrack:
    codec = stream.codec_context.name
    known = COPIED.get(output.format.name, output.supported_codecs)
    if _codec_family(codec) in known:
        return _CopiedTrack(stream, output, origin_s)
    logger.info("audio track %d (%s) is encoded as AAC", stream.index, codec)
    return _EncodedTrack(stream, output, origin_s)


def _codec_family(decoder: str) -> str:
    """The codec behind a decoder's name: ``mp3float`` decodes ``mp3``, ``libopus`` opus."""
    name = decoder.removeprefix("lib").removesuffix("_fixed")
    return name.removesuffix("float") if name.startswith("mp") else name
