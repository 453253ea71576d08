"""The before/after strip: every moment in its column, originals above."""

from __future__ import annotations

import numpy as np
import pytest

from mien_streamer.cli.strip import Moment, draw_strip, head_view


def test_columns_and_rows_hold_the_right_pictures() -> None:
    red, blue = (np.full((400, 320, 3), bgr, np.uint8) for bgr in ((0, 0, 255), (255, 0, 0)))
    strip = draw_strip([Moment(time_s=t, before=red, after=blue) for t in (0.5, 1.5)], "ada")
    height, width = strip.shape[:2]
    for x in (width // 4 + 20, 3 * width // 4):
        assert tuple(strip[height // 4, x]) == (0, 0, 255)
        assert tuple(strip[3 * height // 4 - 20, x]) == (255, 0, 0)
    # The captions are there: light letters in the left gutter.
    assert strip[:, :40].max() > 180


def test_no_moment_gives_a_strip_all_the_same() -> None:
    assert draw_strip([], "ada").ndim == 3


@pytest.mark.parametrize("size", [(360, 640), (1280, 720), (20, 30), (1, 1)])
@pytest.mark.parametrize(
    "face", [(300.0, 100.0, 380.0, 200.0), (-50.0, -50.0, 10.0, 10.0), (0.0, 0.0, 5000.0, 5000.0)]
)
def test_the_view_of_a_head_always_has_the_shape_of_a_cell(
    size: tuple[int, int], face: tuple[float, float, float, float]
) -> None:
    assert head_view(np.zeros((*size, 3), np.uint8), face).shape == (400, 320, 3)
