"""Which cue fires when, and what is worn."""

from __future__ import annotations

import threading

import pytest

from mien.look import EVERYONE, Blend, Look, depth
from mien.shows import Event, ShowPlayer
from tests.shows.shows import HEAD, cue, show_of

FRAME_S = 1 / 30


def run(player: ShowPlayer, start_s: float, end_s: float) -> list[Look]:
    """Looks of the frames in between."""
    looks = []
    frame = round(start_s / FRAME_S)
    while frame * FRAME_S < end_s - 1e-9:
        player.advance(frame * FRAME_S)
        looks.append(player.looks()[EVERYONE])
        frame += 1
    return looks


def heard(player: ShowPlayer) -> list[Event]:
    events: list[Event] = []
    player.listen(events.append)
    return events


def names(events: list[Event], kind: str = "fired") -> list[str]:
    return [event.cue for event in events if event.kind == kind]


def test_a_timed_cut_shows_in_the_frame_at_its_time() -> None:
    player = ShowPlayer(show_of(cue("one", at="1s", transition="cut")))
    faces = [look.face for look in run(player, 0, 2)]
    assert faces == ["ada"] * 30 + ["kai"] * 30


def test_a_morph_is_at_its_curve_at_every_frame() -> None:
    player = ShowPlayer(show_of(cue("one", at="1s", duration="1s", curve="linear")))
    looks = run(player, 0, 2.1)
    for frame in range(31, 60):
        face = looks[frame].face
        assert isinstance(face, Blend)
        assert face.amount == pytest.approx((frame - 30) / 30, abs=1e-9)
    assert looks[30].face == "ada"
    assert looks[60].face == "kai"


def test_a_cue_between_two_frames_has_begun_by_the_second() -> None:
    player = ShowPlayer(show_of(cue("one", at="1.01s", duration="0.1s", curve="linear")))
    looks = run(player, 0, 1.1)
    assert looks[30].face == "ada"
    face = looks[31].face
    assert isinstance(face, Blend)
    assert face.amount == pytest.approx((31 / 30 - 1.01) / 0.1)


def test_cues_follow_each_other_with_their_delays() -> None:
    player = ShowPlayer(
        show_of(
            cue("one", at="1s", duration="0.5s"),
            cue("two", after="one", delay="1 beat", to="mei", transition="cut"),
            cue("three", after="two", to="ada", transition="cut"),
        )
    )
    events = heard(player)
    run(player, 0, 3)
    times = {event.cue: event.time_s for event in events if event.kind == "fired"}
    assert times == pytest.approx({"one": 1.0, "two": 2.0, "three": 2.0})
    assert player.looks()[EVERYONE].face == "ada"


def test_at_the_same_moment_priority_wins_then_the_later_in_the_file() -> None:
    same = [cue("low", at="1s"), cue("high", at="1s", to="mei", priority=1), cue("last", at="1s")]
    player = ShowPlayer(show_of(*same))
    events = heard(player)
    run(player, 0, 2)
    assert names(events) == ["high"]
    assert names(events, "overruled") == ["low", "last"]
    player = ShowPlayer(show_of(cue("a", at="1s"), cue("b", at="1s", to="mei")))
    run(player, 0, 2)
    assert player.looks()[EVERYONE].face == "mei"


def test_an_interrupted_morph_goes_on_from_what_is_shown() -> None:
    player = ShowPlayer(
        show_of(
            cue("one", at="1s", duration="1s", curve="linear"),
            cue("two", at="1.5s", to="mei", duration="1s", curve="linear"),
        )
    )
    looks = run(player, 0, 2)
    before, after = looks[45].face, looks[46].face
    assert isinstance(before, Blend)
    assert isinstance(after, Blend)
    assert before.amount == pytest.approx(0.5)
    assert after.base == before
    assert after.top == "mei"


def test_interruptions_without_end_pile_up_no_faces() -> None:
    show = show_of(cue("a", key="a", duration="9s"), cue("b", key="c", to="mei", duration="9s"))
    player = ShowPlayer(show)
    for frame in range(200):
        player.trigger("key", "ac"[frame % 2])
        player.advance(frame * FRAME_S)
        assert depth(player.looks()[EVERYONE].face) <= 8


