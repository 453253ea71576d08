"""Moments of a film of one person, to tune the generator on: cut, described, kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from mien.errors import MediaError, OutputError
from mien.face_mesh import FACE_OVAL
from mien.live_view import condition_parts
from mien.live_warp import input_grid
from mien.perception.descriptor import chip_from_points
from mien.training.generator_batches import feature_weights
from mien.types import F32Array, U8Array

FORMAT = "mien-footage-1"
FEWEST_MOMENTS = 20
"""With fewer there is nothing to learn from and nothing to check it by."""

# Every fifth stretch of the film is held out: neighbouring frames are too alike to judge by.
_STRETCHES = 10
_HELD_STRETCHES = (2, 7)
_EXPOSURE, _BALANCE = 0.15, 0.04
# Beyond the face's outline by this much the matte must have ended (see fitting.py).
_SURELY, _PERHAPS = 0.9, 1.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footage:
    """Moments in the film's order.

    Attributes:
        pictures: (N, S, S, 3) uint8 BGR, as :func:`mien.live_view.live_crop` cuts.
        conditions: (N, CONDITION_SIZE) float32.
        transforms: (N, 3, 3) float32.
        landmarks: (N, 478, 2) float32, pixels of the picture.
    """

    pictures: U8Array
    conditions: F32Array
    transforms: F32Array
    landmarks: F32Array

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def size(self) -> int:
        """Side of the pictures."""
        return int(self.pictures.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FootageBatch:
    """What a step learns from; float32.

    Attributes:
        conditions: (N, C).
        grids: (N, GRID_SIZE, GRID_SIZE, 2), see :func:`mien.live_warp.input_grid`.
        truth: (N, 4, S, S): BGR 0..1, and where the face is.
        weights: (N, 1, S, S), what an error of colour costs.
        surely, perhaps: (N, 1, S, S), where the matte must be, and where alone it may be.
        chips: (N, 2, 3), where the identity network looks, chip-from-picture.
    """

    conditions: Tensor
    grids: Tensor
    truth: Tensor
    weights: Tensor
    surely: Tensor
    perhaps: Tensor
    chips: Tensor


def write_footage(path: Path, footage: Footage) -> None:
    """Writes moments; the file appears whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    arrays = {
        name: np.ascontiguousarray(getattr(footage, name))
        for name in ("pictures", "conditions", "transforms", "landmarks")
    }
    try:
        save_file(arrays, part, metadata={"format": FORMAT})
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {path}: {error}", "check the folder and space") from error


def read_footage(path: Path) -> Footage:
    """The moments in a file.

    Raises:
        MediaError: it does not hold any.
    """
    hint = "delete it; the film is looked at again"
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise MediaError(f"{path} does not hold {FORMAT}", hint)
            return Footage(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, TypeError) as error:
        raise MediaError(f"{path} cannot be read: {error}", hint) from error


class FootageDeck:
    """Batches of a film's moments.

    Args:
        footage: the moments.
        device: where batches go.

    Raises:
        MediaError: there are too few.
    """

    def __init__(self, footage: Footage, device: torch.device) -> None:
        count = len(footage)
        if count < FEWEST_MOMENTS:
            raise MediaError(
                f"only {count} moments of the footage show the face well, "
                f"at least {FEWEST_MOMENTS} are needed",
                "use a longer film: a minute of talking and turning the head is plenty",
            )
        self._footage, self._device = footage, device
        self._grids = [
            input_grid(condition, transform)
            for condition, transform in zip(footage.conditions, footage.transforms, strict=True)
        ]
        self._shapes = [_shapes(points, footage.size) for points in footage.landmarks]
        stretch = np.arange(count) * _STRETCHES // count
        held = np.isin(stretch, _HELD_STRETCHES)
        self.held: npt.NDArray[np.int64] = np.flatnonzero(held)
        """Moments that are never trained on."""
        self.learnt: npt.NDArray[np.int64] = np.flatnonzero(~held)

    def __len__(self) -> int:
        return len(self._footage)

    def batch(self, random: np.random.Generator, size: int) -> FootageBatch:
        """Moments to learn from, each under a random exposure and white balance."""
        chosen = self.pick(self.learnt[random.integers(0, len(self.learnt), size)])
        gains = random.normal(0, _EXPOSURE, (size, 1)) + random.normal(0, _BALANCE, (size, 3))
        factors = torch.from_numpy(np.exp(gains).astype(np.float32)).to(self._device)
        truth, conditions = chosen.truth, chosen.conditions
        truth[:, :3] = (truth[:, :3] * factors[:, :, None, None]).clamp(0, 1)
        conditions[:, condition_parts()["tone"]] += factors.log().tile(1, 2)
        return chosen

    def pick(self, indices: npt.NDArray[np.int64]) -> FootageBatch:
        """Moments as they are."""
        footage = self._footage

        def stacked(rows: Sequence[npt.NDArray[Any]] | npt.NDArray[Any]) -> Tensor:
            chosen = np.stack([rows[index] for index in indices])
            return torch.from_numpy(chosen).to(self._device).float()

        masks = [
            stacked([shape[part] for shape in self._shapes])[:, None] / 255 for part in range(4)
        ]
        face, weights, surely, perhaps = masks
        pictures = stacked(footage.pictures).permute(0, 3, 1, 2) / 255
        chips = np.stack([chip_from_points(footage.landmarks[index]) for index in indices])
        return FootageBatch(
            conditions=stacked(footage.conditions),
            grids=stacked(self._grids),
            truth=torch.cat([pictures, face], dim=1),
            weights=weights * 10,
            surely=surely,
            perhaps=perhaps,
            chips=torch.from_numpy(chips).to(self._device).float(),
        )


def _shapes(landmarks: F32Array, size: int) -> tuple[U8Array, U8Array, U8Array, U8Array]:
    """(S, S) each: the face, what an error costs, where the matte surely is, may be."""
    face = _oval(landmarks, size, 1.0)
    return (
        face,
        feature_weights(face, landmarks),
        _oval(landmarks, size, _SURELY),
        _oval(landmarks, size, _PERHAPS),
    )


def _oval(landmarks: F32Array, size: int, grow: float) -> U8Array:
    """(S, S): 255 inside the face's outline, made larger about its middle, soft."""
    points = landmarks[list(FACE_OVAL), :2]
    middle = points.mean(axis=0)
    corners = np.round(np.clip(middle + (points - middle) * grow, -size, 2 * size))
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillPoly(canvas, [corners.astype(np.int32)], (255,))
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), size / 64.0), np.uint8)
