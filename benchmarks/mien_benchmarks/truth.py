"""How near a swap comes to the true one, on clips that were rendered with both faces.

A truth folder holds ``clip1_driver.mp4`` (the performer), ``clip1_gt_face.mp4`` (the same
with the persona's inner face, frame for frame) and ``source_B.png`` (the persona's
portrait). The region of all picture measures is the face oval of the driver's landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from mien.errors import MediaError
from mien.face_mesh import FACE_OVAL
from mien.types import F32Array, FaceTrack, Frame, U8Array
from mien_streamer.sources import open_source, read_image

DRIVER = "clip1_driver.mp4"
TRUE_SWAP = "clip1_gt_face.mp4"
PORTRAIT = "source_B.png"

DESCRIPTOR_STRIDE = 6
"""Every which frame is described: 30 samples of a 6 s clip, 0.2 s apart."""


class Finder(Protocol):
    """Finds the faces of a still picture, largest first."""

    def find(self, image_bgr: U8Array) -> list[FaceTrack]: ...


class Describer(Protocol):
    """Describes the identity of a face."""

    def describe(self, image_bgr: U8Array, landmarks: F32Array) -> F32Array: ...


@dataclass(slots=True, kw_only=True)
class PictureScore:
    """One kind of picture (unswapped, swapped, truth) against the truth and the portrait.

    Attributes:
        error: mean absolute difference from the truth inside the region, code values.
        psnr_db: the same as peak signal to noise ratio over all frames' pixels.
        descriptor: median distance of the identity descriptor to the portrait's.
        faces: number of described frames in which a face was found.
        motion: mean absolute change from frame to frame inside the region.
        flicker: mean absolute change, from frame to frame, of the difference from the
            truth: 0 for a swap whose error stands still.
    """

    error: float
    psnr_db: float
    descriptor: float
    faces: int
    motion: float
    flicker: float


@dataclass(slots=True, kw_only=True)
class TruthScore:
    """What :func:`score_clip` found.

    Attributes:
        frames: frames compared.
        unswapped, swapped, truth: the three kinds of picture.
        relative_error: error of the swapped over error of the unswapped.
    """

    frames: int
    unswapped: PictureScore
    swapped: PictureScore
    truth: PictureScore
    relative_error: float = field(init=False)

    def __post_init__(self) -> None:
        self.relative_error = self.swapped.error / max(self.unswapped.error, 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def score_clip(
    folder: str | Path,
    swap: Callable[[Frame], U8Array],
    *,
    finder: Finder,
    describer: Describer,
    max_frames: int | None = None,
    driver: str = DRIVER,
    true_swap: str = TRUE_SWAP,
    portrait: str = PORTRAIT,
    on_frame: Callable[[int, U8Array, U8Array, U8Array], None] | None = None,
) -> TruthScore:
    """Scores a swap on a ground-truth clip.

    Args:
        folder: where the clip lies, see the module.
        swap: returns the (H, W, 3) uint8 output for a frame; may paint into it. Called
            with every frame in order.
        finder: finds faces for the region and the descriptors; not the swap's own.
        describer: describes identities.
        max_frames: stop after so many frames.
        driver, true_swap, portrait: names inside the folder.
        on_frame: sees index, driver, output and truth of each frame.

    Raises:
        MediaError: a file of the clip is missing, or no face is found in it.
    """
    folder = Path(folder)
    wanted = _describe_portrait(folder / portrait, finder, describer)
    tallies = {kind: _Tally(wanted) for kind in ("unswapped", "swapped", "truth")}
    region: U8Array | None = None
    frames = 0
    with (
        open_source(str(folder / driver)) as driver_source,
        open_source(str(folder / true_swap)) as true_source,
    ):
        pairs = zip(driver_source.frames(), true_source.frames(), strict=False)
        for frame, true_frame in pairs:
            if max_frames is not None and frames >= max_frames:
                break
            original, truth = frame.bgr.copy(), true_frame.bgr
            output = swap(frame)
            faces = finder.find(original)
            if faces:
                region = _oval(faces[0].landmarks, frame.size)
            if region is None:
                continue
            pictures = {"unswapped": original, "swapped": output, "truth": truth}
            for kind, picture in pictures.items():
                tallies[kind].add_picture(picture, truth, region)
                if frames % DESCRIPTOR_STRIDE == 0:
                    found = faces if kind == "unswapped" else finder.find(picture)
                    tallies[kind].add_identity(picture, found, describer)
            if on_frame is not None:
                on_frame(frames, original, output, truth)
            frames += 1
    if frames == 0:
        raise MediaError(f"no face was found in {folder / driver}", "check the truth folder")
    return TruthScore(frames=frames, **{kind: tally.score() for kind, tally in tallies.items()})


class _Tally:
    """Sums over the frames of one kind of picture."""

    def __init__(self, wanted: F32Array) -> None:
        self._wanted = wanted
        self._absolute = 0.0
        self._square = 0.0
        self._values = 0
        self._distances: list[float] = []
        self._motions: list[float] = []
        self._flickers: list[float] = []
        self._before: tuple[F32Array, F32Array] | None = None

    def add_picture(self, picture: U8Array, truth: U8Array, region: U8Array) -> None:
        inside = region > 0
        whole, other = picture.astype(np.float32), truth.astype(np.float32)
        difference = whole - other
        absolute = np.abs(difference[inside])
        self._absolute += float(absolute.sum(dtype=np.float64))
        self._square += float(np.square(absolute, dtype=np.float64).sum())
        self._values += absolute.size
        if self._before is not None:
            self._motions.append(float(np.abs((whole - self._before[0])[inside]).mean()))
            self._flickers.append(float(np.abs((difference - self._before[1])[inside]).mean()))
        self._before = whole, difference

    def add_identity(self, picture: U8Array, faces: list[FaceTrack], describer: Describer) -> None:
        if faces:
            descriptor = describer.describe(picture, faces[0].landmarks)
            self._distances.append(float(np.linalg.norm(descriptor - self._wanted)))

    def score(self) -> PictureScore:
        square = self._square / self._values
        return PictureScore(
            error=self._absolute / self._values,
            psnr_db=float(10 * np.log10(255.0**2 / square)) if square > 0 else float("inf"),
            descriptor=float(np.median(self._distances)) if self._distances else float("nan"),
            faces=len(self._distances),
            motion=float(np.mean(self._motions)) if self._motions else 0.0,
            flicker=float(np.mean(self._flickers)) if self._flickers else 0.0,
        )


def _describe_portrait(path: Path, finder: Finder, describer: Describer) -> F32Array:
    image = read_image(path)
    faces = finder.find(image)
    if not faces:
        raise MediaError(f"no face was found in {path}", "check the truth folder")
    return describer.describe(image, faces[0].landmarks)


def _oval(landmarks: F32Array, size: tuple[int, int]) -> U8Array:
    """(H, W) uint8, 255 inside the face oval."""
    region = np.zeros(size, np.uint8)
    cv2.fillPoly(region, [np.round(landmarks[list(FACE_OVAL), :2]).astype(np.int32)], (255,))
    return region


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, float):
        return round(value, 4) if np.isfinite(value) else None
    return value
