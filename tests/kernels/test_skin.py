"""Light on vertices: by hand, by property, and against NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mien import _kernels
from tests.kernels import reference

F32 = npt.NDArray[np.float32]

# Relative: sums of a few hundred products in float32.
TOLERANCE = 2e-4


def some_normals(count: int, random: np.random.Generator) -> F32:
    normals = random.normal(loc=(0.0, 0.0, 1.0), size=(count, 3))
    return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)


def fit(
    colours: F32, normals: F32, skin: F32, trust: F32, iterations: int = 1
) -> tuple[F32, F32, F32]:
    light, mean, trust = np.empty((9, 3), np.float32), np.empty(3, np.float32), trust.copy()
    _kernels.fit_light(colours, normals, skin, trust, light, mean, iterations)
    return light, mean, trust


@pytest.mark.parametrize("count", [1, 9, 33, 468])
@pytest.mark.parametrize("iterations", [1, 4])
def test_the_fit_agrees_with_numpy(count: int, iterations: int) -> None:
    random = np.random.default_rng(count)
    normals = some_normals(count, random)
    colours = random.uniform(30.0, 220.0, (count, 3)).astype(np.float32)
    skin = random.uniform(0.0, 1.0, count).astype(np.float32)
    trust = random.uniform(0.2, 1.0, count).astype(np.float32)
    light, mean, left = fit(colours, normals, skin, trust, iterations)
    wanted = reference.fit_light(colours, normals, skin, trust, iterations)
    np.testing.assert_allclose(light, wanted[0], rtol=0, atol=0.05)  # code values
    np.testing.assert_allclose(mean, wanted[1], rtol=1e-4)
    np.testing.assert_allclose(left, wanted[2], rtol=0, atol=2e-3)


def test_one_colour_under_even_light_is_its_own_mean() -> None:
    normals = some_normals(468, np.random.default_rng(0))
    colours = np.full((468, 3), (40.0, 80.0, 160.0), np.float32)
    ones = np.ones(468, np.float32)
    light, mean, trust = fit(colours, normals, ones, ones)
    np.testing.assert_allclose(light[0], (40.0, 80.0, 160.0), rtol=1e-4)
    np.testing.assert_allclose(light[1:], 0.0, atol=0.01)
    np.testing.assert_allclose(mean, (40.0, 80.0, 160.0), rtol=1e-5)
    np.testing.assert_allclose(trust, 1.0, atol=1e-5)


def test_a_stain_is_trusted_less_and_less() -> None:
    normals = some_normals(468, np.random.default_rng(0))
    colours = np.full((468, 3), 120.0, np.float32)
    colours[:40] = 20.0
    ones = np.ones(468, np.float32)
    first, _, _ = fit(colours, normals, ones, ones)
    later, _, trust = fit(colours, normals, ones, ones, iterations=6)
    assert abs(later[0, 0] - 120.0) < 0.3 * abs(first[0, 0] - 120.0)
    assert trust[:40].max() < 0.1
    assert trust[40:].min() > 0.9


def test_black_and_no_vertices_give_finite_light() -> None:
    for count in (0, 468):
        normals = some_normals(count, np.random.default_rng(0))
        zeros, ones = np.zeros((count, 3), np.float32), np.ones(count, np.float32)
        light, mean, _ = fit(zeros, normals, ones, ones, iterations=3)
        assert np.isfinite(light).all()
        np.testing.assert_array_equal(mean, 0.0)


class Scene:
    """Arguments of ``skin_gain`` drawn at random."""

    def __init__(self, count: int, seed: int, *, uniform: bool = True) -> None:
        random = np.random.default_rng(seed)
        self.colours = random.uniform(60.0, 200.0, (count, 3)).astype(np.float32)
        self.normals = some_normals(count, random)
        self.light = (random.normal(size=(9, 3)) * 5.0).astype(np.float32)
        self.light[0] = (90.0, 110.0, 150.0)
        self.skin_weights = random.uniform(0.0, 1.0, count).astype(np.float32)
        self.skin_weights[0] = 1.0
        self.broad, self.near = (self._smoothing(count, random) for _ in range(2))
        self.broad_bgr = random.uniform(60.0, 200.0, (count, 3)).astype(np.float32)
        self.near_bgr = random.uniform(60.0, 200.0, (count, 3)).astype(np.float32)
        shape = (3,) if uniform else (count, 3)
        self.skin_bgr = random.uniform(70.0, 180.0, shape).astype(np.float32)
        self.own_bgr = random.uniform(70.0, 180.0, 3).astype(np.float32)
        self.rim_distance = random.uniform(0.0, 0.4, count).astype(np.float32)
        self.tone = 0.7

    @staticmethod
    def _smoothing(count: int, random: np.random.Generator) -> F32:
        kernel = random.uniform(0.0, 1.0, (count, count))
        return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)

    def gain(self) -> F32:
        gain = np.empty_like(self.colours)
        _kernels.skin_gain(*vars(self).values(), gain)
        return gain


@pytest.mark.parametrize("count", [1, 5, 33, 468])
@pytest.mark.parametrize("uniform", [True, False])
def test_the_gain_agrees_with_numpy(count: int, uniform: bool) -> None:
    scene = Scene(count, count, uniform=uniform)
    wanted = reference.skin_gain(*vars(scene).values())
    np.testing.assert_allclose(scene.gain(), wanted, rtol=TOLERANCE)


def test_the_performers_own_skin_under_the_same_light_has_gain_one() -> None:
    scene = Scene(33, 1)
    scene.light[1:] = 0.0
    scene.colours[:] = scene.broad_bgr[:] = scene.near_bgr[:] = scene.light[0]
    scene.skin_bgr[:] = scene.own_bgr[:] = scene.light[0]
    np.testing.assert_allclose(scene.gain(), 1.0, rtol=1e-5)


def test_at_the_rim_only_the_local_ratio_counts() -> None:
    scene = Scene(33, 2)
    scene.rim_distance[:] = 0.0
    wanted = scene.near @ scene.colours / scene.near_bgr
    np.testing.assert_allclose(scene.gain(), wanted, rtol=1e-5)


def test_arrays_that_do_not_fit_are_refused() -> None:
    scene = Scene(5, 0)
    scene.broad = scene.broad[:, :4]
    with pytest.raises(ValueError, match="broad"):
        scene.gain()
    scene = Scene(5, 0)
    scene.light = scene.light.astype(np.float64)
    with pytest.raises(TypeError, match="light"):
        scene.gain()
    five, ones = np.ones((5, 3), np.float32), np.ones(5, np.float32)
    with pytest.raises(ValueError, match="iterations"):
        fit(five, five, ones, ones, iterations=0)
    with pytest.raises(ValueError, match="trust"):
        fit(five, five, ones, np.ones(4, np.float32))