def test_a_cue_under_way_is_not_started_again() -> None:
    player = ShowPlayer(show_of(cue("one", key="k", duration="1s", curve="linear")))
    for frame in range(40):
        player.trigger("key", "k")
        player.advance(frame * FRAME_S)
    assert player.looks()[EVERYONE].face == "kai"


def test_a_persona_that_is_not_ready_is_waited_for() -> None:
    ready = {"ada"}
    player = ShowPlayer(
        show_of(cue("one", at="1s", transition="cut")), ready=lambda name: name in ready
    )
    events = heard(player)
    assert {look.face for look in run(player, 0, 2)} == {"ada"}
    state = player.state()
    assert state.cues["one"] == "waiting"
    assert state.waiting == ("one",)
    assert "kai" in state.message
    ready.add("kai")
    player.advance(2.0)
    assert player.looks()[EVERYONE].face == "kai"
    assert names(events, "waiting") == ["one"]
    assert names(events) == ["one"]
    assert player.state().message == ""


def test_a_newer_cue_takes_the_place_of_one_that_waits() -> None:
    ready = {"ada", "mei"}
    player = ShowPlayer(
        show_of(cue("one", at="1s"), cue("two", at="2s", to="mei", transition="cut")),
        ready=lambda name: name in ready,
    )
    run(player, 0, 3)
    ready.add("kai")
    run(player, 3, 5)
    assert player.looks()[EVERYONE].face == "mei"
    assert player.state().cues["one"] == "overruled"


def test_go_takes_the_cues_in_the_order_of_the_file_and_back_returns() -> None:
    player = ShowPlayer(
        show_of(cue("one", transition="cut"), cue("two", to="mei", transition="cut"))
    )
    player.advance(0.0)
    seen = []
    for order in (player.go, player.go, player.go, player.back, player.back, player.back):
        order()
        player.advance(player.state().show_s + FRAME_S)
        state = player.state()
        seen.append((state.wears[EVERYONE], state.current, state.next))
    assert seen == [
        ("kai", "one", "two"),
        ("mei", "two", None),
        ("mei", "two", None),
        ("kai", "one", "two"),
        ("ada", None, "one"),
        ("ada", None, "one"),
    ]


def test_a_timed_cue_that_go_took_does_not_come_again() -> None:
    player = ShowPlayer(show_of(cue("one", at="1s", transition="cut")))
    events = heard(player)
    player.advance(0.0)
    player.go()
    run(player, FRAME_S, 3)
    assert names(events) == ["one"]


def test_hold_stops_the_clock_and_lets_a_transition_end() -> None:
    player = ShowPlayer(
        show_of(cue("one", at="1s", duration="1s"), cue("two", at="2s", to="mei", transition="cut"))
    )
    run(player, 0, 1.5)
    player.hold(True)
    run(player, 1.5, 5)
    state = player.state()
    assert state.holding
    assert state.wears[EVERYONE] == "kai"
    assert state.cues == {"one": "done", "two": "ahead"}
    player.hold()
    run(player, 5, 5.6)
    assert player.state().wears[EVERYONE] == "mei"


def test_a_clock_that_goes_back_a_little_fires_nothing_twice() -> None:
    player = ShowPlayer(show_of(cue("one", at="1s", transition="cut")))
    events = heard(player)
    for frame, show_s in enumerate((0.0, 0.9, 1.1, 0.8, 1.2, 0.9, 1.5)):
        player.advance(frame * FRAME_S, show_s)
    assert names(events) == ["one"]
    for now_s in (10.0, 9.0, 10.5, 3.0):
        player.advance(now_s, 2.0)
    assert player.looks()[EVERYONE].face == "kai"


