"""``mien show``, ``--show`` and several performers, from the command line."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import av
import numpy as np
import pytest

from mien.perception import FaceTracker
from mien.shows.timecode import Timecode
from mien.types import FaceTrack, Frame, Patch, U8Array
from mien_streamer.cli.casting import cast_of, single_persona
from mien_streamer.cli.show_ports import unheard
from mien_streamer.controls import midi
from mien_streamer.demo import beat
from mien_streamer.show_audio import write_wav
from mien_streamer.sources import open_source
from tests.cli.conftest import PERSONA, Mien, times_of, write_clip
from tests.pipeline.fakes import FakeSwapper, make_track
from tests.shows.shows import cue, show_of
from tests.shows.tape import RATE, play

SHOW = f"""\
[show]
name = "short"
start = "{PERSONA}"
[clock]
bpm = 240
[personas]
{PERSONA} = "{PERSONA}"
ada = "ada"
"""


@pytest.fixture
def show(tmp_path: Path, home: Path) -> Path:
    del home
    path = tmp_path / "show.toml"
    path.write_text(
        SHOW
        + cue("one", to="ada", at="beat 2", duration="1 beat")
        + cue("two", to=PERSONA, at="beat 3", transition="flicker", duration="1 beat")
        + cue("pad", to="pass-through", midi="note 36")
    )
    return path


def test_a_good_show_is_told_so(mien: Mien, show: Path) -> None:
    result = mien("show", "check", show)
    assert result.code == 0
    assert "3 cues, 2 personas" in result.out
    assert "1 by trigger or GO alone" in result.out


def test_a_bad_show_is_told_line_and_fix(mien: Mien, show: Path) -> None:
    show.write_text(SHOW.replace('"ada"', '"adda"') + cue("one", to="eve"))
    result = mien("show", "check", show)
    assert result.code == 3
    assert f"{show}:8: error: " in result.out
    assert f"{show}:11: error: no persona of this show is called 'eve'" in result.out
    assert result.out.count("try: ") == 2
    found = json.loads(mien("show", "check", show, "--json").out)
    assert found["playable"] is False
    assert [problem["line"] for problem in found["problems"]] == [8, 11]
    played = mien("show", "play", show, "--source", "x.mp4", "-o", "y.mp4")
    assert played.code == 3
    assert len(played.error_lines) == 2


def test_two_renderings_decide_and_draw_the_same(
    mien: Mien, show: Path, talking: Path, quick: FakeSwapper, tmp_path: Path
) -> None:
    del quick
    written = []
    for name in ("a", "b"):
        out, log = tmp_path / f"{name}.mp4", tmp_path / f"{name}.jsonl"
        result = mien(
            "show", "play", show, "--source", f"file:{talking}", "-o", out, "--decisions", log
        )
        assert result.code == 0, result.err
        written.append((out.read_bytes(), log.read_bytes()))
    assert written[0] == written[1]
    lines = [json.loads(line) for line in written[0][1].splitlines()]
    assert len(lines) == 24
    faces = [line["looks"][""]["face"] for line in lines]
    assert faces[0] == PERSONA
    first_blend = next(place for place, face in enumerate(faces) if isinstance(face, list))
    assert lines[first_blend]["pts_ns"] > 250_000_000
    assert lines[first_blend - 1]["pts_ns"] <= 250_000_000
    assert len(times_of(tmp_path / "a.mp4")) == 24


def test_a_rendering_from_a_cue_begins_with_it(
    mien: Mien, show: Path, talking: Path, quick: FakeSwapper, tmp_path: Path
) -> None:
    del quick
    out, log = tmp_path / "out.mp4", tmp_path / "log.jsonl"
    play = ("show", "play", show, "--source", talking, "-o", out, "--decisions", log)
    result = mien(*play, "--from", "two")
    assert result.code == 0, result.err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 12
    # The clip pauses from 0.5 s to 1 s, and the cue comes at 0.5 s.
    assert lines[0]["pts_ns"] == 500_000_000
    assert times_of(out, "audio")[0] == 0.0
    result = mien(*play, "--from", "nobody")
    assert result.code == 2
    assert "one, two, pad" in result.err


def test_a_rendering_hears_its_sound(
    mien: Mien, show: Path, talking: Path, quick: FakeSwapper, tmp_path: Path
) -> None:
    """Timecode on the right of a sound, a drum on the left; the cues come in their pictures."""
    del quick
    tape, _ = play(Timecode(10, 0, 0, 0), 60, 25.0, nominal=25)
    hit = np.zeros_like(tape)
    hit[15_000:15_300] = 0.5 * np.random.default_rng(1).standard_normal(300)
    sound = np.stack([hit, tape], axis=1)
    write_wav(tmp_path / "both.wav", np.round(sound * 32_000).astype(np.int16), RATE)
    head = SHOW.replace("bpm = 240", 'bpm = 240\nfollow = "ltc"\nzero = "10:00:00:00"')
    show.write_text(
        f"{head}[sound]\ntimecode_channel = 2\n"
        + cue("drum", to="ada", onset="next", transition="cut")
        + cue("label", to=PERSONA, timecode="10:00:01:05", transition="cut")
        + cue("clock", to="ada", at="1.4s", transition="cut")
    )
    log = tmp_path / "log.jsonl"
    rendering = ("show", "play", show, "--source", talking, "-o", tmp_path / "o.mp4")
    sounding = ("--audio", tmp_path / "both.wav", "--decisions", log)
    result = mien(*rendering, *sounding)
    assert result.code == 0, result.err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        time_s = line["pts_ns"] / 1e9
        wanted = PERSONA if 1.2 - 1e-3 <= time_s < 1.4 - 1e-3 or time_s < 0.3125 else "ada"
        assert line["looks"][""]["face"] == wanted, time_s
    result = mien(*rendering, *sounding, "--from", "clock")
    assert result.code == 0, result.err
    first = json.loads(log.read_text().splitlines()[0])
    assert first["looks"][""]["face"] == "ada"


def test_what_is_not_connected_is_told_with_its_line(
    mien: Mien, show: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = show.read_text()
    ports = '[ports]\nmidi = "launchpad"\nmidi_out = "lights"\nosc = "nine"\n'
    show.write_text(text.replace("[clock]", f"{ports}[clock]"))
    monkeypatch.setattr(midi, "backend_problem", lambda: "")
    monkeypatch.setattr(midi, "input_names", lambda: ["nanoPAD 20:0", "Keys 24:0"])
    monkeypatch.setattr(midi, "output_names", lambda: ["Lights 28:0"])
    result = mien("show", "check", show)
    assert result.code == 0
    assert f"{show}:5: note: no MIDI input is called 'launchpad'" in result.out
    assert "choose from: nanoPAD 20:0, Keys 24:0" in result.out
    assert f"{show}:7: note: 'nine' is no OSC port" in result.out
    assert "lights" not in result.out.lower().replace("lights 28:0", "")
    monkeypatch.setattr(midi, "backend_problem", lambda: "no sequencer")
    result = mien("show", "check", show)
    assert result.code == 0
    assert "'launchpad' cannot be looked for" in result.out


def test_the_cue_list_stands_beside_the_picture(
    mien: Mien, show: Path, talking: Path, quick: FakeSwapper, tmp_path: Path
) -> None:
    del quick
    out = tmp_path / "out.mp4"
    result = mien("show", "play", show, "--source", talking, "-o", out, "--cue-list")
    assert result.code == 0, result.err
    with av.open(str(out)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert pictures[0].shape == (360, 640 + 320, 3)
    strips = [picture[:, 660:].astype(int) for picture in pictures]
    assert strips[0].max() > 180
    assert np.abs(strips[-1] - strips[0]).max() > 60


def test_what_cannot_be_rendered(
    mien: Mien, show: Path, talking: Path, quick: FakeSwapper, tmp_path: Path
) -> None:
    del quick
    out = tmp_path / "out.mp4"
    assert mien("show", "play", show, "--source", tmp_path / "no.mp4", "-o", out).code == 3
    assert mien("show", "play", show, "--source", talking, "-o", talking).code in (1, 2)
    for audio in (tmp_path / "no.wav", show):
        result = mien(
            *("show", "play", show, "--source", talking, "-o", out, "--audio", audio),
            *("--from", "two"),
        )
        assert result.code == 3
    assert not out.exists()


def test_live_plays_a_show_and_takes_orders_by_osc(
    mien: Mien, show: Path, talking: Path, quick: FakeSwapper, tmp_path: Path
) -> None:
    """Runs until the second face is drawn: how long that takes is not for a test to say."""
    show.write_text(SHOW + cue("one", to="ada", at="beat 2", transition="cut"))
    states: list[object] = []
    draw = quick.draw

    def watched(frame: Frame, track: FaceTrack, state: object) -> Patch:
        states.append(state)
        if states.count("ada") == 1 and state == "ada":
            signal.raise_signal(signal.SIGINT)
        return draw(frame, track, state)

    quick.draw = watched
    report = tmp_path / "r.json"
    live = ("live", "--show", show, "--source", f"file:{talking}", "--sink", "null", "--loop")
    result = mien(*live, "--duration", "120", "--osc", "0", "--report", report)
    assert result.code == 0, result.err
    assert {PERSONA, "ada"} <= set(states)
    assert json.loads(report.read_text())["swapped"] > 0


def test_a_live_take_is_rendered_again(
    mien: Mien, show: Path, talking: Path, quick: FakeSwapper, tmp_path: Path
) -> None:
    del quick
    # Nobody that would have to be waited for.
    show.write_text(
        SHOW
        + cue("one", to="pass-through", at="beat 2", duration="1 beat")
        + cue("two", to=PERSONA, at="beat 3", transition="flicker", duration="1 beat")
        + cue("pad", to="pass-through", midi="note 36")
    )
    take, log = tmp_path / "take.jsonl", tmp_path / "log.jsonl"
    live = ("live", "--show", show, "--source", f"file:{talking}", "--sink", "null")
    result = mien(*live, "--take", take)
    assert result.code == 0, result.err
    lines = [json.loads(line) for line in take.read_text().splitlines()]
    assert [(line["cue"], line["why"]) for line in lines] == [("one", "time"), ("two", "time")]
    assert lines[0]["t"] == pytest.approx(0.25, abs=0.05)
    # As if the pad had been pressed once, and the first cue never fired.
    pressed = {"t": 0.3, "show_s": 0.3, "cue": "pad", "why": "midi note 36"}
    take.write_text(json.dumps(pressed) + "\n" + json.dumps(lines[1]) + "\n")
    play = ("show", "play", show, "--source", talking, "-o", tmp_path / "o.mp4")
    result = mien(*play, "--take", take, "--decisions", log)
    assert result.code == 0, result.err
    faces = [json.loads(line)["looks"][""]["face"] for line in log.read_text().splitlines()]
    assert faces[7] == PERSONA
    assert faces[9][1] is None, "on the way to pass-through"
    for wrong in ("{", "[]", '{"t": 1}', '{"t": -1, "show_s": 0, "cue": "one"}', "3"):
        take.write_text(wrong + "\n")
        assert mien(*play, "--take", take).code == 3
    take.write_text('{"t": 1, "show_s": 1, "cue": "nobody"}')
    assert "nobody" in mien(*play, "--take", take).err
    assert mien(*play, "--take", tmp_path / "none").code == 3


def test_what_nobody_listens_to_is_said_before_the_show() -> None:
    silent = {"osc": False, "midi": False, "sound": False}
    everything = show_of(
        cue("a", osc="/a"), cue("b", midi="note 1"), cue("c", onset="any"), cue("d", key="k")
    )
    said = unheard(everything, **silent)
    assert [sentence.split(": add ")[1] for sentence in said] == [
        "--osc 9000",
        "--midi NAME",
        "--audio-in NAME",
    ]
    assert unheard(everything, osc=True, midi=True, sound=True) == []
    labels = show_of(cue("a", timecode="00:00:01:00"))
    assert len(unheard(labels, **silent)) == 1
    assert unheard(labels, **{**silent, "midi": True}) == []
    assert unheard(show_of(cue("a", at="1s", button="x")), **silent) == []


def test_live_refuses_what_cannot_be_meant(mien: Mien, show: Path, talking: Path) -> None:
    live = ("live", "--source", f"file:{talking}", "--sink", "null")
    assert mien(*live).code == 2
    assert mien(*live, "-p", "ada", "--show", show).code == 2
    assert mien(*live, "-p", "ada", "-p", "kai").code == 2
    assert mien(*live, "-p", "alice=ada", "-p", "kai").code == 2
    assert mien(*live, "-p", "alice=ada", "-p", "alice=kai").code == 2
    assert mien(*live, "-p", "nobody.jpg=ada").code == 3
    assert mien(*live, "--show", show, "--osc", "nine").code == 2
    assert mien(*live, "--show", show, "--midi", "no such pad").code == 4
    assert mien(*live, "--show", show.parent / "no.toml").code == 3


def test_who_wears_what() -> None:
    show = cast_of(["alice.jpg=ada", "bob=kai"])
    assert show is not None
    assert {role: who.wears for role, who in show.performers.items()} == {
        "alice.jpg": "ada",
        "bob": "kai",
    }
    assert show.roles == ("alice.jpg", "bob")
    assert cast_of(["ada"]) is None
    assert single_persona(["ada"]) == "ada"


def test_learning_is_refused_for_a_cue_that_is_not_there(mien: Mien, show: Path) -> None:
    assert mien("show", "learn", show, "nobody", "--osc", "0").code == 3
    assert mien("show", "learn", show, "one").code == 2
    result = mien("show", "learn", show, "one", "--osc", "0", "--wait", "0.1")
    assert result.code == 4
    assert "nothing was heard" in result.err


def test_the_beat_is_the_same_every_time_and_as_long_as_the_show() -> None:
    sound = beat.render()
    assert np.array_equal(sound, beat.render())
    assert sound.shape == (24 * beat.RATE, 2)
    assert 8_000 < np.abs(sound).max() < 32_000
    beats = np.abs(sound[: 23 * beat.RATE].astype(float)).reshape(-1, beat.RATE // 100, 2)
    onsets = beats.mean(axis=(1, 2))
    assert onsets[60] > 2 * onsets[55], "a kick and a hat on every beat of 0.6 s"


def test_the_demo_show_makes_its_film(
    mien: Mien,
    tmp_path: Path,
    quick: FakeSwapper,
    demo_frames: list[U8Array],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole film, of a small clip with one still face; real tracking is tried elsewhere."""
    del quick
    small = tmp_path / "clip" / "small.mp4"
    small.parent.mkdir()
    write_clip(small, [frame[::2, ::2].copy() for frame in demo_frames], fps=25)
    monkeypatch.setattr(
        "mien_streamer.cli.show_demo.open_source",
        lambda _, **options: open_source(str(small), **options),
    )
    seen = [make_track((160.0, 90.0))]
    monkeypatch.setattr(FaceTracker, "track", lambda tracker, frame: seen)
    tmp_path = tmp_path / "out"
    result = mien("demo", "--show", "--out", tmp_path)
    assert result.code == 0, result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mien-show.mp4",
        "report.json",
        "show-strip.png",
    ]
    film = tmp_path / "mien-show.mp4"
    assert len(times_of(film)) == 600
    assert times_of(film, "audio")[-1] == pytest.approx(24.0, abs=0.1)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["swapped"] > 420
