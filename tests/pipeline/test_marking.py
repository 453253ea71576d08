"""Badge and statement: drawn where they should be, found again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.config import MarkConfig
from mien.marking import COMPOSITE_SYNTHETIC, Marker, Statement, text_mask
from mien.marking.metadata import find_in_image
from tests.pipeline.fakes import make_frame, make_persona


@pytest.mark.parametrize("size", [(240, 320), (720, 1280), (1279, 719), (2160, 3840)])
def test_the_badge_is_legible_in_the_corner_and_touches_nothing_else(size: tuple[int, int]) -> None:
    bgr = np.full((*size, 3), 128, np.uint8)
    Marker(MarkConfig()).apply(bgr)
    changed = np.argwhere((bgr != 128).any(axis=2))
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0)
    assert top > size[0] * 0.75
    assert left > size[1] * 0.5
    assert bottom < size[0]
    assert right < size[1]
    chip = bgr[top : bottom + 1, left : right + 1]
    assert chip.max() > (160 if min(size) < 300 else 220)  # letters, thinner than a pixel when tiny
    assert chip.min() < 90  # their ground


def test_the_badge_blends_with_what_lies_under_it() -> None:
    light, dark = np.full((240, 320, 3), 250, np.uint8), np.zeros((240, 320, 3), np.uint8)
    marker = Marker(MarkConfig())
    marker.apply(light)
    marker.apply(dark)
    assert not np.array_equal(light, dark)
    assert light.max() <= 250 + 5  # no wrap around


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (40, 40)])
def test_pictures_too_small_for_a_badge_stay_as_they_are(size: tuple[int, int]) -> None:
    bgr = np.full((*size, 3), 128, np.uint8)
    Marker(MarkConfig()).apply(bgr)
    assert (bgr == 128).all()


def test_no_badge_when_it_is_switched_off() -> None:
    bgr = make_frame().bgr
    before = bgr.copy()
    Marker(MarkConfig(badge=False)).apply(bgr)
    np.testing.assert_array_equal(bgr, before)


def test_text_grows_with_its_length_and_unknown_letters_do_not_break_it() -> None:
    short, long = text_mask("ada", 40), text_mask("ada lovelace", 40)
    assert short.shape[0] == long.shape[0] == 40
    assert short.shape[1] < long.shape[1]
    assert short.max() > 200
    np.testing.assert_array_equal(text_mask("\u4f60", 30), text_mask("?", 30))
    assert text_mask("", 30).max() == 0


def test_a_statement_survives_json() -> None:
    statement = Statement.about(make_persona("ad\u00e4 <&>"))
    assert Statement.from_json(statement.to_json()) == statement
    assert statement.source_type == COMPOSITE_SYNTHETIC
    assert len(statement.consent_sha256) == 64
    for junk in ("", "{", "[]", '{"mien": 1}', '{"mien": {"version": "1"}}', "null"):
        assert Statement.from_json(junk) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"mien": 5}',
        '{"mien": {"version": "1"}}',
        Statement(tool_version="1", persona="\x1b[31mada", consent_sha256="0").to_json(),
        Statement(tool_version="1", persona="a", consent_sha256="0").to_json().replace('"0"', "[]"),
        Statement(
            tool_version="1", persona="a", consent_sha256="0", source_type="digitalCapture"
        ).to_json(),
    ],
)
def test_other_peoples_words_are_no_statement(text: str) -> None:
    assert Statement.from_json(text) is None


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_statement_is_found_in_the_image_and_the_pixels_stay(suffix: str) -> None:
    statement = Statement.about(make_persona('ad\u00e4 <&> "q"'))
    bgr = make_frame().bgr
    encoded = cv2.imencode(suffix, bgr)[1].tobytes()
    marked = statement.embed(encoded)
    assert find_in_image(encoded) is None
    assert find_in_image(marked) == statement
    again = cv2.imdecode(np.frombuffer(marked, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(
        again, cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    )


def test_other_formats_pass_and_broken_ones_hold_no_statement() -> None:
    statement = Statement.about(make_persona())
    assert statement.embed(b"RIFF....WEBP") == b"RIFF....WEBP"
    marked = statement.embed(cv2.imencode(".png", make_frame().bgr)[1].tobytes())
    for length in range(0, 1200, 37):
        find_in_image(marked[:length])
    assert find_in_image(b"") is None
    assert find_in_image(b"\xff\xd8\xff\xe1\x00") is None


def test_pillow_reads_marked_images_without_complaint() -> None:
    image = pytest.importorskip("PIL.Image")
    from io import BytesIO

    statement = Statement.about(make_persona())
    for suffix in (".png", ".jpg"):
        marked = statement.embed(cv2.imencode(suffix, make_frame().bgr)[1].tobytes())
        with image.open(BytesIO(marked)) as opened:
            opened.load()
            assert COMPOSITE_SYNTHETIC in str(
                opened.info.get("XML:com.adobe.xmp", opened.info.get("xmp", b""))
            )
