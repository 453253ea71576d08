"""Clips with their true swap, of people nobody was trained on: the truth benchmark's material.

The performers are always strangers from :data:`FIRST_STRANGER` on, which no training uses.
Every other persona is a member of the cast (whom networks may know by heart); the rest are
strangers as well. Motion is continuous at :data:`FPS`, as it is in life.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import as_file, files
from typing import Literal

import numpy as np
import numpy.typing as npt

from .acting import FPS, Score
from .cast import CAST
from .drawing import Drawer, NumbaDrawer
from .figure.anatomy import F32, I32
from .figure.person import Person
from .figure.studio import portrait_camera
from .location import draw_backdrop, draw_camera, draw_light, draw_sensor, turned
from .occluder_faces import seen_light
from .occluder_hands import Hands
from .pose import pose_seen
from .stage import Actor, Anatomy, Costumed, Look
from .strangers import draw_stranger
from .truth_covering import Covering, find_sprite

U8 = npt.NDArray[np.uint8]
Group = Literal["cast", "strangers", "covered"]

FIRST_STRANGER = 20_000
"""Numbers of the benchmark's strangers start here; training stays below."""

PORTRAIT_PX = 512
# Turns of a persona's portraits: one from the front, one that shows a side.
_PORTRAIT_YAWS_DEG = (0.0, 24.0)
# How poor the cameras may be: a noisier picture is a larger file, and no harder a swap.
_HARM = 0.35
_SPIN_DEG_A_S = 25.0
# Nearer than in training takes, so that the face is large in a small picture.
_NEARER = 1.2
_MASK_LEVELS = 15
_UPRIGHT = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One clip to be: who acts, who is worn, and the seed of all else.

    Attributes:
        name: of the clip.
        group: ``cast`` if networks may know the persona, ``strangers`` if nobody does;
            ``covered`` is the cast again, with something before the face for a while.
        performer, persona: the two people.
        seed: of motion, camera, light, backdrop and sensor.
    """

    name: str
    group: Group
    performer: Person
    persona: Person
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePicture:
    """One frame of a clip and what is known of it.

    Attributes:
        driver, truth: (S, S, 3) uint8 BGR: the performer, and the true swap.
        share: (S, S) uint8, how much of the truth is the persona's, 255 = all.
        occluder: (S, S) uint8, how much something covers; None in a clip without.
        landmarks: (468, 2) float32, sixteenths of a pixel, centres at integers: where the
            face mesh's points lie on the truth's head, hidden ones too. Approximate: which
            point of the head each is was found with a detector.
        pose_deg: (3,) float32 yaw, pitch, roll as in :class:`mien.types.HeadPose`.
        units: (U,) float32, 0..1, strengths of the face units.
    """

    driver: U8
    truth: U8
    share: U8
    occluder: U8 | None
    landmarks: F32
    pose_deg: F32
    units: F32


def plan_scenes(clips: int, seed: int, covered: int = 0) -> list[Scene]:
    """Scenes of a set: the same numbers give the same people and the same motion.

    Args:
        clips: bare ones; every other wears one of the cast.
        seed: of everything.
        covered: how many more with something before the face.
    """
    random = np.random.default_rng([seed, 8080])
    cast = random.permutation(len(CAST))
    scenes = []
    wearing_cast = 0
    for clip in range(clips + covered):
        number = FIRST_STRANGER + 1000 * seed + 2 * clip
        group: Group = "covered" if clip >= clips else ("cast", "strangers")[clip % 2]
        persona = draw_stranger(number + 1)
        if group != "strangers":
            persona = CAST[int(cast[wearing_cast % len(CAST)])]
            wearing_cast += 1
        scenes.append(
            Scene(
                name=f"{clip + 1:02d}-{persona.name}",
                group=group,
                performer=draw_stranger(number),
                persona=persona,
                seed=1000 * seed + clip,
            )
        )
    return scenes


def shoot_portraits(
    actor: Actor, anatomy: Anatomy, seed: int, drawer: Drawer | None = None
) -> list[U8]:
    """Portraits of a persona in a kind light, the frontal one first."""
    random = np.random.default_rng([seed, 6060])
    plain = Costumed(actor, anatomy)
    light, sensor = draw_light(random, kind=True), draw_sensor(random, harm=0.0)
    backdrop = draw_backdrop(random, PORTRAIT_PX)
    looks = [
        Look(
            strengths=np.zeros(len(anatomy.units), np.float32),
            angles_deg=np.array([yaw, 0, 0], np.float32),
            camera=portrait_camera(actor.eye_height),
            light=light,
            backdrop=backdrop,
        )
        for yaw in _PORTRAIT_YAWS_DEG
    ]
    pictures = (drawer or NumbaDrawer()).draw(plain, looks)
    return [sensor.develop(linear, seed) for linear, _ in pictures]


def shoot_scene(
    scene: Scene,
    anatomy: Anatomy,
    performer: Actor,
    persona: Actor,
    *,
    frames: int,
    size_px: int,
    drawer: Drawer | None = None,
) -> Iterator[TruePicture]:
    """The frames of a clip, one after the other; drawn by Numba unless a drawer is named."""
    random = np.random.default_rng([scene.seed, 7070])
    plain, twin = Costumed(performer, anatomy), Costumed(performer, anatomy, persona)
    score = Score(anatomy.units, frames + 1, random)
    camera = draw_camera(random, performer.eye_height)
    camera = replace(camera, focal=camera.focal * _NEARER)
    light, spin = draw_light(random), random.normal(0, _SPIN_DEG_A_S)
    backdrop = draw_backdrop(random, size_px)
    sensor = draw_sensor(random, harm=_HARM)
    covering = _covering(scene, anatomy, frames) if scene.group == "covered" else None
    looks = [
        Look(
            strengths=score.strengths[index],
            angles_deg=score.angles_deg[index],
            camera=camera,
            light=turned(light, spin * index / FPS),
            backdrop=backdrop,
        )
        for index in range(frames)
    ]
    drawer = drawer or NumbaDrawer()
    pictures = zip(looks, drawer.draw(plain, looks), drawer.draw(twin, looks), strict=True)
    for index, (look, (linear, _), (true_linear, part)) in enumerate(pictures):
        noise = 1000 * scene.seed + index
        driver, truth = sensor.develop(linear, noise), sensor.develop(true_linear, noise)
        points = camera.project(twin.posed_vertices(look)[landmark_vertices()], size_px)
        landmarks = np.asarray(np.round((points[:, :2] - 0.5) * 16) / 16, np.float32)
        share, occluder = _levels(part), None
        if covering is not None:
            seen = seen_light(look.light, camera, sensor.exposure, _UPRIGHT)
            driver, truth, cover = covering.cover(index, driver, truth, landmarks, seen)
            share = _levels(part * (1 - cover.astype(np.float32) / 255))
            occluder = _levels(cover / np.float32(255))
        yield TruePicture(
            driver=driver,
            truth=truth,
            share=share,
            occluder=occluder,
            landmarks=landmarks,
            pose_deg=pose_seen(look.angles_deg, camera.axes),
            units=look.strengths,
        )


def _covering(scene: Scene, anatomy: Anatomy, frames: int) -> Covering:
    sprite = find_sprite(scene.seed, Hands(anatomy.head.shapes))
    return Covering(sprite, scene.seed, frames)


def _levels(part: F32) -> U8:
    """0..1 as uint8 in few levels: noise in the last bits would fill the file."""
    return (np.round(np.clip(part, 0, 1) * _MASK_LEVELS) * (255 // _MASK_LEVELS)).astype(np.uint8)


@cache
def landmark_vertices() -> I32:
    """(468,) int32: the head's vertex nearest to each point of the face mesh."""
    resource = files("mien.training.synthetic").joinpath("landmark_vertices.npy")
    with as_file(resource) as path:
        vertices: I32 = np.load(path, allow_pickle=False)
    vertices.flags.writeable = False
    return vertices