def test_a_rewound_clock_keeps_the_face_and_arms_the_cues_ahead() -> None:
    player = ShowPlayer(show_of(cue("one", at="5s", transition="cut")))
    events = heard(player)
    player.advance(0.0, 0.0)
    player.advance(1.0, 6.0)
    player.advance(2.0, 2.0)
    assert player.looks()[EVERYONE].face == "kai"
    assert names(events, "rewound") == [""]
    assert player.state().cues["one"] == "ahead"
    player.advance(3.0, 5.5)
    assert names(events) == ["one", "one"]


def test_a_clock_that_jumps_ahead_plays_what_lies_between_in_order() -> None:
    player = ShowPlayer(show_of(*(cue(f"c{k}", at=float(k), to="mei") for k in range(1, 9))))
    events = heard(player)
    player.advance(0.0)
    player.advance(1000.0)
    assert names(events) == [f"c{k}" for k in range(1, 9)]
    assert player.looks()[EVERYONE].face == "mei"


def test_slate_and_pass_through_are_targets() -> None:
    player = ShowPlayer(
        show_of(cue("card", at="1s", to="slate"), cue("me", at="2s", to="pass-through"))
    )
    looks = run(player, 0, 3)
    assert looks[30].slate
    assert player.state().wears[EVERYONE] == "pass-through"
    assert looks[-1].face is None


def test_flicker_ends_at_the_new_face_and_is_the_same_in_every_run() -> None:
    show = show_of(cue("one", at="1s", transition="flicker", duration="2s"))
    first, second = (run(ShowPlayer(show), 0, 4) for _ in range(2))
    assert first == second
    faces = [look.face for look in first[30:90]]
    assert set(faces) == {"ada", "kai"}
    assert faces[30:].count("kai") > faces[:30].count("kai")
    assert first[90].face == "kai"


def test_seeking_shows_what_playing_shows() -> None:
    show = show_of(
        cue("one", at="1s", duration="1s"),
        cue("two", after="one", to="mei", transition="wipe", duration="1s"),
    )
    played = ShowPlayer(show)
    looks = run(played, 0, 4)
    for frame in (10, 40, 75, 110):
        player = ShowPlayer(show)
        player.seek(frame * FRAME_S)
        player.advance(1234.5)
        assert close(player.looks()[EVERYONE], looks[frame])


def close(one: Look, other: Look) -> bool:
    """Equal up to rounding of the clock."""
    a, b = one.face, other.face
    if isinstance(a, Blend) and isinstance(b, Blend):
        return (a.base, a.top, a.how) == (b.base, b.top, b.how) and abs(a.amount - b.amount) < 1e-6
    return a == b


def test_starting_from_a_cue_meets_it_in_the_first_frame() -> None:
    show = show_of(
        cue("one", at="1s", transition="cut", to="mei"),
        cue("two", at="3s", transition="cut"),
        cue("pad", midi="note 1", transition="cut", to="ada"),
    )
    player = ShowPlayer(show)
    events = heard(player)
    assert player.start_from("two") == 3.0
    player.advance(0.0)
    assert names(events) == ["two"]
    assert player.looks()[EVERYONE].face == "kai"
    player = ShowPlayer(show)
    assert player.start_from("pad") == 0.0
    player.advance(0.0)
    assert player.looks()[EVERYONE].face == "ada"
    with pytest.raises(KeyError):
        player.start_from("nobody")


def test_a_cue_speaks_to_one_performer_or_to_all() -> None:
    head = HEAD + (
        '[performers.alice]\nrecognise = "a"\nwears = "ada"\n'
        '[performers.bob]\nrecognise = "b"\nwears = "mei"\n'
    )
    show = show_of(
        cue("bob", at="1s", performer="bob", transition="cut"),
        cue("both", at="2s", to="slate"),
        cue("alice", at="2s", performer="alice", to="mei", transition="cut", priority=1),
        head=head,
    )
    player = ShowPlayer(show)
    player.advance(0.0)
    assert player.state().wears == {"alice": "ada", "bob": "mei"}
    player.advance(1.0)
    assert player.state().wears == {"alice": "ada", "bob": "kai"}
    player.advance(2.0)
    assert player.state().wears == {"alice": "mei", "bob": "kai"}
    assert player.state().cues["both"] == "overruled"


