"""Everything that should not be handed in, handed in.

Each case gets the right exit code, one line that says what and one that says what to do,
no traceback, nothing half-written, and what was there before stays.
"""

from __future__ import annotations

import errno
import io
import json
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from mien.errors import DeviceError
from mien.types import Frame, U8Array
from mien_streamer.cli import live as live_command
from mien_streamer.sinks.video import VideoFileSink
from mien_streamer.sources.source import ClosingSource, SourceInfo
from tests.cli.conftest import PERSONA, Mien, Result, write_clip
from tests.cli.conftest import demo_frames as demo_frames
from tests.cli.conftest import home as home
from tests.cli.conftest import mien as mien
from tests.cli.conftest import quick as quick
from tests.cli.conftest import talking as talking

PRECIOUS = b"what was there before"


@dataclass(frozen=True)
class Bench:
    """A folder of inputs and one of outputs, with something precious in it."""

    inputs: Path
    outputs: Path
    home: Path
    talking: Path
    frames: list[U8Array]

    @property
    def output(self) -> Path:
        return self.outputs / "out.mp4"

    def write(self, name: str, data: bytes) -> Path:
        path = self.inputs / name
        path.write_bytes(data)
        return path

    def photo(self, name: str, picture: U8Array) -> Path:
        path = self.inputs / name
        assert cv2.imwrite(str(path), picture)
        return path

    def clip(self, name: str, frames: list[U8Array]) -> Path:
        path = self.inputs / name
        write_clip(path, frames)
        return path


@pytest.fixture
def bench(tmp_path: Path, home: Path, talking: Path, demo_frames: list[U8Array]) -> Bench:
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    outputs.mkdir()
    for name in ("out.mp4", "out.png", "report.json"):
        (outputs / name).write_bytes(PRECIOUS)
    return Bench(inputs, outputs, home, talking, demo_frames)


def assert_clear_failure(result: Result, code: int, bench: Bench) -> None:
    assert "Traceback" not in result.err
    assert result.code == code, result.err
    what, *rest = result.error_lines
    assert what.startswith("error: ")
    assert len(what) > len("error: ") + 10
    assert len(rest) == 1, result.err
    assert rest[0].startswith("  try: ")
    assert_nothing_lost(bench)


def assert_nothing_lost(bench: Bench) -> None:
    left = {path.name: path for path in bench.outputs.iterdir()}
    assert sorted(left) == ["out.mp4", "out.png", "report.json"]
    for path in left.values():
        assert path.read_bytes() == PRECIOUS


# Inputs of swap that cannot be used.


def truncated_moov(bench: Bench) -> Path:
    return bench.write("cut.mp4", bench.talking.read_bytes()[:4000])


def noise(bench: Bench) -> Path:
    return bench.write("noise.mp4", np.random.default_rng(0).bytes(20_000))


def sound_only(bench: Bench) -> Path:
    path = bench.inputs / "sound.mp4"
    with av.open(str(bench.talking)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


def empty_folder(bench: Bench) -> Path:
    (bench.inputs / "empty").mkdir()
    return bench.inputs / "empty"


def mixed_folder(bench: Bench) -> Path:
    folder = bench.inputs / "mixed"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), bench.frames[0])
    cv2.imwrite(str(folder / "b.png"), bench.frames[0][:200])
    return folder


def truncated_image(bench: Bench) -> Path:
    encoded = cv2.imencode(".png", bench.frames[0])[1].tobytes()
    return bench.write("cut.png", encoded[:300])


def no_face_clip(bench: Bench) -> Path:
    wall = np.full((180, 320, 3), 120, np.uint8)
    return bench.clip("wall.mp4", [wall] * 8)


