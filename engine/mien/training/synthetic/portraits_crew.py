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
from .figure.anatomy import F32
from .figure.rasteriser import rasterise
from .location import U8, Sensor, draw_backdrop, draw_camera, draw_light, draw_sensor, turned
from .stage import Actor, Anatomy, Costumed, Look

_FRAME_SIZE = 224
_SUPERSAMPLING = 2
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


class WornFace(Costumed):
    """A performer who wears another's face, of which only that face is drawn."""

    def __init__(self, actor: Actor, anatomy: Anatomy, other: Actor) -> None:
        super().__init__(actor, anatomy, other)
        self._face = other

    def draw_face(self, look: Look, crop: F32Array, frame_size: int) -> tuple[F32, F32]:
        """Linear RGB (S, S, 3) of the face in a crop, black elsewhere; (S, S) its share.

        Args:
            look: what holds; of the backdrop nothing is seen.
            crop: (2, 3), crop-from-frame.
            frame_size: side of the frame.
        """
        vertices, normals = self._posed(look)
        samples = LIVE_SIZE * _SUPERSAMPLING
        points = look.camera.project(vertices, frame_size)
        # The camera's pixel centres lie at .5, the crop's at integers.
        moved = (points[:, :2] - 0.5) @ crop[:, :2].T + crop[:, 2]
        points[:, :2] = (moved + 0.5) * _SUPERSAMPLING
        at = np.full((samples, samples), -1, np.int32)
        weights = np.zeros((samples, samples, 2), np.float32)
        depth = np.zeros((samples, samples), np.float32)
        rasterise(points, self._triangles, self._levels, self._rest, self._actor.maps.strands,
                  1, at, weights, depth)  # fmt: skip
        mix = np.zeros(len(vertices), np.float32)
        mix[: len(self._mix)] = self._mix
        corners = mix[self._triangles[at]]
        share = corners[..., 0] + weights[..., 0] * (corners[..., 1] - corners[..., 0])
        share += weights[..., 1] * (corners[..., 2] - corners[..., 0])
        share[at < 0] = 0.0
        at[share <= 0] = -1
        black = replace(look, backdrop=np.zeros((LIVE_SIZE, LIVE_SIZE, 3), np.float32))
        linear = self._shade(
            self._face, black, vertices, normals, at, weights, self._cast_shadow(look, vertices)
        )
        # Colour of the samples that show the face, not darkened by those that do not.
        shown = cv2.resize((at >= 0).astype(np.float32), (LIVE_SIZE, LIVE_SIZE),
                           interpolation=cv2.INTER_AREA)  # fmt: skip
        linear /= np.maximum(shown, 1e-3)[..., None]
        small = cv2.resize(share, (LIVE_SIZE, LIVE_SIZE), interpolation=cv2.INTER_AREA)
        return np.asarray(linear, np.float32), np.asarray(small, np.float32)


class PortraitCrew:
    """The anatomy that everybody shares, and who was cast so far."""

    def __init__(self, anatomy: Anatomy, persona: Callable[[int], Actor]) -> None:
        self.anatomy = anatomy
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
        model = PerformerModel()
        rows = _Rows()
        with FaceTracker() as tracker:
            for shot in range(shots):
                at = shot * _STRIDE
                look = Look(
                    strengths=score.strengths[at],
                    angles_deg=score.angles_deg[at],
                    camera=camera,
                    light=turned(light, spin * at / FPS),
                    backdrop=backdrop,
                )
                driver = sensor.develop(plain.draw(look)[0], int(call.seed * 1000 + shot))
                time_ns = int(at / FPS * 1e9)
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
                    linear, share = worn[who].draw_face(look, crop, _FRAME_SIZE)
                    rows.pictures.append(_picture(linear, share, clean))
                    rows.personas.append(who)
                    rows.shots.append(len(rows.drivers) - 1)
                    rows.transforms.append(input_transform(crop, track.pose))
                    rows.landmarks.append(crop_landmarks(track.landmarks, crop)[:, :2])
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
