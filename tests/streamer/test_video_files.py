"""Video in, video out: timestamps, audio, turns, odd sizes, broken files."""

from __future__ import annotations

import gc
import logging
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mien.errors import MediaError, OutputError, UsageError
from mien_streamer.loop import run_offline
from mien_streamer.sinks import VideoFileSink, VideoOptions, open_sink
from mien_streamer.sources import open_source
from mien_streamer.sources.video import VideoSource
from tests.streamer.media import (
    audio_packets,
    make_video,
    passing,
    striped,
    video_times,
)

VARIABLE_TICKS = (0, 512, 700, 1500, 1501, 4000, 9000, 9512)


def copy(source: Path, target: Path, **options: object) -> None:
    """Run a file through the offline loop unchanged."""
    opened = open_source(str(source))
    run_offline(opened, passing, open_sink(str(target), opened.info, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "time_base", [Fraction(1, 15360), Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 1000)]
)
def test_variable_timestamps_survive_exactly(tmp_path: Path, time_base: Fraction) -> None:
    source = make_video(tmp_path / "in.mp4", ticks=VARIABLE_TICKS, time_base=time_base)
    copy(source, tmp_path / "out.mp4")
    assert video_times(source) == [tick * time_base for tick in VARIABLE_TICKS]
    assert video_times(tmp_path / "out.mp4") == video_times(source)


def test_a_late_first_frame_stays_late(tmp_path: Path) -> None:
    ticks = range(5120, 5120 + 10 * 512, 512)
    source = make_video(tmp_path / "in.mp4", ticks=ticks, audio="aac")
    copy(source, tmp_path / "out.mp4")
    assert video_times(source)[0] > Fraction(3, 10)
    assert video_times(tmp_path / "out.mp4") == video_times(source)
    assert audio_packets(tmp_path / "out.mp4") == audio_packets(source)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_audio_packets_survive_byte_for_byte(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / f"in{suffix}", audio="aac", time_base=Fraction(1, 1000))
    copy(source, tmp_path / f"out{suffix}")
    assert len(audio_packets(source)) > 20
    assert audio_packets(tmp_path / f"out{suffix}") == audio_packets(source)
    assert video_times(tmp_path / f"out{suffix}") == video_times(source)


