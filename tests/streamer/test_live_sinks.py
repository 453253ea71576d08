"""Virtual camera, window and its keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from mien.errors import DeviceError, OutputError, UsageError
from mien_streamer.controls import Action, HotKeys
from mien_streamer.loop import run_offline
from mien_streamer.sinks import open_sink
from mien_streamer.sinks.virtual_camera import INSTALL_HINTS, VirtualCameraSink
from mien_streamer.sinks.window import WindowSink, overlay_text
from tests.streamer.media import MadeSource, passing, striped

pyvirtualcam = pytest.importorskip("pyvirtualcam")


class FakeBackend:
    """A virtual camera that remembers what was sent; pyvirtualcam's own hook runs it."""

    made: ClassVar[list[FakeBackend]] = []

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **_: Any
    ) -> None:
        if device == "busy":
            raise RuntimeError("device busy: busy")
        self.size, self.fps, self.name = (height, width), fps, device or "fake"
        self.sent: list[np.ndarray] = []
        self.closed = False
        self.made.append(self)

    def send(self, frame: np.ndarray) -> None:
        self.sent.append(frame.copy())

    def close(self) -> None:
        self.closed = True

    def device(self) -> str:
        return self.name

    def native_fourcc(self) -> int | None:
        return None


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeBackend]]:
    known = dict(pyvirtualcam.camera.BACKENDS)
    pyvirtualcam.camera.BACKENDS.clear()
    pyvirtualcam.register_backend("fake", FakeBackend)
    FakeBackend.made.clear()
    yield FakeBackend
    pyvirtualcam.camera.BACKENDS.clear()
    pyvirtualcam.camera.BACKENDS.update(known)


@pytest.mark.parametrize("planar", [True, False])
def test_frames_arrive_as_sent(backend: type[FakeBackend], planar: bool) -> None:
    source = MadeSource(5, size=(64, 48), fps=25)
    run_offline(source, passing, VirtualCameraSink(source.info, planar=planar))
    (camera,) = backend.made
    assert (camera.size, camera.fps, camera.closed) == ((48, 64), 25.0, True)
    assert len(camera.sent) == 5
    flat = camera.sent[3]
    if planar:
        assert flat.size == 48 * 64 * 3 // 2
        picture = cv2.cvtColor(flat.reshape(72, 64), cv2.COLOR_YUV2BGR_I420)
    else:
        picture = flat.reshape(48, 64, 3)
    assert np.abs(picture.astype(int) - 3).max() <= 2


def test_colours_survive_the_planar_way(backend: type[FakeBackend]) -> None:
    source = MadeSource(1, size=(64, 48))
    sink = VirtualCameraSink(source.info, planar=True)
    frame = source.frame(0)
    frame.bgr[:] = (40, 90, 200)
    sink.write(frame)
    sink.close()
    picture = cv2.cvtColor(backend.made[0].sent[0].reshape(72, 64), cv2.COLOR_YUV2BGR_I420)
    assert np.abs(picture.astype(int) - (40, 90, 200)).max() <= 3


def test_odd_sizes_grow_to_even(backend: type[FakeBackend]) -> None:
    source = MadeSource(1, size=(63, 47))
    run_offline(source, passing, VirtualCameraSink(source.info, planar=True))
    assert backend.made[0].size == (48, 64)
    assert backend.made[0].sent[0].size == 48 * 64 * 3 // 2


