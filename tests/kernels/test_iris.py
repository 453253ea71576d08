"""The iris's new colour: against NumPy, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mien import _kernels
from tests.kernels import reference

U8 = npt.NDArray[np.uint8]
TINT = np.array((0.5, 0.9, 1.6), np.float32)


def tinted(frame: U8, inside: U8, *, opening: float = 1.0, brightest: float = 100.0) -> U8:
    out = frame.copy()
    _kernels.tint_iris(out, 3, 2, inside, 10.3, 8.6, 5.0, TINT, brightest, opening)
    return out


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (13, 16)])
def test_it_agrees_with_numpy(size: tuple[int, int]) -> None:
    random = np.random.default_rng(size[0])
    frame = reference.strided((20, 23, 3), np.uint8, 5, random.integers(0, 256, (20, 23, 3)))
    inside = random.integers(0, 256, size).astype(np.uint8)
    wanted = reference.tint_iris(frame, 3, 2, inside, (10.3, 8.6), 5.0, TINT, 100.0, 0.8)
    # Rounding: a half may go either way between float32 and doubles.
    difference = np.abs(tinted(frame, inside, opening=0.8).astype(int) - np.round(wanted))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_a_grey_pixel_at_the_centre_takes_tint_times_brightness() -> None:
    frame = np.full((20, 23, 3), 100, np.uint8)
    inside = np.full((13, 16), 255, np.uint8)
    np.testing.assert_array_equal(tinted(frame, inside)[9, 10], (50, 90, 160))


def test_highlights_lids_and_closed_eyes_stay() -> None:
    frame = np.full((20, 23, 3), 200, np.uint8)
    inside = np.full((13, 16), 255, np.uint8)
    np.testing.assert_array_equal(tinted(frame, inside), frame)
    dark = np.full((20, 23, 3), 90, np.uint8)
    np.testing.assert_array_equal(tinted(dark, np.zeros_like(inside)), dark)
    np.testing.assert_array_equal(tinted(dark, inside, opening=0.0), dark)
    assert (tinted(dark, inside) != dark).any()


def test_a_region_outside_the_frame_is_refused() -> None:
    frame = np.zeros((20, 23, 3), np.uint8)
    with pytest.raises(ValueError, match="inside the frame"):
        tinted(frame, np.zeros((19, 4), np.uint8))
    with pytest.raises(ValueError, match="radius"):
        _kernels.tint_iris(frame, 0, 0, frame[..., 0].copy(), 1.0, 1.0, 0.0, TINT, 1.0, 1.0)
