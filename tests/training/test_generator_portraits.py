"""Who is drawn for the live generator: the same for a number, the held-out kept apart."""

from __future__ import annotations

import pytest

pytest.importorskip("numba", reason="the studio draws with numba")
pytest.importorskip("scipy", reason="the studio shapes heads with scipy")

from mien.training.generator_batches import FIRST_STRANGER
from mien.training.synthetic.cast import CAST
from mien.training.synthetic.portraits import STRANGERS_WORN, persona_names, portrait_call
from mien.training.synthetic.takes import HELD_OUT


def test_every_persona_has_a_name_and_the_cast_comes_first() -> None:
    names = persona_names()
    assert [names[code] for code in range(len(CAST))] == [person.name for person in CAST]
    strangers = [code for code in names if code >= FIRST_STRANGER]
    assert len(strangers) == STRANGERS_WORN
    assert len(set(names.values())) == len(names) == len(CAST) + STRANGERS_WORN


def test_a_take_is_always_the_same() -> None:
    one, other = (portrait_call(7, people=72, shots=24, held_out=False) for _ in range(2))
    assert one == other
    assert one != portrait_call(8, people=72, shots=24, held_out=False)


def test_performers_are_nobody_that_is_drawn_and_the_held_out_never_train() -> None:
    trained = [portrait_call(take, people=72, shots=24, held_out=False) for take in range(300)]
    held = [portrait_call(take, people=72, shots=12, held_out=True) for take in range(60)]
    assert {call.performer for call in trained} <= set(range(72))
    assert len({call.performer for call in held}) <= HELD_OUT
    assert not {call.performer for call in trained} & {call.performer for call in held}
    assert not {call.seed for call in trained} & {call.seed for call in held}
    names = persona_names()
    worn = {code for call in trained + held for shot in call.personas for code in shot}
    assert worn == set(names)
    # A worn stranger's own number is the code less the offset.
    assert not {code - FIRST_STRANGER for code in worn} & {call.performer for call in trained}


def test_a_shot_shows_three_of_the_cast_and_a_stranger() -> None:
    for shot in portrait_call(3, people=72, shots=24, held_out=False).personas:
        assert sum(code < FIRST_STRANGER for code in shot) == 3
        assert len(set(shot)) == 4
