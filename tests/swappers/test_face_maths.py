"""Shape, light and regions of the canonical face."""

from __future__ import annotations

import numpy as np
import pytest

from mien.face_light import LightFit, facing_weights, harmonics, mean_skin, vertex_colours
from mien.face_mesh import (
    FACE_OVAL,
    INNER_LIP_PAIRS,
    LEFT_LID_PAIRS,
    MIDDLE_LIP_PAIRS,
    RIGHT_LID_PAIRS,
    TRIANGLE_COUNT,
    VERTEX_COUNT,
    face_mesh,
)
from mien.face_regions import (
    face_regions,
    oval_matte,
    own_pixel_weights,
    uv_regions,
    vertex_normals,
)
from mien.face_shape import (
    canonical_from_landmarks,
    expression_basis,
    expression_coefficients,
    neutral_shape,
    without_expression,
)
from tests.swappers.faces import face_track, lit_colours, plain_picture, turn


def test_the_mesh_is_whole() -> None:
    mesh = face_mesh()
    assert mesh.vertices.shape == (VERTEX_COUNT, 3)
    assert mesh.triangles.shape == (TRIANGLE_COUNT, 3)
    assert set(mesh.triangles.ravel().tolist()) == set(range(VERTEX_COUNT))
    assert not mesh.vertices.flags.writeable


@pytest.mark.parametrize(
    "pairs", [INNER_LIP_PAIRS, MIDDLE_LIP_PAIRS, RIGHT_LID_PAIRS, LEFT_LID_PAIRS]
)
def test_pairs_lie_above_one_another(pairs: tuple[tuple[int, int], ...]) -> None:
    vertices = face_mesh().vertices
    for upper, lower in pairs:
        assert vertices[upper, 1] > vertices[lower, 1]
        assert abs(vertices[upper, 0] - vertices[lower, 0]) < 0.4


@pytest.mark.parametrize(("yaw", "roll"), [(0, 0), (40, 0), (-30, 20)])
def test_taking_the_pose_out_gives_the_canonical_face(yaw: float, roll: float) -> None:
    track = face_track(yaw_deg=yaw, roll_deg=roll)
    shape = canonical_from_landmarks(track.landmarks, track.pose)
    np.testing.assert_allclose(shape, face_mesh().vertices, atol=1e-3)


def test_an_expression_is_found_and_taken_out() -> None:
    neutral = face_mesh().vertices
    units = expression_basis()
    jaw = int(np.abs(units).max(axis=(1, 2)).argmax())
    moved = (neutral + 0.8 * units[jaw]).astype(np.float32)
    coefficients = expression_coefficients(moved, neutral)
    assert coefficients.argmax() == jaw
    assert coefficients[jaw] == pytest.approx(0.8, abs=0.15)
    left = np.abs(without_expression(moved, coefficients) - neutral).max()
    assert left < 0.25 * np.abs(moved - neutral).max()


def test_a_soft_threshold_keeps_a_small_expression() -> None:
    neutral = face_mesh().vertices
    smile = (neutral + 0.15 * expression_basis()[43]).astype(np.float32)
    np.testing.assert_allclose(neutral_shape(smile, least=0.5), smile)


def test_normals_point_outwards_and_turn_with_the_face() -> None:
    normals = vertex_normals(face_mesh().vertices)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-4)
    assert normals[1, 2] > 0.5, "the nose tip faces the viewer"
    rotation = turn(35.0)
    turned = vertex_normals(face_mesh().vertices @ rotation.T)
    np.testing.assert_allclose(turned, normals @ rotation.T, atol=1e-3)


def test_light_is_recovered_through_a_few_wrong_colours() -> None:
    light = np.zeros((9, 3), np.float32)
    light[0] = (110, 140, 180)
    light[1], light[3] = (30, 30, 25), (20, 25, 30)
    rotation = turn(15.0)
    colours = lit_colours(light, rotation)
    normals = vertex_normals(face_mesh().vertices) @ rotation.T
    hidden = np.random.default_rng(3).choice(VERTEX_COUNT, 25, replace=False)
    colours[hidden] = 10.0
    fitted = LightFit().fit(colours, normals, iterations=6)
    seen = (face_regions().light_weights > 0.5) & (facing_weights(normals) > 0.5)
    seen[hidden] = False
    error = np.abs((harmonics(normals) @ fitted - lit_colours(light, rotation))[seen])
    assert error.mean() < 4.0


def test_a_fit_of_darkness_is_finite() -> None:
    normals = vertex_normals(face_mesh().vertices)
    fitted = LightFit().fit(np.zeros((VERTEX_COUNT, 3), np.float32), normals, iterations=4)
    assert np.isfinite(fitted).all()
    assert np.isfinite(mean_skin(np.zeros((VERTEX_COUNT, 3), np.float32), normals)).all()


def test_vertex_colours_are_those_of_the_picture() -> None:
    picture = plain_picture((10, 20, 30))
    picture[:, 240:] = (200, 100, 50)
    track = face_track()
    colours = vertex_colours(picture, track.landmarks, track.pose.scale)
    x = track.landmarks[:VERTEX_COUNT, 0]
    np.testing.assert_allclose(colours[x < 230], np.tile((10, 20, 30), (int((x < 230).sum()), 1)))
    np.testing.assert_allclose(colours[x > 250], np.tile((200, 100, 50), (int((x > 250).sum()), 1)))


def test_vertices_outside_the_picture_take_its_edge() -> None:
    track = face_track(centre=(5.0, 5.0))
    colours = vertex_colours(plain_picture(), track.landmarks, track.pose.scale)
    np.testing.assert_allclose(colours, np.tile((120, 150, 190), (VERTEX_COUNT, 1)))


def test_smoothing_keeps_constants() -> None:
    regions = face_regions()
    for kernel in (regions.neighbours, regions.broad, regions.near):
        np.testing.assert_allclose(kernel.sum(axis=1), 1.0, atol=1e-5)
    assert regions.rim_distance[list(FACE_OVAL)].max() == 0.0


def test_texels_know_their_triangle() -> None:
    regions = uv_regions(64)
    where = regions.interpolate(face_mesh().uv)
    y, x = np.nonzero(regions.inside)
    texels = (np.stack([x, y], axis=1) + 0.5) / 64
    assert np.abs(where[regions.inside] - texels).max() < 2e-3


def test_the_matte_is_closed_at_the_oval_and_open_inside() -> None:
    matte = oval_matte(128, 0.09)
    regions = uv_regions(128)
    assert matte[~regions.inside].max() == 0
    assert (matte[regions.rim_distance > 0.1] == 255).all()


def test_own_pixels_show_in_eyes_and_mouth_only() -> None:
    weights = own_pixel_weights(256)
    uv = face_mesh().uv
    middle_of_mouth = (uv[13] + uv[14]) / 2 * 256
    middle_of_eye = (uv[159] + uv[145]) / 2 * 256
    for point in (middle_of_mouth, middle_of_eye):
        column, row = np.round(point - 0.5).astype(int)
        assert weights[row - 1 : row + 2, column].max() > 200
    cheek = np.round(uv[50] * 256 - 0.5).astype(int)
    assert weights[cheek[1], cheek[0]] == 0
    assert 0.005 < (weights > 128).mean() < 0.06
