"""Shoots portraits: a performer acts, and several people are drawn doing the same.

The performer's frames go through the real tracker, as in a live session; the pictures of
the personas are drawn straight into the crop, with no resampling in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mien.live_view import LIVE_SIZE, input_transform, live_crop, observe_driver
from mien.perception import FaceTracker
from mien.refiner_view import crop_landmarks, cut_crop
from mien.swappers.mesh.performer import PerformerModel
from mien.training.portrait_shards import PortraitTake
from mien.types import F32Array, Frame

from .acting import FPS, Score
from .drawing import Drawer, NumbaDrawer
from .figure.anatomy import F32
from .location import U8, Sensor, draw_backdrop, draw_camera, draw_light, draw_sensor, turned
from .stage import Actor, Anatomy, Costumed, Look
from .worn_face import FaceShot, WornFace

_FRAME_SIZE = 224
# Frames of the score between two that are shot.
_STRIDE = 3
_WARM_UP = 8
_REST_FRAMES = 5
# How far the crop is off at random: degrees, log of the zoom, share of the side.
_TURN, _ZOOM, _SHIFT = 3.0, 0.04, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class PortraitCall:
    """Who acts, who is drawn in each shot, and the seed of all else.

    Attributes:
        performer: number of a stranger.
        personas: of each shot, as in :class:`~mien.training.portrait_shards.PortraitTake`.
        seed: of motion, camera, light, backdrop and sensor.
    """

    performer: int
    personas: tuple[tuple[int, ...], ...]
    seed: int


class PortraitCrew:
    """The anatomy that everybody shares, and who was cast so far.

    Args:
        anatomy: see there.
        persona: who a persona's code is.
        drawer: draws the pictures; by default one after the other, on the processor.
    """

    def __init__(
        self, anatomy: Anatomy, persona: Callable[[int], Actor], drawer: Drawer | None = None
    ) -> None:
        self.anatomy = anatomy
        self._drawer = drawer or NumbaDrawer()
        self._persona = persona

    def shoot(self, call: PortraitCall, performer: Actor) -> PortraitTake | None:
        """The take; None where the face was never found."""
        random = np.random.default_rng([call.seed, 78])
        plain = Costumed(performer, self.anatomy)
        worn: dict[int, WornFace] = {}
        shots = _WARM_UP + len(call.personas)
        score = Score(self.anatomy.units, shots * _STRIDE + 8, random)
        score.rest_until(_REST_FRAMES * _STRIDE, over=6)
        camera = draw_camera(random, performer.eye_height)
        light, spin = draw_light(random), random.normal(0, 25)
        backdrop, sensor = draw_backdrop(random, _FRAME_SIZE), draw_sensor(random)
        clean = replace(sensor, blur_px=0.0, noise=0.0, jpeg_quality=0)
        looks = [
            Look(
                strengths=score.strengths[at],
                angles_deg=score.angles_deg[at],
                camera=camera,
                light=turned(light, spin * at / FPS),
                backdrop=backdrop,
            )
            for at in range(0, shots * _STRIDE, _STRIDE)
        ]
        model = PerformerModel()
        rows, faces = _Rows(), list[FaceShot]()
        with FaceTracker() as tracker:
            for shot, (linear, _) in enumerate(self._drawer.draw(plain, looks)):
                driver = sensor.develop(linear, int(call.seed * 1000 + shot))
                time_ns = int(shot * _STRIDE / FPS * 1e9)
                frame = Frame(index=shot, bgr=driver, capture_ns=time_ns, pts_ns=time_ns)
                tracks = tracker.track(frame)
                if not tracks:
                    continue
                track = tracks[0]
                condition = observe_driver(driver, track, model)
                if shot < _WARM_UP:
                    continue
                upright = live_crop(track.landmarks)
                rows.drivers.append(cut_crop(driver, upright, LIVE_SIZE))
                rows.conditions.append(condition)
                for who in call.personas[shot - _WARM_UP]:
                    if who not in worn:
                        worn[who] = WornFace(performer, self.anatomy, self._persona(who))
                    crop = _jittered(upright, random)
                    faces.append(FaceShot(worn=worn[who], look=looks[shot], crop=crop))
                    rows.personas.append(who)
                    rows.shots.append(len(rows.drivers) - 1)
                    rows.transforms.append(input_transform(crop, track.pose))
                    rows.landmarks.append(crop_landmarks(track.landmarks, crop)[:, :2])
        for linear, share in self._drawer.draw_faces(faces, _FRAME_SIZE):
            rows.pictures.append(_picture(linear, share, clean))
        return rows.take()


class _Rows:
    """A take that grows."""

    def __init__(self) -> None:
        self.drivers: list[U8] = []
        self.conditions: list[F32] = []
        self.shots: list[int] = []
        self.personas: list[int] = []
        self.pictures: list[U8] = []
        self.transforms: list[F32] = []
        self.landmarks: list[F32] = []

    def take(self) -> PortraitTake | None:
        if not self.pictures:
            return None
        return PortraitTake(
            drivers=np.stack(self.drivers),
            conditions=np.stack(self.conditions),
            shots=np.array(self.shots, np.int32),
            personas=np.array(self.personas, np.int32),
            pictures=np.stack(self.pictures),
            transforms=np.stack(self.transforms),
            landmarks=np.stack(self.landmarks),
        )


def _picture(linear: F32, share: F32, sensor: Sensor) -> U8:
    bgr = sensor.develop(linear, 0)
    matte = np.round(share * 255).astype(np.uint8)
    bgr[matte == 0] = 0
    return np.dstack([bgr, matte])


def _jittered(crop: F32Array, random: np.random.Generator) -> F32Array:
    """A crop that is a little off; the generator is told by how much."""
    middle = (LIVE_SIZE - 1) / 2
    turn, zoom = float(random.normal(0, _TURN)), float(np.exp(random.normal(0, _ZOOM)))
    jitter = np.array(cv2.getRotationMatrix2D((middle, middle), turn, zoom), np.float64)
    jitter[:, 2] += random.normal(0, _SHIFT * LIVE_SIZE, 2)
    return np.asarray(jitter @ np.vstack([crop, [0, 0, 1]]), np.float32)