def test_a_device_can_be_named_and_a_busy_one_says_so(backend: type[FakeBackend]) -> None:
    info = MadeSource(1).info
    sink = open_sink("virtualcam:left", info)
    assert isinstance(sink, VirtualCameraSink)
    assert sink.device == "left"
    sink.close()
    with pytest.raises(DeviceError, match="busy") as caught:
        open_sink("virtualcam:busy", info)
    assert caught.value.hint == INSTALL_HINTS.get(sys.platform, caught.value.hint)


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
def test_without_a_driver_the_error_says_how_to_install_one(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    def no_camera(**_: object) -> None:
        raise RuntimeError("'v4l2loopback' backend: No v4l2 loopback device found.")

    monkeypatch.setattr("pyvirtualcam.Camera", no_camera)
    monkeypatch.setattr("mien_streamer.sinks.virtual_camera.sys.platform", platform)
    with pytest.raises(DeviceError, match="no virtual camera") as caught:
        open_sink("virtualcam", MadeSource(1).info)
    wanted = "modprobe v4l2loopback" if platform == "linux" else "OBS Studio"
    assert wanted in caught.value.hint
    assert caught.value.exit_code == 4
    assert "\n" not in caught.value.what


def test_a_frame_of_another_size_is_refused(backend: type[FakeBackend]) -> None:
    sink = VirtualCameraSink(MadeSource(1, size=(64, 48)).info)
    with pytest.raises(OutputError, match="32x24"):
        sink.write(MadeSource(1, size=(32, 24)).frame(0))
    sink.close()


# Keys ------------------------------------------------------------------------------------


class Hands:
    """Keys pressed at chosen times."""

    def __init__(self) -> None:
        self.time_ns = 0
        self.keys = HotKeys(clock_ns=lambda: self.time_ns)

    def press(self, key: str, after_s: float = 0.1) -> Action | None:
        self.time_ns += round(after_s * 1e9)
        return self.keys.press(key)


def test_the_bare_face_needs_two_presses_within_two_seconds() -> None:
    hands = Hands()
    assert hands.press("b") is Action.CONFIRM_BARE
    assert hands.press("b", after_s=2.1) is Action.CONFIRM_BARE
    assert hands.press("b", after_s=1.9) is Action.BARE_ON
    assert hands.keys.bare
    assert hands.press("b") is Action.BARE_OFF
    assert not hands.keys.bare
    assert hands.press("b") is Action.CONFIRM_BARE


def test_any_other_key_takes_the_question_back() -> None:
    hands = Hands()
    hands.press("b")
    assert hands.press("up") is Action.LIKENESS_UP
    assert hands.press("b") is Action.CONFIRM_BARE
    assert not hands.keys.bare


def test_choosing_a_persona_ends_the_bare_face() -> None:
    hands = Hands()
    hands.press("b")
    hands.press("b")
    assert hands.press("right") is Action.NEXT_PERSONA
    assert not hands.keys.bare


@pytest.mark.parametrize(
    ("key", "action"),
    [
        ("Right", Action.NEXT_PERSONA),
        ("Left", Action.PREVIOUS_PERSONA),
        ("Up", Action.LIKENESS_UP),
        ("Down", Action.LIKENESS_DOWN),
        ("Space", Action.PANIC),
        ("Escape", Action.PANIC),
        ("Q", Action.QUIT),
        ("H", Action.HELP),
        ("x", None),
    ],
)
def test_keys_have_one_meaning(key: str, action: Action | None) -> None:
    assert Hands().press(key) is action


# Window ----------------------------------------------------------------------------------


@pytest.fixture
def sdl(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from mien_streamer.sinks.window import _load_sdl

    try:
        return _load_sdl()
    except DeviceError:
        pytest.skip("the window extra is not installed")


def type_key(sdl: Any, name: bytes, *, repeat: int = 0) -> None:
    event = sdl.SDL_Event()
    event.type = sdl.SDL_KEYDOWN
    event.key.keysym.sym = sdl.SDL_GetKeyFromName(name)
    event.key.repeat = repeat
    assert sdl.SDL_PushEvent(event) == 1


def test_the_window_shows_frames_and_reports_keys(sdl: Any) -> None:
    actions: list[Action] = []
    source = MadeSource(3, size=(64, 48))
    sink = WindowSink(actions.append)
    sink.write(source.frame(0))
    for name in (b"Right", b"Space", b"B", b"B", b"H"):
        type_key(sdl, name)
    type_key(sdl, b"Up", repeat=1)
    type_key(sdl, b"Space", repeat=1)
    sink.write(source.frame(1))
    quit_event = sdl.SDL_Event()
    quit_event.type = sdl.SDL_QUIT
    sdl.SDL_PushEvent(quit_event)
    sink.poll()
    assert actions == [
        Action.NEXT_PERSONA,
        Action.PANIC,
        Action.CONFIRM_BARE,
        Action.BARE_ON,
        Action.LIKENESS_UP,
        Action.QUIT,
    ]
    sink.write(MadeSource(1, size=(32, 20)).frame(0))  # the picture may change size
    sink.close()
    sink.close()


def test_the_window_never_paints_into_the_frame(sdl: Any) -> None:
    sink = WindowSink(lambda _: None)  # shows its help at first
    frame = MadeSource(1, size=(320, 240)).frame(0)
    before = frame.bgr.copy()
    sink.write(frame)
    sink.close()
    assert (frame.bgr == before).all()


def test_without_a_screen_the_error_says_what_else_there_is(
    sdl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "no such driver")
    with pytest.raises(DeviceError, match="cannot open a window") as caught:
        open_sink("window", MadeSource(1).info)
    assert "virtualcam" in caught.value.hint


def test_without_sdl_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sdl2", None)
    with pytest.raises(DeviceError, match="SDL") as caught:
        open_sink("window", MadeSource(1).info)
    assert "mien[window]" in caught.value.hint


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (1280, 720)])
def test_text_is_laid_over_a_copy(size: tuple[int, int]) -> None:
    picture = striped(0, *size)
    shown = overlay_text(picture, [("H", "help"), ("a notice", "")])
    assert shown is not picture
    assert shown.shape == picture.shape
    assert (picture == striped(0, *size)).all()


def test_webrtc_is_sent_live_and_the_error_says_how() -> None:
    with pytest.raises(UsageError, match="mien swap cannot write") as error:
        open_sink("webrtc", MadeSource(1).info)
    assert "mien live" in error.value.hint
    assert "--sink webrtc" in error.value.hint