def test_audio_that_mp4_cannot_hold_becomes_aac(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mkv", audio="pcm_s16le")
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        sound = list(container.decode(audio=0))
    samples = sum(frame.samples for frame in sound)
    assert samples == pytest.approx(24_000, abs=2048)  # AAC works in blocks of 1024
    assert np.abs(np.concatenate([f.to_ndarray()[0] for f in sound])).max() > 0.2


def test_audio_can_be_left_out(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", audio="aac")
    copy(source, tmp_path / "out.mp4", video=VideoOptions(audio=False))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


def test_audio_stops_where_a_stopped_video_stops(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", ticks=range(0, 60 * 512, 512), audio="aac", audio_s=2)
    opened = open_source(str(source))
    with VideoFileSink(tmp_path / "out.mp4", opened.info) as sink:
        for frame in opened.frames():
            if frame.index == 15:
                break
            sink.write(frame)
    opened.close()
    last = audio_packets(tmp_path / "out.mp4")[-1][0]
    assert Fraction(4, 10) < last <= Fraction(1, 2)


def test_transport_streams_start_near_zero_with_audio_in_step(tmp_path: Path) -> None:
    ticks = range(90_000 * 500, 90_000 * 500 + 12 * 3000, 3000)
    source = make_video(
        tmp_path / "in.ts",
        ticks=ticks,
        time_base=Fraction(1, 90_000),
        audio="aac",
        audio_start_s=500,
    )
    copy(source, tmp_path / "out.mp4")
    before, after = video_times(source), video_times(tmp_path / "out.mp4")
    assert before[0] == 500
    shift = before[0] - after[0]
    assert [time - shift for time in before] == after
    sound_before, sound_after = audio_packets(source), audio_packets(tmp_path / "out.mp4")
    # MPEG-TS counts 90000 ticks a second, MP4 audio 48000: the rounding is one of its ticks.
    for (was, _), (now, _) in zip(sound_before, sound_after, strict=True):
        assert abs(was - shift - now) <= Fraction(1, 48_000)


def test_pictures_survive_with_their_colours(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", size=(320, 240), options={})
    copy(source, tmp_path / "out.mp4", video=VideoOptions(crf=5))
    with open_source(str(source)) as before, open_source(str(tmp_path / "out.mp4")) as after:
        for one, two in zip(before.frames(), after.frames(), strict=True):
            assert np.abs(one.bgr.astype(int) - two.bgr).mean() < 2.0


def test_outputs_are_tagged_bt709_limited(tmp_path: Path) -> None:
    copy(make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4", metadata={"comment": "synthetic"})
    with av.open(str(tmp_path / "out.mp4")) as container:
        coder = container.streams.video[0].codec_context
        tags = (coder.colorspace, coder.color_primaries, coder.color_trc, coder.color_range)
        assert tags == (1, 1, 1, 1)
        assert coder.pix_fmt == "yuv420p"
        assert container.metadata["comment"] == "synthetic"


def test_free_metadata_keys_are_kept(tmp_path: Path) -> None:
    made = make_video(tmp_path / "in.mp4")
    copy(made, tmp_path / "out.mp4", metadata={"comment": "a", "mien_persona": "ada"})
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["mien_persona"] == "ada"
        assert container.metadata["comment"] == "a"


@pytest.mark.parametrize(
    ("rotation", "corner"), [(90, (-1, 0)), (180, (-1, -1)), (270, (0, -1)), (0, (0, 0))]
)
def test_rotation_metadata_is_honoured_and_baked(
    tmp_path: Path, rotation: int, corner: tuple[int, int]
) -> None:
    def marked(index: int, width: int, height: int) -> np.ndarray:
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:16, :16] = 255  # upper left as stored
        return picture

    source = make_video(tmp_path / "in.mp4", rotation=rotation, picture=marked)
    copy(source, tmp_path / "out.mp4")
    for path in (source, tmp_path / "out.mp4"):
        with open_source(str(path)) as opened:
            upright = next(iter(opened.frames())).bgr
            wanted = (64, 48) if rotation in (90, 270) else (48, 64)
            assert upright.shape[:2] == wanted == (opened.info.height, opened.info.width)
            assert upright[corner[0] * 3, corner[1] * 3].min() > 200
            assert (upright > 128).mean() == pytest.approx(256 / (64 * 48), abs=0.02)
    with open_source(str(tmp_path / "out.mp4")) as opened:
        assert opened.info.rotation_deg == 0


def test_a_mirrored_display_matrix_is_honoured(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", hflip=True, rotation=0.0)
    plain = make_video(tmp_path / "plain.mp4")
    with open_source(str(source)) as one, open_source(str(plain)) as two:
        mirrored, straight = next(iter(one.frames())).bgr, next(iter(two.frames())).bgr
    assert np.abs(mirrored[:, ::-1].astype(int) - straight).max() <= 4


@pytest.mark.parametrize("size", [(1279, 719), (1, 1), (33, 48), (48, 33), (90, 160)])
def test_odd_sizes_grow_to_even_by_repeating_the_edge(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    ticks = (0, 512)
    source = make_video(tmp_path / "in.mkv", size=size, codec="ffv1", pix_fmt="bgr0", ticks=ticks)
    copy(source, tmp_path / "out.mp4", video=VideoOptions(crf=2))
    with open_source(str(tmp_path / "out.mp4")) as opened:
        info = opened.info
        assert (info.width, info.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        frame = next(iter(opened.frames())).bgr[: size[1], : size[0]]
    assert np.abs(frame.astype(int) - striped(0, *size)).mean() < 6


def test_a_truncated_file_yields_what_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = make_video(
        tmp_path / "in.mp4",
        ticks=range(0, 90 * 512, 512),
        size=(320, 240),
        options={"movflags": "+faststart"},
        audio="aac",
    ).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with caplog.at_level(logging.WARNING):
        copy(cut, tmp_path / "out.mp4")
    got = video_times(tmp_path / "out.mp4")
    assert 10 < len(got) < 90
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert any("cut off" in r.getMessage() or "damaged" in r.getMessage() for r in said)
    assert len(said) <= 3


@pytest.mark.parametrize(("suffix", "least"), [("mp4", 40), ("mkv", 12)])
def test_damage_in_the_middle_is_skipped_and_counted(
    tmp_path: Path, suffix: str, least: int, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = range(0, 60 * 512, 512)
    made = make_video(tmp_path / f"in.{suffix}", ticks=ticks, size=(320, 240))
    data = bytearray(made.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = np.random.default_rng(1).bytes(200)
    broken = tmp_path / f"broken.{suffix}"
    broken.write_bytes(bytes(data))
    source = VideoSource(str(broken))
    assert len(list(source.frames())) >= least
    assert source.damaged > 0 or suffix == "mkv"  # Matroska skips to the next cluster
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def _text(path: Path) -> None:
    path.write_text("no media at all\n" * 100, encoding="ascii")


def _empty(path: Path) -> None:
    path.touch()


def _noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(20_000))


def _without_index(path: Path) -> None:
    whole = make_video(path.with_name("whole.mp4")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _only_sound(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((2, 1024), np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.txt", "clip"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (None, "no such file"),
        (_empty, "empty"),
        (_text, "not a video"),
        (_noise, "not a video"),
        (_without_index, "cut off"),
        (_only_sound, "no video track"),
    ],
)
def test_unusable_files_get_one_clear_line(
    tmp_path: Path, name: str, make: object, said: str
) -> None:
    path = tmp_path / name
    if callable(make):
        make(path)
    with pytest.raises(MediaError, match=said) as caught:
        open_source(str(path))
    assert "\n" not in caught.value.what
    assert caught.value.hint
    assert caught.value.exit_code == 3


def test_streams_without_timestamps_get_them_from_their_rate(tmp_path: Path) -> None:
    raw = tmp_path / "in.h264"
    make_video(raw, options={}, ticks=range(0, 8 * 512, 512))
    with open_source(str(raw)) as opened:
        times = [frame.pts_ns for frame in opened.frames()]
        assert opened.info.fps is not None
        step = 1e9 / opened.info.fps
    assert len(times) == 8
    assert np.diff(times) == pytest.approx(np.full(7, float(step)), rel=1e-3)


def test_frames_can_be_read_again_from_the_start(tmp_path: Path) -> None:
    with open_source(str(make_video(tmp_path / "in.mp4"))) as opened:
        first = [frame.pts_ns for frame in opened.frames()]
        assert [frame.pts_ns for frame in opened.frames()] == first
        assert len(first) == 12


def test_a_file_that_was_closed_can_be_read_again(tmp_path: Path) -> None:
    source = VideoSource(str(make_video(tmp_path / "in.mp4")))
    count = len(list(source.frames()))
    source.close()
    assert len(list(source.frames())) == count


def test_a_file_that_is_closed_while_it_starts_over_just_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = VideoSource(str(make_video(tmp_path / "in.mp4")))
    assert list(source.frames())

    def closed_meanwhile() -> None:
        source.close()
        raise MediaError("no picture", "")

    monkeypatch.setattr(source, "_open", closed_meanwhile)
    assert list(source.frames()) == []


def test_what_was_there_stays_until_success_and_after_failure(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    opened = open_source(str(make_video(tmp_path / "in.mp4")))

    def half_way(sink: VideoFileSink) -> None:
        for frame in opened.frames():
            sink.write(frame)
            assert target.read_bytes() == b"precious"
            if frame.index == 5:
                raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"), VideoFileSink(target, opened.info) as sink:
        half_way(sink)
    assert target.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
    copy(tmp_path / "in.mp4", target)
    assert len(video_times(target)) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_no_frame_means_no_file_and_a_clear_error(tmp_path: Path) -> None:
    opened = open_source(str(make_video(tmp_path / "in.mp4")))
    sink = VideoFileSink(tmp_path / "out.mp4", opened.info)
    with pytest.raises(OutputError, match="no frame"):
        sink.close()
    opened.close()
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    before = source.read_bytes()
    with open_source(str(source)) as opened:
        for spec in (str(source), f"file:{source}", str(tmp_path / "." / "in.mp4")):
            with pytest.raises(UsageError, match="same file"):
                open_sink(spec, opened.info)
    assert source.read_bytes() == before


def test_missing_folder_unknown_suffix_and_a_folder_as_target(tmp_path: Path) -> None:
    with open_source(str(make_video(tmp_path / "in.mp4"))) as opened:
        with pytest.raises(OutputError, match="does not exist"):
            open_sink(str(tmp_path / "no" / "out.mp4"), opened.info)
        with pytest.raises(UsageError, match="cannot tell"):
            open_sink(str(tmp_path / "out.xyz"), opened.info)
        (tmp_path / "dir.mp4").mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            VideoFileSink(tmp_path / "dir.mp4", opened.info)


def test_a_change_of_size_is_an_error(tmp_path: Path) -> None:
    one = open_source(str(make_video(tmp_path / "a.mp4", size=(64, 48))))
    two = open_source(str(make_video(tmp_path / "b.mp4", size=(96, 48))))
    sink = VideoFileSink(tmp_path / "out.mp4", one.info)
    sink.write(next(iter(one.frames())))
    with pytest.raises(OutputError, match="96x48"):
        sink.write(next(iter(two.frames())))
    sink.abort()
    one.close()
    two.close()


def test_a_source_that_is_dropped_midway_lets_go_of_its_pictures(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    source = VideoSource(str(path))
    gone = weakref.ref(source)
    gc.disable()  # what only the collector finds may lie about for thousands of frames
    try:
        next(iter(source.frames()))
        source.close()
        del source
        assert gone() is None
    finally:
        gc.enable()