def test_orders_may_come_from_any_thread_while_it_plays() -> None:
    player = ShowPlayer(show_of(cue("a", key="a"), cue("b", key="c", to="mei")))
    stop = threading.Event()
    failed: list[Exception] = []

    def pester() -> None:
        try:
            while not stop.is_set():
                player.trigger("key", "a")
                player.fire("b")
                player.go()
                player.back()
                player.hold()
                player.state()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=pester) for _ in range(3)]
    for thread in threads:
        thread.start()
    for frame in range(300):
        player.advance(frame * FRAME_S)
        assert set(player.looks()) == {EVERYONE}
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_thing_no_cue_wants_is_none_of_the_shows() -> None:
    player = ShowPlayer(show_of(cue("one", midi="note 1")))
    assert player.trigger("midi", "note 1")
    assert not player.trigger("midi", "note 2")
    assert not player.fire("nobody")


def test_a_morph_in_layers_changes_shape_first_and_skin_later() -> None:
    layers = "layers = { shape = [0.0, 0.6], skin = [0.4, 1.0] }\n"
    text = cue("one", at="1s", duration="1s", curve="linear") + layers
    looks = run(ShowPlayer(show_of(text)), 0, 2.1)
    assert [looks[frame].face for frame in (30, 60)] == ["ada", "kai"]
    for frame in range(31, 60):
        face = looks[frame].face
        assert isinstance(face, Blend)
        time = (frame - 30) / 30
        assert face.amount == pytest.approx(min(time / 0.6, 1.0), abs=1e-9)
        assert face.skin_amount == pytest.approx(max((time - 0.4) / 0.6, 0.0), abs=1e-9)


def test_lips_and_irises_go_the_way_of_the_skin() -> None:
    text = cue("one", at="1s", duration="1s", curve="linear", mouth="performer", eyes="performer")
    looks = run(ShowPlayer(show_of(text)), 0, 3)
    assert (looks[0].lips, looks[0].iris) == (1.0, 1.0)
    assert looks[45].lips == pytest.approx(0.5)
    assert (looks[-1].lips, looks[-1].iris) == (0.0, 0.0)


def test_an_onset_takes_the_next_cue_as_go_would() -> None:
    player = ShowPlayer(
        show_of(
            cue("one", onset="next", transition="cut"),
            cue("two", onset="next", to="mei", transition="cut"),
            cue("pad", midi="note 1", transition="cut"),
        )
    )
    player.advance(0.0)
    worn = []
    for _ in range(3):
        player.onset()
        player.advance(player.state().show_s + FRAME_S)
        worn.append(player.state().wears[EVERYONE])
    assert worn == ["kai", "mei", "mei"], "the pad waits for itself"
    assert player.state().next == "pad"


def test_an_onset_before_its_time_does_not_count_and_one_after_counts_once() -> None:
    player = ShowPlayer(
        show_of(cue("one", onset="from 2s", transition="cut"), cue("off", key="k", to="ada"))
    )
    events = heard(player)
    for now_s in (0.0, 0.5, 1.9, 2.1, 2.5, 3.0):
        player.onset(now_s)
        player.advance(now_s)
    assert [(event.cue, event.time_s, event.why) for event in events if event.kind == "fired"] == [
        ("one", 2.1, "onset")
    ]


def test_a_rewound_clock_arms_onsets_that_lie_ahead_again() -> None:
    player = ShowPlayer(show_of(cue("one", onset="from 5s", transition="cut")))
    events = heard(player)
    for now_s, show_s in ((0.0, 0.0), (1.0, 6.0), (2.0, 2.0), (3.0, 5.5)):
        player.advance(now_s, show_s)
        player.onset(now_s + 0.1)
        player.advance(now_s + 0.2, show_s + 0.2)
    assert names(events) == ["one", "one"]


def test_a_flood_of_onsets_is_bounded() -> None:
    player = ShowPlayer(show_of(cue("one", onset="any", transition="cut")))
    events = heard(player)
    for _ in range(10_000):
        player.onset()
    player.advance(0.0)
    assert len(events) <= 2 * 64
