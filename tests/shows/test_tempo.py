"""Beats and seconds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.shows.curves import Bezier, Curve, Named
from mien.shows.tempo import TempoMap


def test_a_fixed_tempo_by_hand() -> None:
    tempo = TempoMap([(0, 120)], offset_s=0.25)
    assert tempo.seconds(0) == 0.25
    assert tempo.seconds(6) == 3.25
    assert tempo.bar_and_beat(3.25) == (2, 3.0)
    assert tempo.beat_of_bar(2, 3) == 6
    assert tempo.span_s(2, 0.25) == 1.0


def test_a_tempo_that_changes_by_hand() -> None:
    tempo = TempoMap([(0, 60), (4, 120), (8, 30)])
    assert [tempo.seconds(beat) for beat in (3, 4, 6, 8, 9)] == [3, 4, 5, 6, 8]
    assert tempo.span_s(4, 3.0) == 1 + 3 * 0.5
    assert [tempo.bpm(time) for time in (0, 4.5, 100)] == [60, 120, 30]


@given(
    st.lists(st.floats(10, 400), min_size=1, max_size=5),
    st.floats(0, 100),
    st.floats(0, 10),
)
def test_beats_and_seconds_are_inverse_and_rise(
    tempi: list[float], beat: float, offset: float
) -> None:
    changes = [(8.0 * place, bpm) for place, bpm in enumerate(tempi)]
    tempo = TempoMap(changes, offset_s=offset)
    assert tempo.beat(tempo.seconds(beat)) == pytest.approx(beat, abs=1e-6)
    assert tempo.seconds(beat + 0.01) > tempo.seconds(beat)


@pytest.mark.parametrize(
    "changes", [[], [(1, 120)], [(0, 9)], [(0, 401)], [(0, float("nan"))], [(0, 120), (0, 90)]]
)
def test_a_wrong_tempo_is_refused(changes: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError):
        TempoMap(changes)


@pytest.mark.parametrize(
    "curve",
    [Named("linear"), Named("ease"), Named("spring"), Bezier(0.6, 0, 0.2, 1), Bezier(1, 0, 0, 1)],
)
def test_curves_start_at_nought_end_at_one_and_never_fall(curve: Curve) -> None:
    values = [curve(k / 200) for k in range(-20, 221)]
    assert values[20] == pytest.approx(0.0, abs=1e-9)
    assert values[220] == pytest.approx(1.0, abs=1e-9)
    assert values[0] == values[20]
    assert values[-1] == values[220]
    assert all(b >= a - 1e-9 for a, b in pairwise(values))


def test_the_named_curves_have_no_step_twice_the_mean_one() -> None:
    for name in ("linear", "ease", "spring"):
        values = [Named(name)(k / 100) for k in range(101)]  # type: ignore[arg-type]
        steps = [b - a for a, b in pairwise(values)]
        assert max(steps) < 2.0 * sum(steps) / len(steps)


def test_a_straight_bezier_is_linear() -> None:
    curve = Bezier(0.25, 0.25, 0.75, 0.75)
    assert [curve(k / 10) for k in range(11)] == pytest.approx([k / 10 for k in range(11)])
