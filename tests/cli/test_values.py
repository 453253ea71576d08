"""Sizes, crops and faces as they are typed."""

from __future__ import annotations

import pytest

from mien.errors import UsageError
from mien_streamer.cli.values import parse_crop, parse_face, parse_size


def test_sizes() -> None:
    assert parse_size("1280x720") == (1280, 720)
    for wrong in ("1280", "x", "1280*720", "0x10", "99999x1", "-1x5"):
        with pytest.raises(UsageError):
            parse_size(wrong)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("9:16", (438, 0, 405, 720)),
        ("1:1", (280, 0, 720, 720)),
        ("4:1", (0, 200, 1280, 320)),
        ("10, 20, 300, 200", (10, 20, 300, 200)),
    ],
)
def test_crops(text: str, inside: tuple[int, int, int, int]) -> None:
    left, top, width, height = parse_crop(text).inside(1280, 720)
    assert (left, top, width, height) == pytest.approx(inside, abs=1)
    assert left + width <= 1280
    assert top + height <= 720


@pytest.mark.parametrize("text", ["", "9", "0:1", "1,2,3", "1,2,0,4", "a,b,c,d"])
def test_crops_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_crop(text)


def test_faces() -> None:
    assert parse_face(None) is None
    assert parse_face("largest") == "largest"
    assert parse_face("2") == 2
    for wrong in ("0", "", "biggest", "100", "-1"):
        with pytest.raises(UsageError):
            parse_face(wrong)
