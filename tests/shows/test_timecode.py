"""Labels, their arithmetic, and the hand that lets a tape lead a show."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.look import EVERYONE
from mien.shows import ShowPlayer
from mien.shows.follow import FollowedClock, TimecodeHand
from mien.shows.timecode import RateGuess, Timecode, follows, read_timecode
from tests.shows.shows import HEAD, cue, show_of
from tests.shows.tape import labels


def test_a_drop_frame_hour_is_an_hour() -> None:
    assert Timecode(1, 0, 0, 0, drop=True).time_s(30) == pytest.approx(3600, abs=0.004)
    assert Timecode(1, 0, 0, 0).time_s(30) == 3600
    assert Timecode(0, 10, 0, 0, drop=True).count(30) == 17982


@pytest.mark.parametrize(
    ("first", "rate"),
    [
        (Timecode(0, 0, 58, 0, drop=True), 30),
        (Timecode(0, 9, 58, 0, drop=True), 30),
        (Timecode(23, 59, 58, 0, drop=True), 30),
        (Timecode(0, 59, 58, 0), 25),
        (Timecode(11, 59, 58, 0), 24),
    ],
)
def test_counting_agrees_with_a_counter_that_knows_no_arithmetic(
    first: Timecode, rate: int
) -> None:
    counted = list(islice(labels(first, rate), 100))
    for before, after in pairwise(counted):
        assert follows(before, after)
        assert not follows(after, before)
        assert not follows(before, before)
        assert after.is_label(rate)
        midnight = after.count(rate) == 0
        assert midnight or after.count(rate) == before.count(rate) + 1


def test_what_is_written_is_read() -> None:
    assert read_timecode("01:02:03:04") == Timecode(1, 2, 3, 4)
    assert str(read_timecode(" 1:2:3;4 ")) == "01:02:03;04"
    for text, fix in (
        ("", "write a timecode"),
        ("01:02:03", "write a timecode"),
        ("24:00:00:00", "write a timecode"),
        ("00:00:00:30", "frames count"),
        ("00:01:00;01", ";02"),
    ):
        with pytest.raises(ValueError, match=fix):
            read_timecode(text)


@given(st.text(max_size=20))
@settings(deadline=None)
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        label = read_timecode(text)
    except ValueError:
        return
    assert read_timecode(str(label)) == label


@pytest.mark.parametrize(("rate", "speed"), [(24, 1.25), (25, 1.0), (30, 0.8), (24, 0.5)])
def test_the_rate_is_certain_once_the_seconds_move_on(rate: int, speed: float) -> None:
    guess, before = RateGuess(), None
    for label in islice(labels(Timecode(0, 0, 9, 12), rate), rate):
        known = guess.learn(before, label, rate * speed)
        before = label
    assert known == rate


class Tape:
    """A machine whose labels a test plays into a show."""

    def __init__(self, *cues: str, follow: str = "ltc", zero: str | None = None) -> None:
        head = HEAD.replace("bpm = 120", f'bpm = 120\nfollow = "{follow}"')
        if zero is not None:
            head = head.replace("bpm = 120", f'bpm = 120\nzero = "{zero}"')
        self.now_s = 50.0
        self.player = ShowPlayer(show_of(*cues, head=head))
        self.follow = FollowedClock(lambda: self.now_s)
        self.leads = follow != "own"
        self.hand = TimecodeHand(
            self.player, self.follow if self.leads else None, self.player.show.zero
        )
        self.advance()

    def advance(self) -> str:
        self.player.advance(self.now_s, self.follow.read(self.now_s) if self.leads else None)
        return self.player.state().wears[EVERYONE]

    def play(self, text: str, count: int, *, speed: float = 1.0) -> list[str]:
        """What is worn at each label."""
        label, worn = read_timecode(text), []
        counted = list(islice(labels(label, 25), count))
        for one in counted if speed > 0 else reversed(counted):
            self.hand.hear(one, 25, self.now_s, speed=speed)
            worn.append(self.advance())
            self.now_s += 1 / 25 / abs(speed)
        return worn


def test_a_followed_tape_fires_cues_at_its_labels() -> None:
    tape = Tape(cue("one", at="2s", transition="cut"), zero="01:00:00:00")
    assert tape.play("01:00:01:20", 10) == ["ada"] * 5 + ["kai"] * 5


def test_before_its_zero_a_show_has_not_begun() -> None:
    tape = Tape(cue("one", at="1s", transition="cut"), zero="01:00:00:00")
    assert set(tape.play("00:59:58:00", 50)) == {"ada"}
    assert tape.player.state().show_s == pytest.approx(0.0, abs=0.05)


def test_half_and_double_speed_and_standing_still() -> None:
    for speed in (0.5, 2.0):
        tape = Tape(cue("one", at="2s", transition="cut"))
        assert tape.play("00:00:01:00", 30, speed=speed) == ["ada"] * 25 + ["kai"] * 5
        tape.now_s += 60.0
        tape.advance()
        assert tape.player.state().show_s < 3.5


def test_a_tape_that_runs_backwards_keeps_the_face() -> None:
    tape = Tape(cue("one", at="2s", transition="cut"), cue("two", at="4s", to="mei"))
    tape.play("00:00:01:20", 10)
    assert set(tape.play("00:00:00:00", 55, speed=-1.0)) == {"kai"}
    assert set(tape.play("00:00:00:00", 40)) == {"kai"}


def test_a_label_fires_its_cue_each_time_the_tape_runs_over_it() -> None:
    tape = Tape(
        cue("one", timecode="00:00:02:00", transition="cut"),
        cue("back", timecode=["00:00:02:05", "00:00:08:00"], to="ada", transition="cut"),
        follow="own",
    )
    for _ in range(2):
        assert tape.play("00:00:01:23", 10) == ["ada"] * 2 + ["kai"] * 5 + ["ada"] * 3
    assert set(tape.play("00:00:01:23", 10, speed=-1.0)) == {"ada"}
    assert set(tape.play("00:00:05:00", 5)) == {"ada"}, "wound over it"
    assert tape.play("00:00:02:00", 1) == ["kai"], "and where a tape is wound to, counts"


def test_a_label_between_two_that_were_heard_fires_at_its_own_moment() -> None:
    tape = Tape(cue("one", timecode="00:00:02:03", duration="1s", curve="linear"), follow="own")
    events: list[float] = []
    tape.player.listen(lambda event: events.append(event.time_s))
    for frames in (0, 6):
        tape.hand.hear(Timecode(0, 0, 2, frames), 25, tape.now_s)
        tape.now_s += 6 / 25
    tape.advance()
    assert events == [pytest.approx(50.0 + 3 / 25)]
