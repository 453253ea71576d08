"""A show that listens: to a file beside the pictures, and to a live input."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import DeviceError, MediaError, MissingError, ShowError
from mien.look import EVERYONE
from mien.shows import Show, ShowPlayer, stream_clock
from mien.shows.ears import Ears, wants_sound
from mien.shows.follow import FollowedClock
from mien.shows.timecode import Timecode
from mien.types import F32Array, Frame
from mien_streamer.controls import sound_input
from mien_streamer.controls.desk import Desk
from mien_streamer.controls.sound import SoundControl
from mien_streamer.demo import beat
from mien_streamer.show_audio import write_wav
from mien_streamer.show_sound import HeardBeside, hear_file, start_in
from tests.shows.shows import HEAD, cue, show_of
from tests.shows.tape import RATE, play

FPS = 25
BEAT_S = 60.0 / beat.BPM
LEAD_S = 0.010
"""What is cut off the beat, so that its hits lie well inside the pictures' times."""


def wav(path: Path, *channels: F32Array) -> Path:
    length = max(map(len, channels))
    sound = np.zeros((length, 2), np.float32)
    for place, channel in enumerate(channels):
        sound[: len(channel), place] = channel
    if len(channels) == 1:
        sound[:, 1] = sound[:, 0]
    write_wav(path, np.round(sound * 32_000).astype(np.int16), RATE)
    return path


def music() -> F32Array:
    return (beat.render() / 32768.0).astype(np.float32).mean(axis=1)[round(LEAD_S * RATE) :]


def listening(*cues: str, clock: str = "", more: str = "") -> Show:
    return show_of(*cues, head=HEAD.replace("bpm = 120", f"bpm = 120\n{clock}") + more)


def worn(show: Show, path: Path, count: int, start_s: float = 0.0) -> list[str]:
    """Who is worn in each of the first pictures."""
    track = hear_file(path, show)
    player = ShowPlayer(show)
    clock = HeardBeside(stream_clock, track.from_s(start_s), player)
    faces = []
    for index in range(count):
        frame = Frame(
            index=index,
            bgr=np.zeros((2, 2, 3), np.uint8),
            capture_ns=0,
            pts_ns=round(index * 1e9 / FPS),
        )
        player.advance(*clock(frame))
        faces.append(player.state().wears[EVERYONE])
    return faces


def first_picture(time_s: float) -> int:
    return math.ceil(time_s * FPS)


def test_onsets_of_the_beat_turn_the_face_in_the_very_picture(tmp_path: Path) -> None:
    path = wav(tmp_path / "beat.wav", music())
    show = listening(
        cue("kick", onset="next", transition="cut"),
        cue("third bar", onset="from 4.75s", to="mei", transition="cut"),
    )
    faces = worn(show, path, 150)
    # The first hit after the sound has begun is the hat on 0.58; from 4.75 s on, the kick of bar 3.
    kick, third = first_picture(0.58 * BEAT_S - LEAD_S), first_picture(8 * BEAT_S - LEAD_S)
    assert faces == ["ada"] * kick + ["kai"] * (third - kick) + ["mei"] * (150 - third)
    assert worn(show, path, 150) == faces


def test_any_onset_fires_again_and_again(tmp_path: Path) -> None:
    hit = np.zeros(2 * RATE, np.float32)
    for at_s in (0.31, 0.91, 1.51):
        start = round(at_s * RATE)
        hit[start : start + 300] = 0.5 * np.random.default_rng(1).standard_normal(300)
    path = wav(tmp_path / "hits.wav", hit)
    show = listening(
        cue("flash", onset="any", transition="cut"),
        cue("off", after="flash", delay="0.2s", to="ada", transition="cut"),
    )
    faces = worn(show, path, 50)
    turns = [k for k in range(1, 50) if faces[k] == "kai" != faces[k - 1]]
    assert turns == [first_picture(at_s) for at_s in (0.31, 0.91, 1.51)]


def tape(**how: Any) -> F32Array:
    return play(Timecode(1, 0, 4, 0), 100, 25.0, nominal=25, **how)[0]


