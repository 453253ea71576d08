"""The truth benchmark's scenes: strangers to all training, and one occluder before both faces."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="the studio draws with numba")
pytest.importorskip("scipy", reason="the studio shapes heads with scipy")

from mien.face_mesh import FACE_OVAL
from mien.training.occlusion_sprites import KINDS, Sprite
from mien.training.synthetic.cast import CAST
from mien.training.synthetic.pose import pose_seen
from mien.training.synthetic.takes import HELD_OUT, call_of
from mien.training.synthetic.truth_covering import Covering
from mien.training.synthetic.truth_set import FIRST_STRANGER, landmark_vertices, plan_scenes
from tests.training.conftest import plain_landmarks

SIZE = 160
FRAMES = 30
STRAIGHT = np.eye(3, dtype=np.float32)


def test_a_seed_repeats_its_scenes_and_another_has_other_people() -> None:
    assert plan_scenes(5, 3, 2) == plan_scenes(5, 3, 2)
    # More clips leave the first ones alone.
    assert plan_scenes(2, 3) == plan_scenes(6, 3)[:2]
    one, other = plan_scenes(40, 3, 5), plan_scenes(40, 4, 5)
    assert not {s.performer.seed for s in one} & {s.performer.seed for s in other}
    assert len({s.name for s in one}) == len({s.seed for s in one}) == 45


def test_scenes_alternate_and_end_covered() -> None:
    scenes = plan_scenes(4, 1, 2)
    assert [s.group for s in scenes] == [
        "cast", "strangers", "cast", "strangers", "covered", "covered",
    ]  # fmt: skip
    cast = {person.name for person in CAST}
    for scene in scenes:
        assert (scene.persona.name in cast) == (scene.group != "strangers")
        assert scene.performer.name not in cast
    worn = [scene.persona.name for scene in scenes if scene.group != "strangers"]
    assert len(set(worn)) == 4


def test_nobody_was_trained_on() -> None:
    calls = [call_of(t, people=72, samples=1, held_out=held) for t in range(200) for held in (0, 1)]
    trained = {number for call in calls for number in (call.performer, call.persona)}
    assert max(trained) < 10_000 + HELD_OUT <= FIRST_STRANGER
    drawn = {
        person.name
        for scene in plan_scenes(30, 0, 4)
        for person in (scene.performer, scene.persona)
        if person.name.startswith("stranger")
    }
    assert min(int(name.removeprefix("stranger")) for name in drawn) >= FIRST_STRANGER


@pytest.mark.parametrize(
    ("own", "seen"),
    [
        ((20, 0, 0), (20, 0, 0)),
        ((0, 15, 0), (0, -15, 0)),
        ((0, 0, 10), (0, 0, 10)),
    ],
)
def test_a_head_before_a_straight_camera(own: tuple[int, ...], seen: tuple[int, ...]) -> None:
    np.testing.assert_allclose(pose_seen(np.array(own, np.float32), STRAIGHT), seen, atol=1e-4)


def test_a_camera_that_goes_round_sees_the_head_turned() -> None:
    angle = np.radians(30)
    # The camera stands 30 degrees to the person's left: its backward axis points there.
    back = np.array([np.sin(angle), 0, np.cos(angle)])
    axes = np.stack([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], back]).astype(np.float32)
    turned = pose_seen(np.array([30, 0, 0], np.float32), axes)
    np.testing.assert_allclose(turned, [0, 0, 0], atol=1e-4)
    np.testing.assert_allclose(pose_seen(np.zeros(3, np.float32), axes)[0], -30, atol=1e-3)


def test_every_landmark_has_a_vertex() -> None:
    vertices = landmark_vertices()
    assert vertices.shape == (468,)
    assert vertices.min() >= 0
    # Some points of the mesh share one, most have their own.
    assert len(set(vertices.tolist())) > 440


def board() -> Sprite:
    """A grey square that faces the viewer."""
    planes = np.zeros((224, 224, 8), np.uint8)
    planes[70:150, 70:150, :3] = 180
    planes[70:150, 70:150, 3] = 255
    planes[..., 4:6], planes[..., 6], planes[..., 7] = 128, 255, 255
    return Sprite(planes=planes, kind=KINDS.index("mug"), shine=0.2)


def test_the_same_thing_passes_before_both_faces() -> None:
    landmarks = plain_landmarks(SIZE)
    light = np.array([0, 0.3, 0.95, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4], np.float32)
    driver = np.full((SIZE, SIZE, 3), 90, np.uint8)
    truth = np.full((SIZE, SIZE, 3), 170, np.uint8)
    covering = Covering(board(), 5, FRAMES)
    shares = []
    for index in range(FRAMES):
        one, other, cover = covering.cover(index, driver, truth, landmarks, light)
        shares.append(cover)
        wholly = cover == 255
        assert np.abs(one[wholly].astype(int) - other[wholly]).max(initial=0) <= 1
        away = cover == 0
        # A shadow may fall there, but a face is not brighter than it was.
        assert (one[away] <= 90).all()
        assert (other[away] <= 170).all()
    oval = landmarks[list(FACE_OVAL), :2]
    middle = oval.mean(axis=0).astype(int)
    box = slice(middle[1] - 30, middle[1] + 30), slice(middle[0] - 25, middle[0] + 25)
    on_face = [float((share[box] > 127).mean()) for share in shares]
    # It comes, stays and leaves.
    assert on_face[0] == on_face[-1] == 0.0
    assert max(on_face) > 0.05
    assert min(on_face[10:20]) > 0.03
    again = Covering(board(), 5, FRAMES)
    for index in range(3):
        again.cover(index, driver, truth, landmarks, light)
    np.testing.assert_array_equal(again.cover(3, driver, truth, landmarks, light)[2], shares[3])
