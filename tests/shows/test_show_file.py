"""What a show file says, and by line what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import MienError, PersonaError, ShowError
from mien.shows import load_show, parse_show, read_show, show_file
from mien.shows._connections import PORT_KEYS, SOUND_KEYS
from mien.shows.curves import Bezier
from mien.shows.show import Ports, Sound, Span, Trigger
from mien.shows.timecode import Timecode
from tests.shows.shows import HEAD, cue, show_of

LINE = HEAD.count("\n") + 1
"""Line of the first cue."""


def test_a_full_cue_is_read() -> None:
    show = show_of(
        cue(
            "one",
            at="bar 2 beat 3",
            to="mei",
            transition="wipe",
            side="left",
            duration="1 bar",
            curve=[0.1, 0.2, 0.3, 1],
            likeness=0.5,
            eyes="performer",
            priority=3,
            midi="Note  36 channel 10",
            osc="/a/b",
            key="K",
            button="big red",
        )
    )
    (read,) = show.cues
    assert read.at_s == 3.0
    assert (read.to, read.transition, read.side, read.priority) == ("mei", "wipe", "left", 3)
    assert read.duration == Span(4, "beats")
    assert read.curve == Bezier(0.1, 0.2, 0.3, 1.0)
    assert (read.likeness, read.iris) == (0.5, 0.0)
    assert set(read.triggers) == {
        Trigger("midi", "note 36 channel 10"),
        Trigger("osc", "/a/b"),
        Trigger("key", "k"),
        Trigger("button", "big red"),
    }
    assert read.line == LINE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [('"bar 3"', 4), ('"beat 5"', 2), ('"1.5s"', 1.5), ("2.25", 2.25), ('"1:02.5"', 62.5)],
)
def test_times_are_written_in_many_ways(text: str, seconds: float) -> None:
    show, problems = parse_show(HEAD + f'[[cue]]\nto = "kai"\nat = {text}\n')
    assert show is not None, problems
    assert show.cues[0].at_s == seconds


def test_cues_after_cues_have_planned_times() -> None:
    show = show_of(
        cue("one", at="2s", duration="1s"),
        cue("two", after="one", delay="1 beat", transition="cut"),
        cue("three", after="two"),
        cue("loose", key="l"),
    )
    assert show.planned_s() == {"one": 2.0, "two": 3.5, "three": 3.5}


BAD = [
    (cue("x", to="kay"), LINE + 2, "kay", "did you mean 'kai'?"),
    (cue("x", at=-1), LINE + 3, "at = -1", "must not be negative"),
    (cue("x", at="2s", duration=-0.5), LINE + 4, "duration", "must not be negative"),
    (cue("x", at="bar 0"), LINE + 3, "bar 0", "count from 1"),
    (cue("x", at="bar 1 beat 5"), LINE + 3, "beat 5", "below 5"),
    (cue("x", at="tuesday"), LINE + 3, "tuesday", "bar 5"),
    (cue("x", at=1e9), LINE + 3, "at", "a day away"),
    (cue("x", duration="2 apples"), LINE + 3, "apples", "1 beat"),
    (cue("x", after="x"), LINE + 3, "x -> x", "instead"),
    (cue("a", after="b") + cue("b", after="a"), LINE + 3, "a -> b -> a", "instead"),
    (cue("x", after="nobody"), LINE + 3, "nobody", "choose from x"),
    (cue("x", after="x", at=1), LINE + 3, "both at and after", "keep one"),
    (cue("x", delay="1s"), LINE + 3, "a delay without after", "after ="),
    (cue("x") + cue("x"), LINE + 3, f"line {LINE} has a cue 'x' too", "name of its own"),
    (cue("x", transition="dissolve"), LINE + 3, "dissolve", "choose from cut"),
    (cue("x", transition="morf"), LINE + 3, "morf", "did you mean 'morph'?"),
    (cue("x", curve="bouncy"), LINE + 3, "bouncy", "linear, ease, spring"),
    (cue("x", curve=[0, 2, 0, 1]), LINE + 3, "curve", "linear, ease, spring"),
    (cue("x", curve=[0, 1]), LINE + 3, "curve", "linear, ease, spring"),
    (cue("x", likeness=1.5), LINE + 3, "likeness", "0.0 to 1.0"),
    (cue("x", eyes="both"), LINE + 3, "eyes", "persona, performer"),
    (cue("x", mouth="teeth"), LINE + 3, "mouth", "persona, performer"),
    (cue("x", timecode="1:2:3"), LINE + 3, "timecode", "01:00:10:12"),
    (cue("x", timecode="00:01:00;00"), LINE + 3, "timecode", ";02"),
    (cue("x", onset="loud"), LINE + 3, "onset", "from bar 9"),
    (cue("x", onset=3), LINE + 3, "onset", "in quotes"),
    (cue("x", layers="both"), LINE + 3, "layers", "shape = [0.0, 0.6]"),
    (cue("x") + "layers = { shape = [0.6, 0.6] }\n", LINE + 3, "rising", "shape = [0.0, 0.6]"),
    (cue("x") + "layers = { skin = [0.0] }\n", LINE + 3, "layers", "shape = [0.0, 0.6]"),
    (cue("x") + "layers = { hair = [0, 1] }\n", LINE + 3, "layers", "shape = [0.0, 0.6]"),
    (cue("x", priority=1.5), LINE + 3, "priority", "whole number"),
    (cue("x", performer="bob"), LINE + 3, "bob", "all"),
    (cue("x", midi="note 128"), LINE + 3, "note 128", "0 to 127"),
    (cue("x", midi="note 1 channel 17"), LINE + 3, "channel 17", "1 to 16"),
    (cue("x", osc="mien"), LINE + 3, "mien", "/mien/kai"),
    (cue("x", osc="/a*"), LINE + 3, "/a*", "without blanks or patterns"),
    (cue("x", key="q"), LINE + 3, "'q'", "choose another key"),
    (cue("x", key=3), LINE + 3, "key trigger: 3", "in quotes"),
    (cue("x", colour="red"), LINE + 3, "colour", "choose from"),
    (cue("x", duratoin="1s"), LINE + 3, "duratoin", "did you mean 'duration'?"),
    ('[[cue]]\nname = "x"\n', LINE, "changes to nobody", "to ="),
    (f'[[cue]]\nname = "{"x" * 61}"\nto = "kai"\n', LINE + 1, "name", "1 to 60"),
    ('[[cue]]\nto = "kai\n', LINE + 1, "no valid TOML", "docs/shows.md"),
    ("[[cue]\n", LINE, "no valid TOML", "docs/shows.md"),
]


@pytest.mark.parametrize(("text", "line", "what", "fix"), BAD)
def test_a_problem_names_line_and_fix(text: str, line: int, what: str, fix: str) -> None:
    show, problems = parse_show(HEAD + text)
    assert show is None
    first = problems[0]
    assert first.line == line
    assert what in f"{first.what} {first.fix}"
    assert fix in first.fix


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("bpm = 120", "bpm = 5", 6, "tempo"),
        ("bpm = 120", "tempo = [[1, 120], [1, 90]]", 6, "order"),
        ("bpm = 120", 'bpm = "fast"', 6, "no number"),
        ("bpm = 120", "beats_per_bar = 0", 6, "bar"),
        ("bpm = 120", 'follow = "the drummer"', 6, "follow"),
        ("bpm = 120", 'offset = "2 beats"', 6, "seconds"),
        ("format = 1", "format = 2", 1, "format"),
        ('start = "ada"', 'start = "eve"', 4, "eve"),
        ('start = "ada"', 'strat = "ada"', 4, "strat"),
        ('start = "ada"', 'audio = "none.wav"', 4, "audio"),
        ('start = "ada"', 'mouth = "no"', 4, "mouth"),
        ("bpm = 120", 'zero = "noon"', 6, "zero"),
        ("bpm = 120", "zero = 3600", 6, "zero"),
        ("[clock]", "[sound]\nsensitivity = 2\n[clock]", 6, "sensitivity"),
        ("[clock]", '[sound]\ngap = "1 beat"\n[clock]', 6, "gap"),
        ("[clock]", "[sound]\nchannel = 0\n[clock]", 6, "channel"),
        ("[clock]", "[sound]\nloud = true\n[clock]", 6, "loud"),
        ("[clock]", "[ports]\nmidi = 3\n[clock]", 6, "midi"),
        ("[clock]", '[ports]\ndmx = "1"\n[clock]', 6, "dmx"),
        ('mei = "mei"', "mei = 3", 10, "no persona"),
        ('mei = "mei"', 'slate = "mei"', 10, "slate"),
        ('mei = "mei"', "[performers.bob]", 10, "who bob is"),
    ],
)
def test_a_problem_of_the_head_names_its_line(old: str, new: str, line: int, what: str) -> None:
    show, problems = parse_show(HEAD.replace(old, new) + cue("x"))
    assert show is None
    assert problems[0].line == line
    assert what in problems[0].what


def test_lines_are_right_after_values_of_several_lines() -> None:
    head = HEAD.replace("bpm = 120", "tempo = [\n  [1, 120],  # ]\n  [9, 90],\n]")
    _, problems = parse_show(head + cue("x", to="eve"))
    assert problems[0].line == head.count("\n") + 3


def test_what_is_odd_but_playable_is_a_note() -> None:
    show, problems = parse_show(
        HEAD
        + cue("late", at="4s")
        + cue("same", at="4s", to="mei")
        + cue("early", at="1s", duration="4s")
    )
    assert show is not None
    assert [problem.fatal for problem in problems] == [False] * 3
    text = " ".join(problem.what for problem in problems)
    assert "'same' and 'late' come at the same moment; 'same' wins" in text
    assert "'early' comes before 'same' in time" in text
    assert "begins 1.00 s before 'early' has ended" in text


def test_a_persona_that_does_not_exist_is_named_with_its_line() -> None:
    def resolve(name: str) -> object:
        if name == "mei":
            raise PersonaError("no persona is called 'mei'", "see mien persona list")
        return name

    show, problems = parse_show(HEAD + cue("x"), resolve=resolve)
    assert show is None
    assert (problems[0].line, problems[0].fix) == (10, "see mien persona list")


def test_without_a_table_personas_are_named_directly() -> None:
    show, problems = parse_show('[[cue]]\nto = "noor"\n')
    assert show is not None, problems
    assert show.personas == {"noor": "noor"}


def test_files_that_cannot_be_shows(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.toml").write_bytes(b"#" * (2**20 + 1))
    (tmp_path / "bad.toml").write_text(HEAD + cue("x", to="eve") + cue("y", to="adam"))
    for name in ("binary.toml", "large.toml", "absent.toml", "."):
        with pytest.raises(ShowError):
            read_show(tmp_path / name)
    with pytest.raises(ShowError, match=rf"bad.toml, line {LINE + 2}: .*eve.*and 1 more"):
        load_show(tmp_path / "bad.toml")


@given(st.text(max_size=200))
@settings(deadline=None)
def test_no_text_does_more_than_cause_problems(text: str) -> None:
    for whole in (text, HEAD + text, HEAD + "[[cue]]\n" + text):
        show, problems = parse_show(whole)
        assert (show is None) == any(problem.fatal for problem in problems)


def test_two_thousand_cues_are_enough() -> None:
    show, problems = parse_show(HEAD + "".join(cue(str(k)) for k in range(2001)))
    assert show is None
    assert "more than 2000" in problems[-1].what
    assert issubclass(ShowError, MienError)


def test_what_is_connected_is_read() -> None:
    head = HEAD.replace("bpm = 120", 'bpm = 120\nfollow = "ltc"\nzero = "10:00:00:00"') + (
        '[sound]\nsensitivity = 0.8\ngap = "250ms"\nchannel = 1\ntimecode_channel = 2\n'
        '[ports]\nmidi = "pad"\nmidi_out = "lights"\nosc = "9000"\nosc_out = "desk:9001"\n'
        'audio_in = "default"\n'
    )
    show, problems = parse_show(head + cue("x", onset="any", mouth="performer"))
    assert problems == []
    assert show is not None
    assert show.zero == Timecode(10, 0, 0, 0)
    assert show.sound == Sound(sensitivity=0.8, gap_s=0.25, channel=0, timecode_channel=1)
    assert show.ports == Ports(
        osc="9000", osc_out="desk:9001", midi="pad", midi_out="lights", audio_in="default"
    )
    assert show.cues[0].lips == 0.0


def test_sound_that_cannot_be_meant_is_pointed_out() -> None:
    _, problems = parse_show(HEAD.replace("bpm", 'zero = "1:0:0:0"\nbpm') + cue("x"))
    assert [(p.line, p.fatal) for p in problems] == [(6, False)]
    assert "nothing follows timecode" in problems[0].what
    both = "[sound]\nchannel = 2\ntimecode_channel = 2\n"
    show, problems = parse_show(HEAD + both + cue("x", onset="any"))
    assert show is None
    assert "heard in the timecode" in problems[0].what
    _, problems = parse_show(HEAD.replace("bpm", 'follow = "ltc"\nbpm') + cue("x", onset="any"))
    assert "timecode_channel = 2" in problems[0].fix
    _, problems = parse_show(
        HEAD + cue("x", transition="cut") + "layers = { shape = [0.0, 0.5] }\n"
    )
    assert [(p.what, p.fatal) for p in problems] == [("only a morph has layers", False)]


ODD = [*('""', '"x"', "0", "-1", "2.5", "nan", "inf", "true", "[]", "[[]]", "[1, [2]]", "{}")]
ODD += ["{ a = 1 }", "1979-05-27", "07:32:00", '["note 1", 3]', "[nan, inf]", "[[1, nan]]"]


@pytest.mark.parametrize("odd", ODD)
def test_no_value_does_more_than_cause_problems(odd: str) -> None:
    for table, keys in (
        ("[[cue]]", show_file._CUE),
        ("[show]", show_file._SHOW),
        ("[clock]", show_file._CLOCK),
        ("[sound]", SOUND_KEYS),
        ("[ports]", PORT_KEYS),
        ("[personas]", ("ada",)),
        ("[personas.ada]", show_file._PERSONA),
        ("[performers.bob]", show_file._PERFORMER),
    ):
        for key in keys:
            parse_show(f"{table}\n{key} = {odd}\n")
    for key in show_file._TOP:
        parse_show(f"{key} = {odd}\n")
