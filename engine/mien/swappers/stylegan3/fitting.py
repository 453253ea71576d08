"""A latent for somebody whom the generator was not trained on, found from photos.

The networks are only run, never differentiated, so that a plain install can do it: the
generator draws the person as the photo shows them (same pose, expression and light), and a
damped Gauss-Newton search (Levenberg 1944, Marquardt 1963) moves the latent until picture and
photo agree, with a Jacobian from finite differences. It begins among the latents that the
networks came with, in whose span most of what a latent can say lies, and goes on in
directions of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mien.face_mesh import FACE_OVAL, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from mien.live_view import LATENT_SIZE, input_transform, observe_driver
from mien.live_warp import input_grid
from mien.refiner_view import crop_from_frame, crop_landmarks, cut_crop
from mien.swappers.mesh.performer import PerformerModel
from mien.swappers.stylegan3.wearing import FINE_FROM, with_fine
from mien.types import F32Array, FaceTrack, U8Array

F64Array = npt.NDArray[np.float64]
Progress = Callable[[float], None]

# Pictures are compared at this size: finer than it, a photo and a small generator differ in
# sharpness before they differ in who is shown.
_COMPARED = 64
# Eyes and mouth are small and say much.
_FEATURE_WEIGHT = 2.0
# How much a matte that is wrong by 1 counts beside a colour that is.
_MATTE = 0.5
_GREY = np.float32(0.4)
# How much a unit of descriptor distance counts beside a code value of 1.0 everywhere.
_IDENTITY = 0.35
# How much leaving the latents that are known counts, per deviation.
_PRIOR = 0.02

_OWN_DIRECTIONS = 24
_STEP = 0.25
_DAMPING = 0.05
_ITERATIONS = (3, 3, 2)
"""Of the three stages: among the known latents; in more directions; skin apart from shape."""


class Drawing(Protocol):
    """The part of the networks that is needed."""

    layers: int
    size: int

    def encode(self, condition: F32Array, latent: F32Array) -> F32Array: ...

    def draw(self, ws: F32Array, grid: F32Array) -> F32Array: ...


class Describe(Protocol):
    """Turns a face into an identity descriptor."""

    def __call__(self, image_bgr: U8Array, landmarks: F32Array) -> F32Array: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """A picture and the face in it.

    Attributes:
        image_bgr: (H, W, 3) uint8.
        track: the face.
    """

    image_bgr: U8Array
    track: FaceTrack


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What was found.

    Attributes:
        rows: (layers, 256) float32.
        before, after: difference from the photos inside the face (root mean square, code
            values) of the nearest of the known and of what was found.
        distance_before, distance_after: descriptor distance to the photos; NaN without one.
        pictures: how many were drawn on the way.
    """

    rows: F32Array
    before: float
    after: float
    distance_before: float
    distance_after: float
    pictures: int


def fit_latent(
    portraits: Sequence[Portrait],
    networks: Drawing,
    known: Mapping[str, F32Array],
    *,
    describe: Describe | None = None,
    iterations: tuple[int, int, int] = _ITERATIONS,
    progress: Progress | None = None,
) -> Fit:
    """The latent with which the generator draws whom the photos show.

    Deterministic. Draws about 45 pictures a photo and iteration.

    Args:
        portraits: of one person, at least one.
        networks: of the generator.
        known: the latents that came with it, (256,) float32 each.
        describe: identity of a face; without it colours and shapes alone decide.
        iterations: of the three stages.
        progress: told about the share that is done, 0..1.

    Raises:
        ValueError: no portrait, or no latent is known.
    """
    if not portraits or not known:
        raise ValueError("expected at least one portrait and one known latent")
    search = _Search([_Target(one, networks, describe) for one in portraits], networks)
    start = min(known.values(), key=search.cost_of)
    before = search.measure(np.broadcast_to(start, (networks.layers, LATENT_SIZE)))
    span = _span(np.stack(list(known.values())))
    own = _directions(span)
    both = np.concatenate([span, own])
    whole = sum(iterations)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done / whole)

    latent = start.astype(np.float64)
    for directions, rounds in ((span, iterations[0]), (both, iterations[1])):
        build = _OneLatent(latent, directions, networks.layers)
        latent = latent + search.descend(build, rounds, tick) @ directions
    split = _TwoLatents(latent, both, networks.layers)
    rows = split(search.descend(split, iterations[2], tick))
    after = search.measure(rows)
    return Fit(
        rows=rows,
        before=before[0],
        after=after[0],
        distance_before=before[1],
        distance_after=after[1],
        pictures=search.pictures,
    )


