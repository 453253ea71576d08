"""Photos become a persona; photos that cannot say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.personas.fakes import (
    CONSENT,
    FakeDescriber,
    FakeEnroller,
    FakeFinder,
    assert_same,
    make_face,
)

from mien.errors import PersonaError, PhotoError
from mien.personas import Consent, Persona, choose_face, create_ad_hoc, create_persona
from mien.personas.create import AD_HOC_STATEMENT
from mien.personas.format import pack_persona, unpack_persona
from mien.types import FaceTrack

FACE = make_face(100, 80, 120)


def photo(tmp_path: Path, name: str = "kim.png", blue: int = 100) -> Path:
    path = tmp_path / name
    cv2.imwrite(str(path), np.full((300, 400, 3), (blue, 120, 160), np.uint8))
    return path


def create(
    paths: list[Path], *faces: list[FaceTrack], name: str = "kim", **changes: Any
) -> Persona:
    arguments: dict[str, Any] = {
        "consent": CONSENT,
        "finder": FakeFinder(*faces),
        "descriptor": FakeDescriber(),
        "enroller": FakeEnroller(),
    }
    return create_persona(name, paths, **(arguments | changes))


def test_one_photo_makes_a_persona_that_can_be_kept(tmp_path: Path) -> None:
    persona = create([photo(tmp_path)], [FACE], created="2024-05-06T07:08:09+00:00")
    assert persona.name == "kim"
    assert persona.consent == CONSENT
    assert persona.created == "2024-05-06T07:08:09+00:00"
    np.testing.assert_allclose(persona.descriptor, 100 / 255)
    assert_same(unpack_persona(pack_persona(persona)).persona, persona)


def test_preview_is_a_picture_of_256_pixels_around_the_face(tmp_path: Path) -> None:
    path = tmp_path / "kim.png"
    image = np.zeros((2000, 2000, 3), np.uint8)
    face = make_face(1000, 600, 400)
    left, top, right, bottom = (round(edge) for edge in face.box)
    image[top:bottom, left:right] = (0, 0, 255)
    cv2.imwrite(str(path), image)
    jpeg = create([path], [face]).preview_jpeg
    preview = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert preview.shape == (256, 256, 3)
    red_rows = np.flatnonzero(preview[:, 128, 2] > 128)
    red_columns = np.flatnonzero(preview[128, :, 2] > 128)
    # The face is 520 of 1.75 x 520 pixels tall, and centred sideways.
    assert len(red_rows) == pytest.approx(256 / 1.75, abs=3)
    assert red_columns.mean() == pytest.approx(127.5, abs=1.5)
    assert red_columns[0] > 20


def test_several_photos_average_the_descriptor_and_enrol_every_face(tmp_path: Path) -> None:
    enroller = FakeEnroller()
    paths = [photo(tmp_path, "a.png", 100), photo(tmp_path, "b.png", 110)]
    faces = make_face(50, 50, 100, yaw_deg=30), make_face(60, 50, 100)
    persona = create(paths, [faces[0]], [faces[1]], enroller=enroller)
    np.testing.assert_allclose(persona.descriptor, 105 / 255, rtol=1e-5)
    assert enroller.faces == list(faces)


@pytest.mark.parametrize("statement", ["", "   ", "\n"])
def test_blank_consent_is_refused_before_any_photo_is_read(statement: str) -> None:
    with pytest.raises(PersonaError, match="no statement"):
        create([Path("nowhere.png")], consent=Consent(statement=statement, given_by="Kim"))


def test_bad_name_is_refused_before_any_photo_is_read() -> None:
    with pytest.raises(PersonaError, match="cannot be the name"):
        create([Path("nowhere.png")], name="kim/../lee")


def test_no_photo_and_too_many_are_refused() -> None:
    with pytest.raises(PhotoError, match="no photo"):
        create([])
    with pytest.raises(PhotoError, match="too many"):
        create([Path("a.png")] * 33)


def test_photo_without_a_face_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"no face was found in b\.png") as caught:
        create([photo(tmp_path, "a.png"), photo(tmp_path, "b.png")], [FACE], [])
    assert "front" in caught.value.hint


def test_tiny_face_is_refused_with_its_size(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"kim\.png is 79 pixels wide"):
        create([photo(tmp_path)], [make_face(10, 10, 79)])
    create([photo(tmp_path)], [make_face(10, 10, 80)])


def test_photos_of_different_people_are_refused(tmp_path: Path) -> None:
    # 14 grey values of 255 apart in each of 128 numbers: distance 0.62.
    paths = [photo(tmp_path, "kim.png", 100), photo(tmp_path, "lee.png", 114)]
    with pytest.raises(PhotoError, match=r"kim\.png and lee\.png .*0\.62"):
        create(paths, [FACE], [FACE])
    create([photo(tmp_path, "a.png", 100), photo(tmp_path, "b.png", 113)], [FACE], [FACE])


SMALL_LEFT, LARGE_MIDDLE, SMALL_RIGHT = (
    make_face(10, 10, 100, track_id=1),
    make_face(200, 10, 141, track_id=2),
    make_face(400, 10, 99, track_id=3),
)


def test_only_and_plainly_largest_faces_are_taken_unasked() -> None:
    assert choose_face([SMALL_LEFT], "x") is SMALL_LEFT
    twice = make_face(200, 10, 142)
    assert choose_face([SMALL_LEFT, twice], "x") is twice


def test_faces_of_like_size_are_listed_from_the_left() -> None:
    with pytest.raises(PhotoError) as caught:
        choose_face([LARGE_MIDDLE, SMALL_RIGHT, SMALL_LEFT], "group.jpg")
    assert caught.value.what == (
        "group.jpg shows 3 faces: 1 at (10, 10)-(110, 140), "
        "2 at (200, 10)-(341, 193), 3 at (400, 10)-(499, 139)"
    )
    assert "largest" in caught.value.hint


def test_a_crowd_is_not_listed_in_full() -> None:
    crowd = [make_face(150 * number, 10, 100) for number in range(40)]
    with pytest.raises(PhotoError) as caught:
        choose_face(crowd, "crowd.jpg")
    assert caught.value.what.startswith("crowd.jpg shows 40 faces: 1 at (0, 10)")
    assert caught.value.what.endswith("and so on to the right")
    assert len(caught.value.what) < 250


@pytest.mark.parametrize(
    ("choose", "expected"),
    [
        (1, SMALL_LEFT), (2, LARGE_MIDDLE), (3, SMALL_RIGHT),
        ("largest", LARGE_MIDDLE), ("left", SMALL_LEFT), ("right", SMALL_RIGHT),
    ],
)  # fmt: skip
def test_a_face_can_be_chosen(choose: Any, expected: FaceTrack) -> None:
    assert choose_face([LARGE_MIDDLE, SMALL_RIGHT, SMALL_LEFT], "x", choose) is expected


@pytest.mark.parametrize("choose", [0, 4, -1])
def test_a_number_without_a_face_is_refused(choose: int) -> None:
    with pytest.raises(PhotoError, match="no face number"):
        choose_face([LARGE_MIDDLE, SMALL_RIGHT, SMALL_LEFT], "x", choose)


@pytest.mark.parametrize("choose", [True, "middle", 1.5])
def test_a_senseless_choice_is_a_value_error(choose: Any) -> None:
    with pytest.raises(ValueError, match="choose must be"):
        choose_face([SMALL_LEFT], "x", choose)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("source_B", "photo-source-B"),
        ("Žofie & me", "photo-ofie---me"),
        ("é", "photo"),
        ("a" * 90, "photo-" + "a" * 34),
    ],
)
def test_ad_hoc_persona_is_named_after_its_portrait(tmp_path: Path, stem: str, name: str) -> None:
    persona = create_ad_hoc(
        photo(tmp_path, stem + ".png"),
        finder=FakeFinder([FACE]),
        descriptor=FakeDescriber(),
        enroller=FakeEnroller(),
    )
    assert persona.name == name
    assert persona.consent.statement == AD_HOC_STATEMENT
