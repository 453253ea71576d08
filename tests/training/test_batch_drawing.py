"""PyTorch draws what Numba draws, in batches of any size, and always the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

pytest.importorskip("torch", reason="the batched renderer draws with PyTorch")
pytest.importorskip("numba", reason="the studio draws with numba")
pytest.importorskip("scipy", reason="the studio shapes heads with scipy")

from mien.training.synthetic.batch_drawing import BatchDrawer
from mien.training.synthetic.drawing import NumbaDrawer
from mien.training.synthetic.figure.anatomy import F32
from mien.training.synthetic.figure.studio import develop
from mien.training.synthetic.portraits_crew import PortraitCall, PortraitCrew
from mien.training.synthetic.stage import Anatomy, Costumed, Look
from mien.training.synthetic.worn_face import FaceShot, WornFace
from tests.training.dolls import doll, doll_anatomy, doll_looks
from tests.training.test_synthetic import UNITS

Pictures = Sequence[tuple[F32, F32]]
SIZE = 96


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return doll_anatomy()


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def drawer(request: pytest.FixtureRequest) -> BatchDrawer:
    return BatchDrawer(request.param)


def assert_agree(ours: Pictures, theirs: Pictures) -> None:
    """The bound of the documentation: the renderers' pictures differ by rounding alone.

    Where rounding decides whether a sample is inside a triangle or hit by a strand of hair, a
    quarter of a pixel changes; nothing else may.
    """
    assert len(ours) == len(theirs) > 0
    for (linear, share), (true_linear, true_share) in zip(ours, theirs, strict=True):
        apart = np.abs(develop(linear).astype(int) - develop(true_linear).astype(int))
        assert apart.mean() < 0.05
        assert (apart.max(axis=2) <= 3).mean() > 0.998
        one, other = share > 0.5, true_share > 0.5
        assert other.mean() > 0.02
        assert (one & other).sum() > 0.995 * (one | other).sum()


@pytest.mark.parametrize("style", ["crop", "bun", "bob"])
def test_a_true_swap_is_the_one_that_numba_draws(
    anatomy: Anatomy, drawer: BatchDrawer, style: Literal["crop", "bun", "bob"]
) -> None:
    twin = Costumed(doll(anatomy, 1, style), anatomy, doll(anatomy, 4))
    looks = doll_looks(anatomy, 3, SIZE, seed=len(style))
    assert_agree(list(drawer.draw(twin, looks)), list(NumbaDrawer().draw(twin, looks)))


def test_a_performer_alone_is_nobody_else(anatomy: Anatomy, drawer: BatchDrawer) -> None:
    plain = Costumed(doll(anatomy, 2), anatomy)
    looks = doll_looks(anatomy, 1, SIZE, seed=3)
    ((linear, share),) = drawer.draw(plain, looks)
    ((true_linear, _),) = NumbaDrawer().draw(plain, looks)
    assert not share.any()
    assert np.abs(linear - true_linear).mean() < 1e-3
    # Somebody is there: not the backdrop alone.
    assert np.abs(linear - looks[0].backdrop).mean() > 0.01


def test_faces_in_crops_are_those_that_numba_draws(anatomy: Anatomy, drawer: BatchDrawer) -> None:
    shots = face_shots(anatomy, 2)
    assert_agree(list(drawer.draw_faces(shots, SIZE)), list(NumbaDrawer().draw_faces(shots, SIZE)))


def test_a_batch_is_its_pictures_one_by_one(anatomy: Anatomy) -> None:
    twin = Costumed(doll(anatomy, 0, "bob"), anatomy, doll(anatomy, 5))
    looks = doll_looks(anatomy, 3, SIZE, seed=8)
    together, alone = BatchDrawer("cpu", figures=3), BatchDrawer("cpu", figures=1)
    assert_same(list(together.draw(twin, looks)), list(alone.draw(twin, looks)))
    shots = face_shots(anatomy, 2)
    assert_same(list(together.draw_faces(shots, SIZE)), list(alone.draw_faces(shots, SIZE)))


def assert_same(one: Pictures, other: Pictures) -> None:
    """Single precision rounds the same sums alike, but for the odd last bit of a sine."""
    for (linear, share), (other_linear, other_share) in zip(one, other, strict=True):
        assert (np.abs(linear - other_linear) < 1e-4).mean() > 0.9995
        assert (np.abs(share - other_share) < 1e-4).mean() > 0.9995


def test_the_same_calls_give_the_same_bits(anatomy: Anatomy, drawer: BatchDrawer) -> None:
    shots = face_shots(anatomy, 2)
    looks = [shot.look for shot in shots]
    first, again = (
        [*drawer.draw(shots[0].worn, looks), *drawer.draw_faces(shots, SIZE)] for _ in range(2)
    )
    for (linear, share), (other_linear, other_share) in zip(first, again, strict=True):
        np.testing.assert_array_equal(linear, other_linear)
        np.testing.assert_array_equal(share, other_share)


def test_what_is_asked_for_in_vain(anatomy: Anatomy) -> None:
    drawer = BatchDrawer("cpu")
    shots = face_shots(anatomy, 1)
    stranger = WornFace(doll(anatomy, 3), anatomy, doll(anatomy, 4))
    with pytest.raises(ValueError, match="one performer"):
        list(drawer.draw_faces([*shots, replace(shots[0], worn=stranger)], SIZE))
    small = replace(shots[0].look, backdrop=np.zeros((32, 32, 3), np.float32))
    with pytest.raises(ValueError, match="one size"):
        list(drawer.draw(stranger, [shots[0].look, small]))
    glass = Costumed(doll(anatomy, 5), anatomy)
    glass.materials[3] = 99
    with pytest.raises(ValueError, match="materials"):
        list(drawer.draw(glass, [shots[0].look]))
    assert not list(drawer.draw(stranger, []))
    assert not list(drawer.draw_faces([], SIZE))


def test_a_take_is_planned_before_anything_is_drawn(anatomy: Anatomy) -> None:
    """Who, which light, pose and backdrop: no picture has a say in them."""
    performer = doll(anatomy, 1)
    call = PortraitCall(performer=0, personas=((0, 1),), seed=12)
    asked = []
    for grey in (0.0, 0.7):
        drawer = _Painter(grey)
        crew = PortraitCrew(_talking(anatomy), lambda code: doll(anatomy, 3 + code), drawer)
        assert crew.shoot(call, performer) is None
        asked.append(drawer.looks)
    assert len(asked[0]) == len(asked[1]) > 8
    for one, other in zip(*asked, strict=True):
        np.testing.assert_array_equal(one.strengths, other.strengths)
        np.testing.assert_array_equal(one.angles_deg, other.angles_deg)
        np.testing.assert_array_equal(one.backdrop, other.backdrop)
        np.testing.assert_array_equal(one.light.key_direction, other.light.key_direction)
        np.testing.assert_array_equal(one.camera.position, other.camera.position)


def face_shots(anatomy: Anatomy, count: int) -> list[FaceShot]:
    """Two faces on one performer by turns, in crops that are shifted, turned and enlarged."""
    performer = doll(anatomy, 1, "bob")
    worn = [WornFace(performer, anatomy, doll(anatomy, other)) for other in (2, 6)]
    crop = np.array([[1.5, 0.2, -20.0], [-0.2, 1.5, 5.0]], np.float32)
    looks = doll_looks(anatomy, count, SIZE, seed=21)
    return [
        FaceShot(worn=worn[k % 2], look=look, crop=crop + np.float32(0.05 * k))
        for k, look in enumerate(looks)
    ]


def _talking(anatomy: Anatomy) -> Anatomy:
    """The same, with names for all that a score moves; what they do is not drawn."""
    talking = copy(anatomy)
    talking.units = UNITS
    return talking


class _Painter:
    """Draws nothing but grey, and remembers what it was asked for."""

    name = "grey"

    def __init__(self, grey: float) -> None:
        self._grey = grey
        self.looks: list[Look] = []

    def draw(self, costumed: Costumed, looks: Sequence[Look]) -> Iterator[tuple[F32, F32]]:
        self.looks += looks
        for look in looks:
            yield np.full_like(look.backdrop, self._grey), np.zeros(look.backdrop.shape[:2])

    def draw_faces(self, shots: Sequence[FaceShot], frame_size: int) -> Iterator[tuple[F32, F32]]:
        assert not shots
        return iter(())