class _OneLatent:
    """From coordinates to latents of every layer: the same for all."""

    def __init__(self, origin: F64Array, directions: F64Array, layers: int) -> None:
        self._origin, self._directions, self._layers = origin, directions, layers
        self.size = len(directions)

    def __call__(self, at: F64Array) -> F32Array:
        row = (self._origin + at @ self._directions).astype(np.float32)
        return np.broadcast_to(row, (self._layers, LATENT_SIZE))


class _TwoLatents:
    """The same with one latent for the first layers and one for the rest."""

    def __init__(self, origin: F64Array, directions: F64Array, layers: int) -> None:
        self._one = _OneLatent(origin, directions, layers)
        self._layers = layers
        self.size = 2 * self._one.size

    def __call__(self, at: F64Array) -> F32Array:
        coarse, fine = self._one(at[: self.size // 2]), self._one(at[self.size // 2 :])
        return with_fine(coarse, fine, self._layers, FINE_FROM)


class _Target:
    """One photo: what the networks are told of it, and how far a picture is from it."""

    def __init__(self, portrait: Portrait, networks: Drawing, describe: Describe | None) -> None:
        size = networks.size
        crop = crop_from_frame(portrait.track.landmarks, size)
        self.landmarks = crop_landmarks(portrait.track.landmarks, crop)
        self.condition = observe_driver(portrait.image_bgr, portrait.track, PerformerModel())
        self.grid = input_grid(self.condition, input_transform(crop, portrait.track.pose, size))
        self.weight = _weights(self.landmarks, size)
        photo = cut_crop(portrait.image_bgr, crop, size).astype(np.float32) / np.float32(255.0)
        self._photo = _reduced(photo)
        self._within = _oval(self.landmarks, size, 1.0)[..., None]
        self._surely = _reduced(_oval(self.landmarks, size, 0.9))
        self._perhaps = _reduced(_oval(self.landmarks, size, 1.25))
        self._describe = describe
        self._wanted = None if describe is None else self._identity(photo)

    def residual(self, image: F32Array) -> tuple[F64Array, F64Array]:
        """Weighted differences of picture and matte, and of the descriptor (maybe empty)."""
        bgr = np.clip(image[:3].transpose(1, 2, 0), 0.0, 1.0)
        differs = (_reduced(bgr) - self._photo) * self.weight[..., None]
        # The face is covered, and what is far from it is not; between, hair decides.
        matte = _reduced(np.clip(image[3], 0.0, 1.0))
        lacks = np.maximum(self._surely - matte, 0.0) + np.maximum(matte - self._perhaps, 0.0)
        picture = np.concatenate([differs.ravel(), _MATTE * lacks.ravel()]).astype(np.float64)
        if self._wanted is None:
            return picture, np.zeros(0)
        return picture, (self._identity(bgr) - self._wanted).astype(np.float64)

    def _identity(self, bgr: F32Array) -> F32Array:
        """The descriptor of the face alone, over grey: hair and background are not its own."""
        assert self._describe is not None
        alone = _GREY + (bgr - _GREY) * self._within
        picture = np.ascontiguousarray((alone * 255.0 + 0.5).astype(np.uint8))
        return self._describe(picture, self.landmarks)


class _Search:
    """Draws, compares, and walks downhill."""

    def __init__(self, targets: Sequence[_Target], networks: Drawing) -> None:
        self._targets = targets
        self._networks = networks
        weight = sum(float((target.weight**2).sum()) for target in targets)
        self._level = float(np.sqrt(3.0 * weight / len(targets)))
        self.pictures = 0

    def residuals(self, rows: F32Array) -> tuple[F64Array, F64Array]:
        parts, identities = [], []
        for target in self._targets:
            unique, which = np.unique(rows, axis=0, return_inverse=True)
            w = np.stack([self._networks.encode(target.condition, one).copy() for one in unique])
            ws = np.ascontiguousarray(w[which.ravel()][None], np.float32)
            picture, identity = target.residual(self._networks.draw(ws, target.grid))
            parts.append(picture / np.sqrt(len(self._targets)))
            identities.append(identity / np.sqrt(len(self._targets)))
            self.pictures += 1
        return np.concatenate(parts), np.concatenate(identities)

    def cost_of(self, latent: F32Array) -> float:
        joined = self._joined(np.broadcast_to(latent, (self._networks.layers, LATENT_SIZE)))
        return float(joined @ joined)

    def measure(self, rows: F32Array) -> tuple[float, float]:
        """Difference in code values, and descriptor distance (NaN without one)."""
        picture, identity = self.residuals(rows)
        distance = float(np.linalg.norm(identity)) if identity.size else float("nan")
        colours = picture.reshape(len(self._targets), -1)[:, : 3 * _COMPARED**2]
        return 255.0 * float(np.linalg.norm(colours)) / self._level, distance

    def descend(
        self, build: _OneLatent | _TwoLatents, rounds: int, tick: Callable[[], None]
    ) -> F64Array:
        """Coordinates of the best that was found."""
        at = np.zeros(build.size)
        damping = _DAMPING
        here = self._joined(build(at))
        for _ in range(rounds):
            slopes = np.empty((len(here), build.size))
            for axis in range(build.size):
                moved = at.copy()
                moved[axis] += _STEP
                slopes[:, axis] = (self._joined(build(moved)) - here) / _STEP
            squares = slopes.T @ slopes
            pull = slopes.T @ here + _PRIOR**2 * at
            best = float(here @ here + _PRIOR**2 * at @ at)
            for attempt in range(4):
                scale = damping * 4.0**attempt
                lifted = squares + np.diag(scale * np.diag(squares) + _PRIOR**2)
                tried = at - np.linalg.solve(lifted, pull)
                there = self._joined(build(tried))
                if float(there @ there + _PRIOR**2 * tried @ tried) < best:
                    at, here = tried, there
                    damping = max(scale / 2.0, 1e-3)
                    break
            else:
                damping *= 16.0
            tick()
        return at

    def _joined(self, rows: F32Array) -> F64Array:
        picture, identity = self.residuals(rows)
        return np.concatenate([picture / self._level, identity * _IDENTITY])


def _reduced(bgr: F32Array) -> F32Array:
    reduced = cv2.resize(bgr, (_COMPARED, _COMPARED), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.float32)


def _oval(landmarks: F32Array, size: int, grow: float) -> F32Array:
    """(size, size) float32: 1 inside the face oval, made larger about its middle."""
    points = landmarks[list(FACE_OVAL), :2]
    middle = points.mean(axis=0)
    corners = np.round(np.clip(middle + (points - middle) * grow, -size, 2 * size))
    canvas = np.zeros((size, size), np.float32)
    cv2.fillPoly(canvas, [corners.astype(np.int32)], (1.0,))
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), size / 64.0), np.float32)


