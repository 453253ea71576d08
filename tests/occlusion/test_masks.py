"""What a guess becomes: calm, whole, bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.occlusion.masks import bound, decided, steadied


def _spot(value: float, half: int = 8) -> np.ndarray:
    guess = np.zeros((128, 128), np.float32)
    guess[64 - half : 64 + half, 64 - half : 64 + half] = value
    return guess


def test_a_thing_that_stays_is_cut_whole_after_two_pictures() -> None:
    guess = _spot(1.0)
    first = steadied(guess, None)
    second = steadied(guess, first)
    assert 0 < decided(first)[64, 64] < 255
    assert decided(second)[64, 64] == 255


def test_a_thing_that_goes_is_gone_within_two_pictures() -> None:
    steady = steadied(_spot(1.0), _spot(1.0))
    gone = steadied(np.zeros((128, 128), np.float32), steady)
    assert not decided(gone).any()


def test_doubts_and_specks_are_dropped() -> None:
    assert not decided(_spot(0.55)).any()
    assert not decided(_spot(1.0, half=3)).any()
    both = _spot(1.0)
    # A doubtful patch beside a certain one.
    both[10:40, 10:40] = 0.55
    cut = decided(both)
    assert cut[64, 64] == 255
    assert not cut[10:40, 10:40].any()


def test_a_cut_of_most_of_a_face_is_not_carried_out() -> None:
    assert bound(0.2, 0.45) == 1.0
    assert bound(0.45, 0.45) == pytest.approx(1.0)
    assert 0 < bound(0.55, 0.45) < 1
    assert bound(0.6, 0.45) == pytest.approx(0.0, abs=1e-6)
    assert bound(1.0, 0.45) == 0.0


@given(share=st.floats(0, 1), more=st.floats(0, 1), most=st.sampled_from([0.3, 0.45]))
def test_what_is_cut_never_leaves_less_than_two_fifths_of_the_persona(
    share: float, more: float, most: float
) -> None:
    assert share * bound(share, most) <= 0.6
    assert bound(max(share, more), most) <= bound(min(share, more), most)
