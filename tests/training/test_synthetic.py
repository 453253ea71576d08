"""The studio's chance repeats itself, and keeps people apart who must be kept apart."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="the studio draws with numba")
pytest.importorskip("scipy", reason="the studio shapes heads with scipy")

from mien.training.synthetic.acting import Score
from mien.training.synthetic.cast import CAST
from mien.training.synthetic.location import draw_backdrop, draw_light, draw_sensor
from mien.training.synthetic.strangers import draw_stranger
from mien.training.synthetic.takes import HELD_OUT, call_of

UNITS = [
    f"{unit}{side}"
    for unit in (
        "eyeBlink", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeLookDown", "eyeSquint", "eyeWide",
        "mouthLowerDown", "mouthUpperUp", "mouthStretch", "mouthPress", "mouthSmile",
        "mouthFrown", "cheekSquint", "noseSneer", "browOuterUp", "browDown",
    )
    for side in ("Left", "Right")
] + ["jawOpen", "mouthFunnel", "mouthPucker", "browInnerUp"]  # fmt: skip


def test_a_stranger_is_always_the_same_and_nobody_of_the_cast() -> None:
    assert draw_stranger(5) == draw_stranger(5)
    people = [draw_stranger(number) for number in range(60)]
    assert len({person.skin_tone for person in people}) == 60
    assert not {person.seed for person in people} & {person.seed for person in CAST}
    for person in people:
        assert abs(sum(person.ancestry.values()) - 1) < 1e-9
        assert 0.5 <= person.age <= 1.0
        assert 0.0 <= person.skin_tone <= 1.0
    # All skins, not the lightest alone.
    tones = [person.skin_tone for person in people]
    assert min(tones) < 0.2
    assert max(tones) > 0.6


def test_held_out_people_never_meet_the_trained_ones() -> None:
    trained = [call_of(take, people=72, samples=14, held_out=False) for take in range(300)]
    held = [call_of(take, people=72, samples=14, held_out=True) for take in range(60)]
    seen = {number for call in trained for number in (call.performer, call.persona)}
    apart = {number for call in held for number in (call.performer, call.persona)}
    assert not seen & apart
    assert len(seen) == 72
    assert len(apart) == HELD_OUT
    assert all(call.performer != call.persona for call in trained + held)
    assert not {call.seed for call in trained} & {call.seed for call in held}


def test_a_score_starts_at_rest_then_acts_within_bounds() -> None:
    score = Score(UNITS, 120, np.random.default_rng(4))
    score.rest_until(15, over=6)
    gaze = np.array([name.startswith("eyeLook") for name in UNITS])
    assert not score.strengths[:16, ~gaze].any()
    assert score.strengths[30:].max() > 0.5
    assert score.strengths.min() >= 0
    assert score.strengths.max() <= 1
    assert np.abs(score.angles_deg).max() <= 48
    again = Score(UNITS, 120, np.random.default_rng(4))
    again.rest_until(15, over=6)
    np.testing.assert_array_equal(score.strengths, again.strengths)


def test_twins_get_the_same_noise() -> None:
    """Where a frame and its true swap are one picture, what the sensor makes of them is too."""
    random = np.random.default_rng(9)
    backdrop = draw_backdrop(random, 64)
    sensor = next(s for s in (draw_sensor(random) for _ in range(50)) if s.noise > 0.5)
    np.testing.assert_array_equal(sensor.develop(backdrop, 3), sensor.develop(backdrop.copy(), 3))
    assert (sensor.develop(backdrop, 3) != sensor.develop(backdrop, 4)).any()


def test_kind_light_comes_from_the_front() -> None:
    random = np.random.default_rng(2)
    kind = [draw_light(random, kind=True) for _ in range(200)]
    wild = [draw_light(random) for _ in range(200)]

    def aside(light) -> float:  # type: ignore[no-untyped-def]
        return float(abs(light.key_direction[0]))

    assert np.median([aside(light) for light in kind]) < 0.6 * np.median(
        [aside(light) for light in wild]
    )
