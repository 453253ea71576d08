"""Near and far faces are found, once each."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from mien.perception import FaceTracker
from mien.perception.detector import Detection, Detector, blend, tiles_of
from tests.perception.stage import Actor, astronaut, backdrop, compose


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    detector = Detector()
    yield detector
    detector.close()


def detection(x: float, score: float, size: float = 100.0) -> Detection:
    return Detection(
        box=np.array([x, 50, size, size], np.float32),
        points=np.full((6, 2), x, np.float32),
        score=score,
    )


def test_a_near_face_is_found_by_the_short_range_model(detector: Detector) -> None:
    (found,) = detector.detect_near(astronaut())
    assert found.score > 0.9
    assert abs(found.box[0] - 225) < 8
    assert abs(found.box[1] - 130) < 8
    right_eye, left_eye = found.points[:2]
    assert right_eye[0] < found.box[0] < left_eye[0]


def test_boxes_that_overlap_are_blended_by_score() -> None:
    merged = blend([detection(100, 0.9), detection(110, 0.6), detection(400, 0.7, size=50)])
    assert len(merged) == 2
    assert merged[0].box[0] == pytest.approx((100 * 0.9 + 110 * 0.6) / 1.5)
    assert merged[0].score == pytest.approx(0.9)
    assert merged[1].box[0] == pytest.approx(400)


def test_nothing_blends_to_nothing() -> None:
    assert blend([]) == []


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1080, 720), (400, 2000), (211, 389)])
def test_tiles_cover_the_picture_and_stay_inside(height: int, width: int) -> None:
    covered = np.zeros((height, width), bool)
    tiles = list(tiles_of(height, width, levels=1))
    for tile in tiles:
        assert tile.left >= 0
        assert tile.top >= 0
        assert tile.left + tile.side <= width
        assert tile.top + tile.side <= height
        covered[tile.top : tile.top + tile.side, tile.left : tile.left + tile.side] = True
    assert covered.all() or not tiles


def test_far_faces_that_no_model_sees_in_the_whole_are_found_in_tiles(
    detector: Detector, finder: FaceTracker
) -> None:
    actors = [Actor("b", 300, 200, 60), Actor("d", 1500, 700, 60), Actor("astronaut", 900, 300, 60)]
    picture = compose(actors, backdrop(size=(1080, 1920)))
    assert len(detector.detect_near(picture)) == 0
    faces = finder.find(picture)
    centres = sorted(round(sum(face.box[::2]) / 2) for face in faces)
    assert len(faces) == 3
    np.testing.assert_allclose(centres, [300, 900, 1500], atol=12)


def test_find_lists_the_largest_face_first_and_makes_it_the_performer(finder: FaceTracker) -> None:
    picture = compose([Actor("b", 160, size=150), Actor("d", 450, size=260)], backdrop())
    faces = finder.find(picture)
    assert [face.track_id for face in faces] == [0, 1]
    assert [face.is_performer for face in faces] == [True, False]
    assert abs(sum(faces[0].box[::2]) / 2 - 450) < 20


@pytest.mark.parametrize("angle_deg", [30, 60, 90, 135, 180, 225, 270, 330])
def test_turned_photos_give_the_same_face(finder: FaceTracker, angle_deg: int) -> None:
    image = astronaut()
    upright = finder.find(image)[0].landmarks
    matrix = cv2.getRotationMatrix2D((225, 130), angle_deg, 1.0)
    matrix[:, 2] += [30, 120]
    turned = cv2.warpAffine(image, matrix, (512, 512))
    (face,) = finder.find(turned)
    expected = upright[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert np.linalg.norm(face.landmarks[:, :2] - expected, axis=1).mean() < 1.5


@pytest.mark.parametrize("name", ["coffee", "rocket", "retina", "hubble_deep_field"])
def test_pictures_of_other_things_hold_no_face(finder: FaceTracker, name: str) -> None:
    import skimage.data

    picture = getattr(skimage.data, name)()
    assert finder.find(np.ascontiguousarray(picture[:, :, ::-1])) == []


def test_an_empty_scene_has_no_face(finder: FaceTracker) -> None:
    assert finder.find(backdrop()) == []


def test_a_huge_photo_gives_landmarks_in_its_own_pixels(finder: FaceTracker) -> None:
    # 9,000 px wide: reduced for the search, enlarged by 17.6 against the original.
    image = astronaut()
    huge = cv2.resize(image, (9000, 9000), interpolation=cv2.INTER_LINEAR)
    (face,) = finder.find(huge)
    k = 9000 / 512
    expected = (finder.find(image)[0].landmarks[:, :2] + 0.5) * k - 0.5
    assert np.linalg.norm(face.landmarks[:, :2] - expected, axis=1).mean() < 0.6 * k
    assert face.landmarks[:, 2].min() < -20 * k