def _weights(landmarks: F32Array, size: int) -> F32Array:
    """(64, 64) float32: what of the crop counts: the face, and its features more."""
    canvas = np.zeros((size, size), np.float32)
    for points, weight in (
        (FACE_OVAL, 1.0),
        (LEFT_EYE, _FEATURE_WEIGHT),
        (RIGHT_EYE, _FEATURE_WEIGHT),
        (OUTER_LIPS, _FEATURE_WEIGHT),
    ):
        corners = np.round(np.clip(landmarks[list(points), :2], -size, 2 * size))
        cv2.fillPoly(canvas, [corners.astype(np.int32)], (weight,))
    soft = cv2.GaussianBlur(canvas, (0, 0), size / 64.0)
    return np.asarray(
        cv2.resize(soft, (_COMPARED, _COMPARED), interpolation=cv2.INTER_AREA), np.float32
    )


def _span(latents: F32Array) -> F64Array:
    """(n, 256): the directions in which known latents differ, one deviation long each."""
    away = (latents - latents.mean(axis=0)).astype(np.float64)
    if len(away) < 2:
        return np.zeros((0, LATENT_SIZE))
    _, strengths, directions = np.linalg.svd(away, full_matrices=False)
    kept = strengths > 1e-3 * strengths[0]
    deviations = strengths[kept] / np.sqrt(len(away) - 1)
    return np.asarray(directions[kept] * deviations[:, None])


def _directions(span: F64Array) -> F64Array:
    """More directions, square to those of the span and as long as its shorter ones."""
    count = min(_OWN_DIRECTIONS, LATENT_SIZE - len(span))
    noise = np.random.default_rng(7).normal(size=(count, LATENT_SIZE))
    lengths = np.linalg.norm(span, axis=1)
    basis = span / np.maximum(lengths, 1e-12)[:, None]
    noise -= noise @ basis.T @ basis
    square, _ = np.linalg.qr(noise.T)
    length = float(np.median(lengths)) if len(lengths) else 1.0
    return np.asarray(square.T * length)
