"""Where a take is shot: camera, light, backdrop, and what the sensor does to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .figure.anatomy import F32
from .figure.studio import Camera, Light, axes_along, develop, towards

U8 = npt.NDArray[np.uint8]


def draw_camera(random: np.random.Generator, eye_height: float) -> Camera:
    """A camera that sees one head, a little off the middle."""
    distance = random.uniform(7.0, 16.0)
    # The head fills 55 to 80% of the picture's height.
    focal = distance * random.uniform(0.23, 0.33)
    target = np.array([random.normal(0, 0.12), eye_height - 0.2 + random.normal(0, 0.1), 0.5])
    yaw, pitch = np.radians(random.normal(0, 6)), np.radians(random.normal(2, 7))
    back = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    return Camera(
        position=(target + back * distance).astype(np.float32),
        axes=axes_along(back.astype(np.float32)),
        focal=float(focal),
    )


def draw_light(random: np.random.Generator, *, kind: bool = False) -> Light:
    """From soft and frontal to hard and from the side; warm to cold.

    Args:
        random: where chance comes from.
        kind: as people light a portrait: soft, from the front, well exposed.
    """
    hardness = random.random() * (0.4 if kind else 1.0)
    azimuth = random.normal(0, 18 if kind else 45)
    warmth = random.normal(0, 0.04 if kind else 0.13)
    key = np.array([1 + warmth, 1.0, 1 - warmth]) * (0.35 + 1.1 * hardness)
    cold = random.normal(0, 0.03 if kind else 0.08)
    around = np.array([1 - cold, 1.0, 1 + cold]) * (0.75 - 0.45 * hardness)
    around *= random.uniform(0.9, 1.1) if kind else random.uniform(0.7, 1.3)
    return Light(
        key_direction=towards(float(np.clip(azimuth, -100, 100)), float(random.uniform(5, 60))),
        key=(key * (1.0 if kind else random.uniform(0.7, 1.2))).astype(np.float32),
        fill_direction=towards(float(-azimuth * 0.9 - 25), float(random.uniform(-10, 20))),
        fill=(around * random.uniform(0.2, 0.8)).astype(np.float32),
        sky=(around * 0.8).astype(np.float32),
        ground=(around * random.uniform(0.35, 0.7)).astype(np.float32),
        shine=float(random.uniform(0.4, 1.2)),
    )


def turned(light: Light, degrees: float) -> Light:
    """The same light, carried round the performer."""
    angle = np.radians(degrees)
    spin = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]],
        np.float32,
    )
    return Light(
        key_direction=spin @ light.key_direction,
        key=light.key,
        fill_direction=light.fill_direction,
        fill=light.fill,
        sky=light.sky,
        ground=light.ground,
        shine=light.shine,
    )


def draw_backdrop(random: np.random.Generator, size: int) -> F32:
    """(size, size, 3) linear RGB: a blurred room of boxes and lamps."""
    rows = np.linspace(0, 1, size)[:, None, None]
    upper, lower = random.random(3) * 0.35 + 0.08, random.random(3) * 0.2 + 0.03
    room = np.asarray(upper * (1 - rows) + lower * rows, np.float32) * np.ones(
        (size, size, 3), np.float32
    )
    for _ in range(int(random.integers(2, 14))):
        left, top = random.integers(0, size, 2)
        wide, high = random.integers(size // 30, size // 2, 2)
        colour = (random.random(3) * 0.5 + 0.5 * random.random()) ** 1.6 * 0.5
        corner = (int(left + wide), int(top + high))
        cv2.rectangle(room, (int(left), int(top)), corner, colour.tolist(), -1)
    for _ in range(int(random.integers(0, 6))):
        centre = tuple(int(v) for v in random.integers(0, size, 2))
        glow = (np.array([1.2, 0.95, 0.6]) * random.uniform(0.3, 1.3)).tolist()
        cv2.circle(room, centre, int(random.integers(2, size // 16)), glow, -1, cv2.LINE_AA)
    blurred = cv2.GaussianBlur(room, (0, 0), float(random.uniform(0.6, size / 50)))
    return np.asarray(np.clip(blurred, 0, 2), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """What one camera does to every picture of a take, with the same noise for each twin.

    Attributes:
        balance: (3,) RGB gains of a white balance that is a little off.
        exposure, gamma, saturation: tone.
        blur_px: defocus, standard deviation.
        noise: standard deviation at mid grey, code values; ``chroma`` of it is colour.
        jpeg_quality: of the compression, or 0 for none.
    """

    balance: F32
    exposure: float
    gamma: float
    saturation: float
    blur_px: float
    noise: float
    chroma: float
    jpeg_quality: int

    def develop(self, linear_rgb: F32, noise_seed: int) -> U8:
        """(H, W, 3) uint8 BGR."""
        linear = np.asarray(linear_rgb * self.balance * self.exposure, np.float32)
        if self.blur_px > 0.2:
            linear = np.asarray(cv2.GaussianBlur(linear, (0, 0), self.blur_px), np.float32)
        bgr = develop(linear).astype(np.float32)
        grey = bgr.mean(axis=2, keepdims=True)
        bgr = 255 * np.clip((grey + (bgr - grey) * self.saturation) / 255, 0, 1) ** self.gamma
        if self.noise > 0:
            random = np.random.default_rng(noise_seed)
            luma = random.standard_normal((*bgr.shape[:2], 1), np.float32)
            colour = random.standard_normal(bgr.shape, np.float32)
            # Shot noise grows with the root of the light, read noise does not.
            strength = self.noise * (0.4 + 0.6 * np.sqrt(np.maximum(bgr, 0) / 128))
            bgr = bgr + strength * (luma + self.chroma * colour)
        picture = np.clip(np.round(bgr), 0, 255).astype(np.uint8)
        if self.jpeg_quality:
            quality = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
            _, data = cv2.imencode(".jpg", picture, quality)
            picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(picture)


def draw_sensor(random: np.random.Generator, *, harm: float = 1.0) -> Sensor:
    """From a clean studio camera to a poor webcam; ``harm`` 0 is always clean."""
    poor = random.random() * harm
    return Sensor(
        balance=(1 + random.normal(0, 0.06, 3) * harm).astype(np.float32),
        exposure=float(2 ** (random.normal(0.15, 0.3) * max(harm, 0.3))),
        gamma=float(1 + random.normal(0, 0.09) * harm),
        saturation=float(1 + random.normal(0, 0.14) * harm),
        blur_px=float(max(random.normal(0.3, 0.5), 0) * poor),
        noise=float(max(random.normal(2.0, 2.5), 0) * poor),
        chroma=float(random.uniform(0.2, 0.9)),
        jpeg_quality=int(random.uniform(60, 97)) if random.random() < 0.6 * harm else 0,
    )