BAD_MEDIA: dict[str, tuple[Callable[[Bench], object], int]] = {
    "missing": (lambda bench: bench.inputs / "nowhere.mp4", 3),
    "empty": (lambda bench: bench.write("empty.mp4", b""), 3),
    "empty image": (lambda bench: bench.write("empty.png", b""), 3),
    "text": (lambda bench: bench.write("text.mp4", b"this is not a video\n" * 50), 3),
    "text as image": (lambda bench: bench.write("text.jpg", b"this is not a photo\n"), 3),
    "noise": (noise, 3),
    "truncated": (truncated_moov, 3),
    "truncated image": (truncated_image, 3),
    "sound only": (sound_only, 3),
    "empty folder": (empty_folder, 3),
    "clip without a face": (no_face_clip, 3),
    "one pixel": (lambda bench: bench.photo("dot.png", np.zeros((1, 1, 3), np.uint8)), 3),
    "unreachable address": (lambda bench: "http://127.0.0.1:9/clip.mp4", 3),
    "unknown scheme": (lambda bench: "gopher://127.0.0.1/clip", 3),
    "name that is no name": (lambda bench: "\0", 3),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("case", BAD_MEDIA)
def test_bad_media(case: str, bench: Bench, mien: Mien) -> None:
    make, code = BAD_MEDIA[case]
    report = bench.outputs / "report.json"
    result = mien("swap", make(bench), "-p", PERSONA, "-o", bench.output, "--report", report)
    assert_clear_failure(result, code, bench)


def broken_off(bench: Bench) -> Path:
    whole = bench.inputs / "whole.mkv"
    write_clip(whole, bench.frames)
    data = whole.read_bytes()
    return bench.write("cut.mkv", data[: len(data) * 2 // 3])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("make", [broken_off, mixed_folder])
def test_an_input_that_breaks_off_keeps_what_could_be_read(
    make: Callable[[Bench], Path], bench: Bench, mien: Mien
) -> None:
    result = mien("swap", make(bench), "-p", PERSONA, "-o", bench.output)
    assert "Traceback" not in result.err
    assert result.code == (3 if make is mixed_folder else 0)
    with av.open(str(bench.output)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert 0 < frames < len(bench.frames)
    assert sorted(path.name for path in bench.outputs.iterdir()) == [
        "out.mp4",
        "out.png",
        "report.json",
    ]


# Outputs that cannot be written.

BAD_OUTPUTS: dict[str, tuple[Callable[[Bench], object], int]] = {
    "unknown format": (lambda bench: bench.outputs / "out.xyz", 2),
    "a format that holds no variable rate": (lambda bench: bench.outputs / "out.avi", 2),
    "the input itself": (lambda bench: bench.talking, 2),
    "folder that does not exist": (lambda bench: bench.outputs / "no" / "out.mp4", 1),
    "inside a file": (lambda bench: bench.outputs / "out.png" / "out.mp4", 1),
    "a name too long": (lambda bench: bench.outputs / ("x" * 300 + ".mp4"), 1),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_bad_output(case: str, bench: Bench, mien: Mien) -> None:
    make, code = BAD_OUTPUTS[case]
    before = bench.talking.read_bytes()
    result = mien("swap", bench.talking, "-p", PERSONA, "-o", make(bench))
    assert_clear_failure(result, code, bench)
    assert bench.talking.read_bytes() == before


@pytest.mark.usefixtures("quick")
def test_a_report_that_cannot_be_written_stops_the_work_before_it_begins(
    bench: Bench, mien: Mien
) -> None:
    report = bench.outputs / "no" / "report.json"
    result = mien("swap", bench.talking, "-p", PERSONA, "-o", bench.output, "--report", report)
    assert_clear_failure(result, 1, bench)


@pytest.mark.usefixtures("quick")
def test_a_full_disk(bench: Bench, mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = VideoFileSink._encode

    def encode(self: VideoFileSink, picture: av.VideoFrame | None) -> None:
        if self.frames >= 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(self, picture)

    monkeypatch.setattr(VideoFileSink, "_encode", encode)
    result = mien("swap", bench.talking, "-p", PERSONA, "-o", bench.output)
    assert_clear_failure(result, 1, bench)
    assert "disk is full" in result.err


@pytest.mark.usefixtures("quick")
@pytest.mark.skipif(sys.platform == "win32", reason="file sizes cannot be limited there")
def test_a_file_that_may_not_grow(bench: Bench, mien: Mien) -> None:
    """The system itself refuses to write on, in the middle of a file."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        result = mien("swap", bench.talking, "-p", PERSONA, "-o", bench.output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_clear_failure(result, 1, bench)


# Personas that cannot be worn.


def parts_of(bench: Bench) -> dict[str, bytes]:
    with zipfile.ZipFile(bench.home / "personas" / f"{PERSONA}.persona") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(bench: Bench, parts: dict[str, bytes], name: str = "bad.persona") -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part, data in parts.items():
            archive.writestr(part, data)
    return bench.write(name, buffer.getvalue())


def with_manifest(bench: Bench, **changes: object) -> Path:
    parts = parts_of(bench)
    manifest = {**json.loads(parts["manifest.json"]), **changes}
    return packed(bench, {**parts, "manifest.json": json.dumps(manifest).encode()})


def wrong_hash(bench: Bench) -> Path:
    parts = parts_of(bench)
    arrays = bytearray(parts["arrays.safetensors"])
    arrays[-1] ^= 255
    return packed(bench, {**parts, "arrays.safetensors": bytes(arrays)})


def absurd_array(bench: Bench) -> Path:
    header = json.dumps(
        {"texture": {"dtype": "U8", "shape": [10**9, 10**9, 3], "data_offsets": [0, 3 * 10**18]}}
    ).encode()
    arrays = len(header).to_bytes(8, "little") + header
    return packed(bench, {**parts_of(bench), "arrays.safetensors": arrays})


def zip_bomb(bench: Bench) -> Path:
    path = bench.inputs / "bomb.persona"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts_of(bench).items():
            archive.writestr(name, data)
        archive.writestr("more.bin", bytes(300 * 2**20))
    return path


class Exploit:
    """Unpickling it would leave a file behind."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("open('pwned', 'w').close()",))


BAD_PERSONAS: dict[str, Callable[[Bench], object]] = {
    "unknown name": lambda bench: "nobody-of-that-name",
    "blank": lambda bench: " ",
    "missing file": lambda bench: bench.inputs / "no.persona",
    "empty file": lambda bench: bench.write("empty.persona", b""),
    "not a zip": lambda bench: bench.write("text.persona", b"hello" * 100),
    "half a zip": lambda bench: bench.write(
        "half.persona",
        (bench.home / "personas" / f"{PERSONA}.persona").read_bytes()[:500],
    ),
    "path trick": lambda bench: packed(bench, {**parts_of(bench), "../../evil": b"x"}),
    "wrong hash": wrong_hash,
    "unknown version": lambda bench: with_manifest(bench, format=999, format_version=999),
    "no consent": lambda bench: with_manifest(bench, consent=None),
    "pickle inside": lambda bench: packed(
        bench, {**parts_of(bench), "arrays.safetensors": pickle.dumps(Exploit())}
    ),
    "array of absurd size": absurd_array,
    "zip bomb": zip_bomb,
    "portrait missing": lambda bench: bench.inputs / "no.png",
    "portrait empty": lambda bench: bench.write("empty.png", b""),
    "portrait is text": lambda bench: bench.write("text.jpg", b"not a photo"),
    "portrait without a face": lambda bench: bench.photo(
        "wall.png", np.full((300, 300, 3), 120, np.uint8)
    ),
    "portrait with two faces": lambda bench: bench.photo(
        "two.png", np.hstack([bench.frames[0], bench.frames[0]])
    ),
    "portrait of one pixel": lambda bench: bench.photo("dot.png", np.zeros((1, 1, 3), np.uint8)),
    "tiny portrait": lambda bench: bench.photo("tiny.png", cv2.resize(bench.frames[0], (32, 18))),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("case", BAD_PERSONAS)
def test_bad_persona(case: str, bench: Bench, mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench.inputs)
    named = BAD_PERSONAS[case](bench)
    result = mien("swap", bench.talking, "-p", named, "-o", bench.output)
    assert_clear_failure(result, 3, bench)
    assert not (bench.inputs / "pwned").exists()
    assert not (bench.inputs.parent / "evil").exists()


BAD_CREATIONS: dict[str, tuple[tuple[object, ...], int]] = {
    "no consent": (("new", "photo.png"), 2),
    "blank consent": (("new", "photo.png", "--consent", " "), 3),
    "no photo": (("new", "--consent", "yes"), 2),
    "name with a path": (("../new", "photo.png", "--consent", "yes"), 3),
    "date that has passed": (("new", "photo.png", "--consent", "yes", "--until", "2020-01-01"), 3),
    "date that is none": (("new", "photo.png", "--consent", "yes", "--until", "soon"), 3),
    "face that is none": (("new", "photo.png", "--consent", "yes", "--face", "prettiest"), 2),
    "missing photo": (("new", "no.png", "--consent", "yes"), 3),
    "name that is taken": ((PERSONA, "photo.png", "--consent", "yes"), 3),
    "two faces": (("new", "two.png", "--consent", "yes"), 3),
}


@pytest.mark.parametrize("case", BAD_CREATIONS)
def test_bad_persona_creation(
    case: str, bench: Bench, mien: Mien, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.inputs)
    bench.photo("photo.png", bench.frames[0])
    bench.photo("two.png", np.hstack([bench.frames[0], bench.frames[0]]))
    arguments, code = BAD_CREATIONS[case]
    assert_clear_failure(mien("persona", "create", *arguments), code, bench)
    assert [path.stem for path in (bench.home / "personas").iterdir()] == [PERSONA]


# Unusual but good: photos.


def save_rotated(path: Path, picture: U8Array) -> None:
    """Stored lying on its side, with the EXIF tag that sets it upright."""
    image = Image.fromarray(np.ascontiguousarray(np.rot90(picture)[..., ::-1]))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


def save_huge(path: Path, picture: U8Array) -> None:
    cv2.imwrite(str(path), cv2.resize(picture, (13_400, 7_540), interpolation=cv2.INTER_LINEAR))


def save_16_bit(path: Path, picture: U8Array) -> None:
    cv2.imwrite(str(path), picture.astype(np.uint16) * 257)


def save_cmyk(path: Path, picture: U8Array) -> None:
    Image.fromarray(np.ascontiguousarray(picture[..., ::-1])).convert("CMYK").save(path)


def save_with_alpha(path: Path, picture: U8Array) -> None:
    alpha = np.full((*picture.shape[:2], 1), 255, np.uint8)
    cv2.imwrite(str(path), np.concatenate([picture, alpha], axis=2))


GOOD_PHOTOS: dict[str, tuple[str, Callable[[Path, U8Array], object]]] = {
    "grey": ("grey.png", lambda path, bgr: cv2.imwrite(str(path), bgr[..., 1])),
    "16 bit": ("deep.png", save_16_bit),
    "CMYK": ("print.jpg", save_cmyk),
    "EXIF-rotated": ("phone.jpg", save_rotated),
    "with alpha": ("alpha.png", save_with_alpha),
    "100 megapixels": ("huge.jpg", save_huge),
}


@pytest.mark.parametrize("case", GOOD_PHOTOS)
def test_unusual_photos_become_personas(case: str, bench: Bench, mien: Mien) -> None:
    name, save = GOOD_PHOTOS[case]
    save(bench.inputs / name, bench.frames[0])
    result = mien("persona", "create", "new", bench.inputs / name, "--consent", "test")
    assert result.code == 0, result.err
    listed = json.loads(mien("persona", "list", "--json").out)
    assert "new" in [entry["name"] for entry in listed if not entry["problem"]]
    assert mien("persona", "remove", "new").code == 0


# Unusual but good: clips.


def odd_sides(bench: Bench) -> Path:
    """1279x719 does not fit 4:2:0; MJPEG in 4:4:4 holds it."""
    path = bench.inputs / "odd.mkv"
    picture = cv2.resize(bench.frames[0], (1279, 719))
    write_frames(path, [picture] * 3, codec="ffv1", pix_fmt="bgr0")
    return path


def upright(bench: Bench) -> Path:
    picture = np.ascontiguousarray(bench.frames[0][:, 200:402])
    return bench.clip("upright.mp4", [cv2.resize(picture, (720, 1282))] * 3)


def eight_k(bench: Bench) -> Path:
    return bench.photo("8k.jpg", cv2.resize(bench.frames[0], (7680, 4320)))


def ten_bit(bench: Bench) -> Path:
    path = bench.inputs / "deep.mkv"
    write_frames(path, bench.frames[:4], codec="ffv1", pix_fmt="yuv420p10le")
    return path


def hdr(bench: Bench) -> Path:
    """BT.2020 with the PQ curve, as phones record it."""
    path = bench.inputs / "hdr.mkv"
    tags = {"color_primaries": 9, "color_trc": 16, "colorspace": 9}
    write_frames(path, bench.frames[:4], codec="ffv1", pix_fmt="yuv420p10le", tags=tags)
    return path


def no_timestamps(bench: Bench) -> Path:
    path = bench.inputs / "raw.h264"
    write_frames(path, bench.frames[:6], codec="libx264", pix_fmt="yuv420p")
    return path


def write_frames(
    path: Path,
    frames: list[U8Array],
    *,
    codec: str,
    pix_fmt: str,
    tags: dict[str, int] | None = None,
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))


def leaves_and_returns(bench: Bench) -> Path:
    wall = np.full_like(bench.frames[0], 90)
    return bench.clip("leaves.mp4", [*bench.frames[:6], *[wall] * 6, *bench.frames[6:12]])


def cut_to_another_scene(bench: Bench) -> Path:
    other = [np.ascontiguousarray(frame[:, ::-1] // 2 + 60) for frame in bench.frames[:6]]
    shifted = [np.roll(frame, 180, axis=1) for frame in other]
    return bench.clip("cut.mp4", [*bench.frames[:6], *shifted])


def two_people_cross(bench: Bench) -> Path:
    """Two half-size heads walk through each other."""
    frames = []
    for step in range(16):
        stage = np.full((360, 640, 3), 100, np.uint8)
        first = cv2.resize(bench.frames[step], (320, 180))
        second = np.ascontiguousarray(first[:, ::-1] // 2 + 40)
        for picture, left in ((second, 320 - 20 * step), (first, 20 * step)):
            left = min(max(left, 0), 320)
            stage[90:270, left : left + 320] = picture
        frames.append(stage)
    return bench.clip("cross.mp4", frames)


GOOD_CLIPS: dict[str, tuple[Callable[[Bench], Path], str]] = {
    "odd sides": (odd_sides, "new.mp4"),
    "portrait format": (upright, "new.mp4"),
    "8K": (eight_k, "new.jpg"),
    "10 bit": (ten_bit, "new.mp4"),
    "HDR": (hdr, "new.mp4"),
    "no timestamps": (no_timestamps, "new.mp4"),
    "face leaves and returns": (leaves_and_returns, "new.mp4"),
    "cut": (cut_to_another_scene, "new.mp4"),
    "two people cross": (two_people_cross, "new.mp4"),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("case", GOOD_CLIPS)
def test_unusual_clips_are_swapped(case: str, bench: Bench, mien: Mien) -> None:
    make, name = GOOD_CLIPS[case]
    output = bench.outputs / name
    result = mien("swap", make(bench), "-p", PERSONA, "-o", output)
    assert result.code == 0, result.err
    assert output.stat().st_size > 0
    output.unlink()
    assert_nothing_lost(bench)


@pytest.mark.usefixtures("quick")
def test_what_was_done_to_an_odd_clip_is_one_note(bench: Bench, mien: Mien) -> None:
    result = mien("swap", hdr(bench), "-p", PERSONA, "-o", bench.output)
    [note] = [line for line in result.err.splitlines() if "HDR" in line]
    assert note.startswith("note: ")


# A camera that is pulled out, and options that cannot be meant.


class FailingCamera(ClosingSource):
    """A few frames, then the cable is out."""

    def __init__(self, frames: list[U8Array]) -> None:
        self._frames = frames
        height, width = frames[0].shape[:2]
        self.info = SourceInfo(name="camera:0", width=width, height=height, is_live=True)

    def frames(self) -> Iterator[Frame]:
        import time

        for index, picture in enumerate(self._frames):
            time.sleep(0.05)
            now = time.monotonic_ns()
            yield Frame(index=index, bgr=picture.copy(), capture_ns=now, pts_ns=index * 50_000_000)
        raise DeviceError("the camera camera:0 is gone", "plug it in and start again")


@pytest.mark.usefixtures("quick")
def test_a_camera_unplugged_in_the_middle(
    bench: Bench, mien: Mien, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = FailingCamera(bench.frames[:8])
    monkeypatch.setattr(live_command, "open_source", lambda *_, **__: camera)
    recording = bench.outputs / "show.mp4"
    result = mien("live", "-p", PERSONA, "--sink", f"file:{recording}")
    assert result.code == 4
    assert "error: the camera camera:0 is gone" in result.err
    assert "Traceback" not in result.err
    # What was recorded up to there is a whole file.
    with av.open(str(recording)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0


BAD_OPTIONS: dict[str, tuple[object, ...]] = {
    "no persona": ("swap", "in.mp4", "-o", "out.mp4"),
    "no output": ("swap", "in.mp4", "-p", PERSONA),
    "unknown option": ("swap", "in.mp4", "-p", PERSONA, "-o", "out.mp4", "--lickness", "1"),
    "likeness out of range": (
        *("swap", "in.mp4", "-p", PERSONA, "-o", "out.mp4"),
        *("--likeness", "2"),
    ),
    "likeness that is no number": (
        *("swap", "in.mp4", "-p", PERSONA, "-o", "out.mp4"),
        *("--likeness", "much"),
    ),
    "likeness that is NaN": (
        *("swap", "in.mp4", "-p", PERSONA, "-o", "out.mp4"),
        *("--likeness", "nan"),
    ),
    "endless duration": ("live", "-p", PERSONA, "--duration", "nan"),
    "unknown guard": ("live", "-p", PERSONA, "--guard", "loud"),
    "unknown command": ("swop",),
    "unknown sub-command": ("persona", "clone"),
    "unknown model": ("models", "info", "gpt"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options(case: str, bench: Bench, mien: Mien) -> None:
    assert_clear_failure(mien(*BAD_OPTIONS[case]), 2, bench)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "options",
    [
        ("--size", "big"),
        ("--size", "0x0"),
        ("--crop", "9"),
        ("--crop", "0,0,4000,4000"),
        ("--crop", "0,0,0,10"),
        ("--face", "nose"),
    ],
)
def test_bad_geometry(options: tuple[str, str], bench: Bench, mien: Mien) -> None:
    result = mien("swap", bench.talking, "-p", PERSONA, "-o", bench.output, *options)
    assert_clear_failure(result, 2, bench)


def test_an_unexpected_failure_is_one_line_and_debug_shows_the_rest(
    bench: Bench, mien: Mien, quick: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("mien_streamer.cli.swap.swap_file", broken)
    arguments = ("swap", bench.talking, "-p", PERSONA, "-o", bench.output)
    assert_clear_failure(mien(*arguments), 1, bench)
    assert "Traceback" in mien(*arguments, "--debug").err


def test_a_demo_does_not_write_over_a_file(mien: Mien, bench: Bench) -> None:
    result = mien("demo", "--out", bench.output)
    assert result.code == 1
    assert "is a file" in result.err
    assert bench.output.read_bytes() == PRECIOUS
