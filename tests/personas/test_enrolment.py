"""From photos to texture and shape, on faces whose texture, light and shape are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.swappers.faces import SIZE, face_track

from mien.face_light import harmonics
from mien.face_mesh import VERTEX_COUNT, face_mesh
from mien.face_regions import uv_regions, vertex_normals
from mien.personas.enrolment import enrol
from mien.types import F32Array, FaceTrack, U8Array

SKIN = np.array((120, 150, 190), np.float32)


def _photo(
    track: FaceTrack,
    *,
    light: F32Array | None = None,
    marks: dict[int, tuple[int, int, int]] | None = None,
    radius: int = 2,
) -> U8Array:
    """A lit, plain-skinned face painted vertex by vertex over a green background."""
    picture = np.full((*SIZE, 3), (60, 160, 60), np.uint8)
    normals = vertex_normals(face_mesh().vertices) @ track.pose.rotation.T
    shade = np.ones(VERTEX_COUNT, np.float32) if light is None else harmonics(normals) @ light
    points = track.landmarks[:VERTEX_COUNT]
    order = sorted(
        face_mesh().triangles.tolist(), key=lambda corners: -float(points[corners, 2].mean())
    )
    for corners in order:
        colour = SKIN * float(shade[corners].mean())
        shape = np.round(points[corners, :2] * 16).astype(np.int32)
        cv2.fillConvexPoly(picture, shape, np.clip(colour, 0, 255).tolist(), cv2.LINE_AA, 4)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.uint8)
    for vertex, colour in (marks or {}).items():
        cv2.circle(picture, np.round(points[vertex, :2]).astype(int).tolist(), radius, colour, -1)
    return picture


def _texel(vertex: int, texture: U8Array) -> F32Array:
    column, row = np.round(face_mesh().uv[vertex] * len(texture) - 0.5).astype(int)
    return texture[row - 1 : row + 2, column - 1 : column + 2].mean(axis=(0, 1))


def test_a_plain_face_gives_a_plain_texture_and_its_own_shape() -> None:
    track = face_track()
    face = enrol([_photo(track)], [track])
    inner = uv_regions(len(face.texture)).rim_distance > 0.1
    np.testing.assert_allclose(face.texture[inner].mean(axis=0), SKIN, atol=3)
    assert face.texture[inner].std(axis=0).max() < 4
    np.testing.assert_allclose(face.skin_bgr, SKIN, atol=3)
    np.testing.assert_allclose(face.shape, face_mesh().vertices, atol=0.05)


@pytest.mark.parametrize("side", [-0.3, 0.3])
def test_light_from_the_side_is_taken_out(side: float) -> None:
    light = np.zeros(9, np.float32)
    light[0], light[1], light[3] = 0.75, side, 0.2
    track = face_track()
    photo = _photo(track, light=light)
    left, right = (photo[tuple(np.round(track.landmarks[v, 1::-1]).astype(int))] for v in (50, 280))
    assert abs(float(left.mean()) - float(right.mean())) > 25, "the photo must be lit unevenly"
    texture = enrol([photo], [track]).texture
    assert abs(_texel(50, texture).mean() - _texel(280, texture).mean()) < 8


def test_background_inside_the_oval_is_replaced_by_skin() -> None:
    track = face_track()
    photo = _photo(track)
    right_edge = round(float(track.landmarks[280, 0])) + 28
    photo[:, right_edge:] = (60, 160, 60)
    texture = enrol([photo], [track]).texture
    for vertex in (454, 323, 356):
        blue, green, red = _texel(vertex, texture)
        assert red > green > blue, "skin, not the green of the background"


def test_a_mark_stays_where_it_is_and_only_there() -> None:
    track = face_track()
    texture = enrol([_photo(track, marks={50: (20, 20, 60)})], [track]).texture
    assert _texel(50, texture).mean() < 100
    assert _texel(280, texture).mean() > 120, "a mole is no asymmetry of light"


def test_a_turned_view_shows_the_side_that_the_front_hides() -> None:
    front, turned = face_track(), face_track(yaw_deg=-40.0)
    seen = min((366, 137), key=lambda vertex: float(turned.landmarks[vertex, 2]))
    plain = _photo(turned)
    marked = _photo(turned, marks={seen: (105, 131, 166)}, radius=6)
    without = _texel(seen, enrol([_photo(front), plain], [front, turned]).texture)
    with_mark = _texel(seen, enrol([_photo(front), marked], [front, turned]).texture)
    assert with_mark.mean() < without.mean() - 8
    covered = [
        enrol(photos, tracks).coverage.mean()
        for photos, tracks in (
            ([_photo(front)], [front]),
            ([_photo(front), plain], [front, turned]),
        )
    ]
    assert covered[1] > covered[0]


def test_the_pose_of_the_photo_does_not_change_the_shape() -> None:
    tracks = [face_track(), face_track(yaw_deg=25.0, roll_deg=-15.0, scale=20.0)]
    shapes = [enrol([_photo(track)], [track]).shape for track in tracks]
    np.testing.assert_allclose(shapes[0], shapes[1], atol=0.05)


def test_a_large_photo_gets_a_large_texture_and_is_not_aliased() -> None:
    small = face_track(scale=8.0)
    assert enrol([_photo(small)], [small]).texture.shape == (512, 512, 3)
    large = face_track(scale=40.0)
    assert enrol([_photo(large)], [large]).texture.shape == (1024, 1024, 3)


@pytest.mark.parametrize("centre", [(30.0, 180.0), (240.0, 350.0), (-900.0, -900.0)])
def test_a_face_cut_off_by_the_border_is_completed(centre: tuple[float, float]) -> None:
    track = face_track(centre=centre)
    face = enrol([_photo(track)], [track])
    assert face.texture.dtype == np.uint8
    assert np.isfinite(face.skin_bgr).all()
    assert (face.coverage == 0).any()


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_pictures_do_no_harm(value: int) -> None:
    track = face_track()
    face = enrol([np.full((*SIZE, 3), value, np.uint8)], [track])
    inner = uv_regions(512).rim_distance > 0.1
    assert abs(float(face.texture[inner].mean()) - value) < 40


def test_photos_and_faces_must_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="0 photos"):
        enrol([], [])
    with pytest.raises(ValueError, match="a face for each photo"):
        enrol([_photo(face_track())], [])


def test_nothing_uninitialised_gets_into_the_texture(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV leaves texels alone that a polar map does not reach, unless told to fill them."""
    warp_polar = cv2.warpPolar

    def warp_into_garbage(picture: F32Array, size: tuple[int, int], *arguments: object) -> F32Array:
        garbage = np.full((size[1], size[0]), np.nan, np.float32)
        return warp_polar(picture, size, *arguments, dst=garbage)

    track = face_track()
    clean = enrol([_photo(track)], [track])
    monkeypatch.setattr(cv2, "warpPolar", warp_into_garbage)
    assert np.array_equal(enrol([_photo(track)], [track]).texture, clean.texture)
