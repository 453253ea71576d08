"""One take: a performer acts, the tracker follows, the mesh swapper swaps, samples are cut."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.compositing import Compositor
from mien.config import PipelineConfig
from mien.perception import FaceDescriptor, FaceTracker
from mien.personas.enrolment import enrol
from mien.personas.persona import Consent, Persona
from mien.refiner_view import CROP_SIZE, crop_from_frame, crop_landmarks, cut_crop
from mien.swappers.mesh import MeshSwapper
from mien.training.shards import Sample
from mien.types import F32Array, Frame

from .acting import FPS, Score
from .drawing import Drawer, NumbaDrawer
from .location import Sensor, draw_backdrop, draw_camera, draw_light, draw_sensor, turned
from .stage import Actor, Anatomy, Costumed, Look

U8 = npt.NDArray[np.uint8]

_PORTRAIT_SIZE = 448
_FRAME_SIZE = 320
# Frames of the score between two that are shot.
_STRIDE = 3
_WARM_UP = 8
_REST_FRAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who acts, who is worn, and the seed of all else."""

    performer: int
    persona: int
    seed: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Swapped:
    """One frame after the swap, waiting for its true swap: what a sample has beside that."""

    look: Look
    noise_seed: int
    cut: F32Array
    performer: U8
    composite: U8
    matte: U8
    landmarks: F32Array
    shot: int