def test_a_show_that_follows_timecode_is_exact_to_the_picture(tmp_path: Path) -> None:
    path = wav(tmp_path / "tape.wav", tape())
    show = listening(
        cue("one", at="5.2s", transition="cut"),
        cue("two", timecode="01:00:06:20", to="mei", transition="cut"),
        clock='follow = "ltc"\nzero = "01:00:00:00"',
    )
    assert worn(show, path, 95) == ["ada"] * 30 + ["kai"] * 40 + ["mei"] * 25


def test_at_half_the_speed_it_takes_twice_as_long(tmp_path: Path) -> None:
    path = wav(tmp_path / "slow.wav", tape(speed=lambda share: 0.5))
    show = listening(
        cue("one", at="4.4s", transition="cut"), clock='follow = "ltc"\nzero = "01:00:00:00"'
    )
    assert worn(show, path, 60) == ["ada"] * 20 + ["kai"] * 40


def test_timecode_beside_music_is_found_and_is_no_music(tmp_path: Path) -> None:
    path = wav(tmp_path / "both.wav", np.zeros(4 * RATE, np.float32), tape())
    show = listening(
        cue("hit", onset="next", transition="cut"),
        cue("one", timecode="01:00:05:00", to="mei", transition="cut"),
        more="[sound]\ntimecode_channel = 2\n",
    )
    assert worn(show, path, 90) == ["ada"] * 25 + ["mei"] * 65
    path = wav(tmp_path / "music.wav", music(), tape())
    assert worn(show, path, 60)[first_picture(0.58 * BEAT_S - LEAD_S)] == "kai"


def test_a_rendering_from_a_cue_finds_its_place_on_the_tape(tmp_path: Path) -> None:
    path = wav(tmp_path / "tape.wav", tape(lead_s=1.0))
    show = listening(
        cue("one", at="5s", transition="cut"), clock='follow = "ltc"\nzero = "01:00:00:00"'
    )
    track = hear_file(path, show)
    assert start_in(track, show, 5.0) == pytest.approx(2.0, abs=0.005)
    with pytest.raises(ShowError, match="never reaches"):
        start_in(track, show, 3000.0)
    with pytest.raises(ShowError, match="never reaches"):
        start_in(track, show, 1.0)
    assert start_in(track, listening(cue("one")), 7.0) == 7.0


def test_compressed_sound_will_do(tmp_path: Path) -> None:
    path = tmp_path / "tape.m4a"
    sound = tape()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=128_000)
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.rate, frame.pts = RATE, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    show = listening(
        cue("one", at="5.2s", transition="cut"), clock='follow = "ltc"\nzero = "01:00:00:00"'
    )
    assert worn(show, path, 60) == ["ada"] * 30 + ["kai"] * 30


def test_files_that_cannot_be_heard(tmp_path: Path) -> None:
    show = listening(cue("one", onset="any"))
    (tmp_path / "text.wav").write_text("no sound at all\n" * 50)
    with pytest.raises(MediaError):
        hear_file(tmp_path / "text.wav", show)
    with pytest.raises(MediaError, match="no such file"):
        hear_file(tmp_path / "none.wav", show)
    silent = tmp_path / "silent.mp4"
    with av.open(str(silent), "w") as container:
        stream = container.add_stream("h264", rate=25)
        stream.width = stream.height = 64
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="bgr24")
        container.mux([*stream.encode(picture), *stream.encode(None)])
    with pytest.raises(MediaError, match="holds no sound"):
        hear_file(silent, show)


def test_who_wants_sound() -> None:
    assert not wants_sound(listening(cue("one", at="1s")))
    assert not wants_sound(listening(cue("one", timecode="0:0:1:0"), clock='follow = "mtc"'))
    assert wants_sound(listening(cue("one"), clock='follow = "ltc"'))
    assert wants_sound(listening(cue("one", onset="any")))
    with pytest.raises(ValueError, match="channels"):
        Ears(listening(cue("one")), RATE, 0)


