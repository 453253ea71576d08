"""Reads the older folder of two clips as a truth set.

It holds ``clip1_driver.mp4``, ``clip1_gt_face.mp4`` (the true swap) and ``source_B.png``;
where they are there, ``clip2_driver.mp4`` (nobody has its true swap), ``source_C.png`` and
more portraits, and the numbers of ``clip1_groundtruth.npz`` and the like.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import MediaError
from mien.training.synthetic.pose import pose_seen
from mien.types import F32Array
from mien_benchmarks.truth_set import (
    MANIFEST,
    Parameters,
    TruthClip,
    TruthPersona,
    TruthSet,
    read_set,
)
from mien_benchmarks.truth_units import motion_of_units

_DRIVER, _TRUTH = "clip1_driver.mp4", "clip1_gt_face.mp4"
_GROUP, _UNKNOWN = "other renderer", "without a truth"
_WORN = {"clip1": "B", "clip2": "C"}


def open_set(folder: Path) -> TruthSet:
    """A truth set of either kind.

    Raises:
        MissingError: there is none.
        MediaError: it does not check out.
    """
    if not (folder / MANIFEST).is_file() and (folder / _DRIVER).is_file():
        return read_older_set(folder)
    return read_set(folder)


def read_older_set(folder: Path) -> TruthSet:
    """The older folder as a set.

    Raises:
        MediaError: the true swap, the persona's portrait or a file of numbers is missing or
            broken.
    """
    personas = {
        path.stem.removeprefix("source_"): TruthPersona(
            name=path.stem.removeprefix("source_"), portraits=(path,)
        )
        for path in sorted(folder.glob("source_*.png"))
    }
    for name in (_TRUTH, f"source_{_WORN['clip1']}.png"):
        if not (folder / name).is_file():
            raise MediaError(f"the truth folder {folder} lacks {name}", "copy it again")
    clips = [
        TruthClip(
            name="clip1", group=_GROUP, persona=personas[_WORN["clip1"]],
            driver=folder / _DRIVER, truth=folder / _TRUTH,
            parameters=_parameters(folder, "clip1"),
        )
    ]  # fmt: skip
    if (folder / "clip2_driver.mp4").is_file() and _WORN["clip2"] in personas:
        clips.append(
            TruthClip(
                name="clip2", group=_UNKNOWN, persona=personas[_WORN["clip2"]],
                driver=folder / "clip2_driver.mp4", parameters=_parameters(folder, "clip2"),
            )
        )  # fmt: skip
    return TruthSet(name=folder.name, folder=folder, clips=tuple(clips), personas=personas)


def _parameters(folder: Path, clip: str) -> Parameters | None:
    path = folder / f"{clip}_groundtruth.npz"
    if not path.is_file():
        return None
    numbers = _load(path, ("coef", "coef_names", "pose_ypr_deg", "cam_R"))
    try:
        moves = motion_of_units(
            np.asarray(numbers["coef"], np.float32), [str(n) for n in numbers["coef_names"]]
        )
        poses = [
            pose_seen(angles, axes)
            for angles, axes in zip(numbers["pose_ypr_deg"], numbers["cam_R"], strict=True)
        ]
        return Parameters(
            jaw=moves["jaw"],
            blink=moves["blink"],
            gaze=moves["gaze"],
            pose_deg=np.stack(poses),
            landmarks=_landmarks(folder, clip),
        )
    except (ValueError, IndexError) as error:
        raise MediaError(
            f"{path} does not hold what it should: {error}", "copy it again"
        ) from error


def _landmarks(folder: Path, clip: str) -> F32Array | None:
    """(N, 468, 2) points of the truth's face; None where the files are not there."""
    positions, table = folder / f"{clip}_gt_positions.npz", folder / "mediapipe468_to_subset.npz"
    if not (positions.is_file() and table.is_file()):
        return None
    points = _load(positions, ("xy16_gt_face",))["xy16_gt_face"]
    chosen = points[:, _load(table, ("index",))["index"]]
    # Sixteenths with pixel centres at a half; here they lie at integers.
    return np.asarray(chosen / np.float32(16) - np.float32(0.5), np.float32)


def _load(path: Path, names: tuple[str, ...]) -> Mapping[str, Any]:
    try:
        # Opened here: NumPy leaves a file open that is not what it seemed.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise MediaError(f"{path} cannot be read: {error}", "copy it again") from error
