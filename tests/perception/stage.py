"""Composed scenes: portraits that move over a backdrop, with a clock of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from mien.types import Frame, U8Array

DATA = Path(__file__).parent / "data"
FPS = 30.0


@cache
def portrait(name: str) -> U8Array:
    """A 256x256 portrait: 'a' to 'f' are rendered people, 'astronaut' is a real one."""
    if name == "astronaut":
        return np.ascontiguousarray(astronaut()[20:230, 120:330])
    image = cv2.imread(str(DATA / f"face_{name}.jpg"))
    assert image is not None
    return np.asarray(image, np.uint8)


@cache
def astronaut() -> U8Array:
    """The public-domain portrait of scikit-image, (512, 512, 3) BGR."""
    from skimage.data import astronaut as load

    return np.ascontiguousarray(load()[:, :, ::-1])


def clip(name: str) -> list[U8Array]:
    """The frames of a short clip of the test data."""
    with av.open(str(DATA / f"{name}.mp4")) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


@dataclass
class Actor:
    """A portrait and where it stands; ``size`` is the side of its square, pixels."""

    name: str
    x: float
    y: float = 180.0
    size: float = 220.0


def backdrop(seed: int = 1, size: tuple[int, int] = (360, 640)) -> U8Array:
    """A soft, faceless background that differs from seed to seed."""
    coarse = np.random.default_rng(seed).integers(20, 235, (5, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def compose(actors: list[Actor], background: U8Array) -> U8Array:
    """The actors over the background, later ones in front."""
    frame = background.astype(np.float32)
    height, width = background.shape[:2]
    for actor in actors:
        image = portrait(actor.name)
        k = actor.size / image.shape[0]
        half = actor.size / 2
        move = np.array([[k, 0, actor.x - half], [0, k, actor.y - half]])
        yy, xx = np.mgrid[: image.shape[0], : image.shape[1]] / image.shape[0] - 0.5
        oval = np.clip((0.47 - np.hypot(xx * 1.25, yy)) * 30, 0, 1).astype(np.float32)
        mask = cv2.warpAffine(oval, move, (width, height))[:, :, None]
        pasted = cv2.warpAffine(image, move, (width, height), flags=cv2.INTER_AREA)
        frame += mask * (pasted.astype(np.float32) - frame)
    return np.clip(frame + 0.5, 0, 255).astype(np.uint8)


@dataclass
class Camera:
    """Numbers pictures and stamps them with a manual clock."""

    index: int = 0
    step_ns: int = field(default=int(1e9 / FPS))

    def shoot(self, image: U8Array) -> Frame:
        """The picture as the next frame."""
        time_ns = self.index * self.step_ns
        frame = Frame(index=self.index, bgr=image, capture_ns=time_ns, pts_ns=time_ns)
        self.index += 1
        return frame

    def shoot_all(self, images: Iterator[U8Array] | list[U8Array]) -> Iterator[Frame]:
        """Each picture as the next frame."""
        for image in images:
            yield self.shoot(image)