@given(st.binary(max_size=4000))
@settings(max_examples=10, deadline=None)
def test_no_sound_does_harm(noise: bytes) -> None:
    ears = Ears(listening(cue("one", onset="any"), clock='follow = "ltc"'), RATE, 2)
    samples = np.frombuffer(noise[: len(noise) // 8 * 8], np.float32).reshape(2, -1)
    for _ in range(3):
        assert all(one.label is None for one in ears.feed(samples))
    for bad in (np.nan, np.inf, -np.inf, 1e38):
        ears.feed(np.full((2, 4800), bad, np.float32))
    sound = tape()
    heard = ears.feed(np.stack([np.zeros_like(sound), sound]))
    assert sum(one.label is not None for one in heard) == 99


# Live.


class Microphone:
    """An input on which a test plays."""

    name, rate, channels = "test", RATE, 2

    def __init__(self) -> None:
        self.take: sound_input.Take | None = None
        self.closed = False

    def start(self, take: sound_input.Take) -> None:
        self.take = take

    def play(self, sound: F32Array, begun_s: float, block: int = 480) -> None:
        assert self.take is not None
        both = np.stack([np.zeros_like(sound), sound])
        for start in range(0, len(sound), block):
            self.take(both[:, start : start + block], begun_s + start / RATE)

    def close(self) -> None:
        self.closed = True


def soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10.0
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def test_live_timecode_moves_the_playhead_and_fires_cues() -> None:
    show = listening(
        cue("one", timecode="01:00:05:00", transition="cut"),
        clock='follow = "ltc"\nzero = "01:00:00:00"',
    )
    player = ShowPlayer(show, clock=lambda: 0.0)
    follow = FollowedClock(lambda: 0.0)
    microphone = Microphone()
    control = SoundControl(player, microphone, follow=follow)
    player.advance(100.0, 0.0)
    microphone.play(tape(), begun_s=100.0, block=4800)
    assert soon(lambda: control.heard >= 98)
    assert control.lost == 0
    # The last label that was heard, a moment later.
    assert follow.read(104.1) == pytest.approx(8.1, abs=0.01)
    events: list[float] = []
    player.listen(lambda event: events.append(event.time_s))
    player.advance(104.1, follow.read(104.1))
    assert player.state().wears[EVERYONE] == "kai"
    assert events[0] == pytest.approx(101.0, abs=0.005)
    control.close()
    assert microphone.closed


def test_live_onsets_fire_at_their_own_moment() -> None:
    player = ShowPlayer(listening(cue("hit", onset="next", duration="1s")), clock=lambda: 0.0)
    microphone = Microphone()
    control = SoundControl(player, microphone)
    player.advance(10.0)
    sound = np.zeros(RATE // 2, np.float32)
    sound[9600:9900] = 0.5
    microphone.play(sound, begun_s=10.0)
    assert soon(lambda: control.heard == 1)
    events: list[float] = []
    player.listen(lambda event: events.append(event.time_s))
    player.advance(10.3)
    assert events == [pytest.approx(10.2, abs=0.002)]
    control.close()


def test_sound_that_comes_too_fast_is_counted_and_dropped() -> None:
    player = ShowPlayer(listening(cue("hit", onset="any")))
    microphone = Microphone()
    control = SoundControl(player, microphone)
    microphone.play(np.zeros(60 * RATE, np.float32), 0.0, block=64)
    assert control.lost > 0
    control.close()


def test_a_file_plays_in_its_own_time(tmp_path: Path) -> None:
    path = wav(tmp_path / "hit.wav", np.zeros(RATE // 5, np.float32))
    sound = sound_input.open_sound(f"file:{path}")
    came: list[tuple[int, float]] = []
    begun_s = time.monotonic()
    sound.start(lambda block, at_s: came.append((block.shape[1], at_s)))
    assert soon(lambda: sum(length for length, _ in came) == RATE // 5)
    assert time.monotonic() - begun_s >= 0.2
    assert sound.channels == 2
    assert came[-1][1] - came[0][1] == pytest.approx(0.2 - came[-1][0] / RATE)
    sound.close()
    sound.close()


def test_a_desk_hears_and_lets_go(tmp_path: Path) -> None:
    path = wav(tmp_path / "beat.wav", music()[: 2 * RATE])
    player = ShowPlayer(listening(cue("one", onset="next", transition="cut")))
    player.advance(time.monotonic())

    def wears() -> str:
        player.advance(time.monotonic())
        return player.state().wears[EVERYONE]

    with Desk(player, audio_in=f"file:{path}"):
        assert soon(lambda: wears() == "kai")
    with pytest.raises(MediaError):
        Desk(player, audio_in="file:nothing.wav")


class PortAudio:
    """What mien asks of sounddevice."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *devices: dict[str, Any]) -> None:
        self.devices = devices
        self.open: list[Any] = []

    def query_devices(self, kind: str = "") -> Any:
        return self.devices[1] if kind == "input" else iter(self.devices)

    def InputStream(self, **how: Any) -> Any:
        if how["device"] == 7:
            raise self.PortAudioError("busy")
        stream = SimpleNamespace(how=how, start=lambda: None, close=lambda: self.open.clear())
        self.open.append(stream)
        return stream


def device(index: int, name: str, inputs: int = 2) -> dict[str, Any]:
    return {
        "index": index,
        "name": name,
        "max_input_channels": inputs,
        "default_samplerate": 44100.0,
    }


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> PortAudio:
    made = PortAudio(device(0, "Speakers", 0), device(3, "Deck A", 128), device(7, "Deck B"))
    monkeypatch.setitem(sys.modules, "sounddevice", made)  # type: ignore[arg-type]
    return made


def test_a_device_is_found_by_number_or_name_and_handed_on(portaudio: PortAudio) -> None:
    for spec in ("default", "3", "deck a"):
        sound = sound_input.open_sound(spec)
        assert (sound.name, sound.rate, sound.channels) == ("Deck A", 44100, 2)
    blocks: list[tuple[F32Array, float]] = []
    sound.start(lambda block, at_s: blocks.append((block, at_s)))
    times = SimpleNamespace(currentTime=5.0, inputBufferAdcTime=4.98)
    now_s = time.monotonic()
    portaudio.open[0].how["callback"](np.ones((441, 2), np.float32), 441, times, None)
    (block, at_s), *_ = blocks
    assert block.shape == (2, 441)
    assert at_s == pytest.approx(now_s - 0.02, abs=0.01)
    sound.close()
    assert portaudio.open == []


def test_devices_that_are_not_there_are_named(portaudio: PortAudio) -> None:
    with pytest.raises(DeviceError, match="no audio input") as caught:
        sound_input.open_sound("Deck C")
    assert "3 Deck A, 7 Deck B" in caught.value.hint
    with pytest.raises(DeviceError, match="busy"):
        sound_input.open_sound("7").start(lambda block, at_s: None)
    portaudio.devices = ()
    with pytest.raises(DeviceError, match="default"):
        sound_input.open_sound("default")


def test_without_the_library_the_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(error: Exception) -> Callable[[str], None]:
        def load(name: str) -> None:
            raise error

        return load

    for error, hint in (
        (ImportError("No module named 'sounddevice'"), "mien[audio]"),
        (OSError("PortAudio library not found"), "sounddevice|libportaudio2"),
    ):
        monkeypatch.setattr(sound_input.importlib, "import_module", missing(error))
        with pytest.raises(MissingError) as caught:
            sound_input.open_sound("default")
        assert any(word in caught.value.hint for word in hint.split("|"))


def test_an_alsa_device_that_is_not_there_is_told() -> None:
    with pytest.raises(DeviceError):
        sound_input.open_sound("alsa:no-such-card")


def test_labels_are_counted_back_to_the_first_picture(tmp_path: Path) -> None:
    show = listening(cue("one"), clock='follow = "ltc"')
    track = hear_file(wav(tmp_path / "tape.wav", tape()), show)
    first, second = islice((one.label for one in track.heard), 2)
    assert first == Timecode(1, 0, 4, 0)
    assert second == Timecode(1, 0, 4, 1)