class Crew:
    """The real stages of mien, and the anatomy that everybody shares.

    Args:
        anatomy: see there.
        drawer: draws the pictures; by default one after the other, on the processor.
    """

    def __init__(self, anatomy: Anatomy, drawer: Drawer | None = None) -> None:
        self.anatomy = anatomy
        self._drawer = drawer or NumbaDrawer()
        self.finder = FaceTracker()
        self.descriptor = FaceDescriptor()
        self.compositor = Compositor()

    def shoot(self, call: Call, performer: Actor, worn: Actor) -> list[Sample]:
        """The samples of a take; fewer than asked where the face was lost."""
        random = np.random.default_rng([call.seed, 77])
        persona = self._enrol(worn, random)
        if persona is None:
            return []
        plain, twin = (
            Costumed(performer, self.anatomy),
            Costumed(performer, self.anatomy, worn),
        )
        shots = _WARM_UP + call.samples
        score = Score(self.anatomy.units, shots * _STRIDE + 8, random)
        score.rest_until(_REST_FRAMES * _STRIDE, over=6)
        camera = draw_camera(random, performer.eye_height)
        light, spin = draw_light(random), random.normal(0, 25)
        backdrop, sensor = draw_backdrop(random, _FRAME_SIZE), draw_sensor(random)
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
        swapped = self._swap(persona, plain, looks, sensor, call.seed, random)
        truths = self._drawer.draw(twin, [one.look for one in swapped])
        return [
            Sample(
                performer=one.performer,
                composite=one.composite,
                truth=cut_crop(sensor.develop(linear, one.noise_seed), one.cut),
                matte=one.matte,
                swapped=cut_crop(np.round(share * 255).astype(np.uint8), one.cut),
                landmarks=one.landmarks,
                tags=np.array([call.performer, call.persona, call.seed, one.shot], dtype=np.int32),
            )
            for one, (linear, share) in zip(swapped, truths, strict=True)
        ]

    def _swap(
        self, persona: Persona, plain: Costumed, looks: list[Look], sensor: Sensor, seed: int,
        random: np.random.Generator,
    ) -> list[_Swapped]:  # fmt: skip
        """The frames that the real tracker and the real mesh swapper made something of."""
        swapper = MeshSwapper(PipelineConfig())
        state = swapper.prepare(persona)
        swapped: list[_Swapped] = []
        with FaceTracker() as tracker:
            for shot, (linear, _) in enumerate(self._drawer.draw(plain, looks)):
                noise_seed = int(seed * 1000 + shot)
                driver = sensor.develop(linear, noise_seed)
                time_ns = int(shot * _STRIDE / FPS * 1e9)
                frame = Frame(index=shot, bgr=driver.copy(), capture_ns=time_ns, pts_ns=time_ns)
                tracks = tracker.track(frame)
                if not tracks:
                    continue
                track = tracks[0]
                patch = swapper.swap(frame, track, state)
                if shot < _WARM_UP or not patch.matte.size:
                    continue
                self.compositor.composite(frame.bgr, patch, track)
                matte = np.zeros(driver.shape[:2], np.uint8)
                rows, columns = patch.matte.shape
                matte[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.matte
                cut = _jittered(crop_from_frame(track.landmarks), random)
                swapped.append(
                    _Swapped(
                        look=looks[shot],
                        noise_seed=noise_seed,
                        cut=cut,
                        performer=cut_crop(driver, cut),
                        composite=cut_crop(frame.bgr, cut),
                        matte=cut_crop(matte, cut),
                        landmarks=crop_landmarks(track.landmarks, cut),
                        shot=shot,
                    )
                )
        swapper.close()
        return swapped

    def _enrol(self, worn: Actor, random: np.random.Generator) -> Persona | None:
        """A persona of one to three fresh portraits in an ordinary, mostly kind light."""
        looks, sensors = [], []
        for view in range(int(random.integers(1, 4))):
            strengths = np.zeros(len(self.anatomy.units), np.float32)
            smile = float(max(random.normal(0.1, 0.2), 0))
            for unit in ("mouthSmileLeft", "mouthSmileRight"):
                strengths[self.anatomy.units.index(unit)] = min(smile, 0.6)
            yaw = (
                random.normal(0, 6)
                if view == 0
                else random.choice([-1, 1]) * random.uniform(15, 38)
            )
            look = Look(
                strengths=strengths,
                angles_deg=np.array([yaw, random.normal(0, 5), random.normal(0, 3)], np.float32),
                camera=draw_camera(random, worn.eye_height),
                light=draw_light(random, kind=True),
                backdrop=draw_backdrop(random, _PORTRAIT_SIZE),
            )
            looks.append(look)
            sensors.append((draw_sensor(random, harm=0.25), int(random.integers(2**31))))
        photos: list[U8] = []
        faces = []
        pictures = self._drawer.draw(Costumed(worn, self.anatomy), looks)
        for (linear, _), (sensor, noise_seed) in zip(pictures, sensors, strict=True):
            photo = sensor.develop(linear, noise_seed)
            found = self.finder.find(photo)
            if found:
                photos.append(photo)
                faces.append(found[0])
        if not photos:
            return None
        face = enrol(photos, faces)
        described = [
            self.descriptor.describe(photo, one.landmarks)
            for photo, one in zip(photos, faces, strict=True)
        ]
        return Persona(
            name=worn.person.name,
            created="2026-01-01T00:00:00+00:00",
            consent=Consent(statement="a person who does not exist", given_by="fictional"),
            texture=face.texture,
            coverage=face.coverage,
            shape=face.shape,
            iris_bgr=face.iris_bgr,
            skin_bgr=face.skin_bgr,
            descriptor=np.mean(described, axis=0, dtype=np.float32),
            latents={},
            preview_jpeg=cv2.imencode(".jpg", photos[0])[1].tobytes(),
        )


def _jittered(transform: F32Array, random: np.random.Generator) -> F32Array:
    """A crop that is a little off, as the tracker's may be."""
    middle = (CROP_SIZE - 1) / 2
    turn, zoom = float(random.normal(0, 2)), float(np.exp(random.normal(0, 0.03)))
    shift = random.normal(0, 0.015 * CROP_SIZE, 2)
    jitter = np.array(cv2.getRotationMatrix2D((middle, middle), turn, zoom), np.float64)
    jitter[:, 2] += shift
    whole = np.vstack([transform, [0, 0, 1]])
    return np.asarray(jitter @ whole, np.float32)
