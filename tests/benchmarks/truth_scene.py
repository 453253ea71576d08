"""A truth set small enough for a test: a drawn face that talks, looks about and blinks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tests.pipeline.fakes import make_track

from mien.face_mesh import FACE_OVAL
from mien.perception import estimate_pose
from mien.types import F32Array, FaceTrack, Frame, U8Array
from mien_benchmarks.truth_bench import Shown
from mien_benchmarks.truth_set import TruthClip
from mien_benchmarks.truth_writing import ClipWriter, write_manifest, write_portraits

SIZE = (120, 160)
FRAMES = 24
PERFORMER_LEVEL, PERSONA_LEVEL, OTHER_LEVEL = 90, 150, 210
# The fake reader reads the motion from the first pixels of a picture's bottom row.
_MOTION_PX = 4


class Scene:
    """What happens in every frame: jaw, blink, gaze and yaw of one clip."""

    def __init__(self, frames: int = FRAMES, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        time = np.arange(frames)
        self.jaw = 0.5 + 0.5 * np.sin(time * 0.9 + random.random())
        self.blink = (time % 12 < 2).astype(float)
        self.gaze = np.sin(time * 0.5 + random.random())
        self.yaw = 20 * np.sin(time * 0.3)

    def picture(self, index: int, level: int) -> U8Array:
        """A grey face of a level on a dark ground, its motion written into the bottom row."""
        picture = np.full((*SIZE, 3), 40, np.uint8)
        oval = np.round(track().landmarks[list(FACE_OVAL), :2]).astype(np.int32)
        cv2.fillPoly(picture, [oval], (level, level, level))
        # A rim, for the region turns with the head and this face does not; and a spot that
        # wanders, so that there is something to flicker.
        cv2.polylines(picture, [oval], True, (level, level, level), 16)
        left = 60 + 2 * (index % 12)
        picture[24:34, left : left + 10] = level + 25
        for place, value in enumerate(
            (
                self.jaw[index],
                self.blink[index],
                (self.gaze[index] + 1) / 2,
                (self.yaw[index] + 30) / 60,
            )
        ):
            left = 8 + place * 16
            picture[-12:, left : left + 12] = round(40 + 170 * float(value))
        return picture


def track() -> FaceTrack:
    """The face at rest."""
    return make_track((80.0, 50.0), 70.0)


class PaintedReader:
    """Finds the drawn face; its motion is what the bottom row says."""

    def read(self, picture: U8Array, near: F32Array | None) -> FaceTrack | None:
        del near
        if picture[50, 80].max() < 60:
            return None
        jaw, blink, gaze, yaw = (
            (float(picture[-6, 8 + place * 16 + 6].mean()) - 40) / 170 for place in range(4)
        )
        points = track().landmarks.copy()
        points[14, 1] += 6 * jaw
        for upper, lower in (
            (159, 145),
            (386, 374),
            (160, 144),
            (158, 153),
            (387, 373),
            (385, 380),
        ):
            middle = (points[upper, 1] + points[lower, 1]) / 2
            points[upper, 1], points[lower, 1] = middle - 3 * (1 - blink), middle + 3 * (1 - blink)
        for iris, (first, second) in ((468, (33, 133)), (473, (362, 263))):
            points[iris] = (points[first] + points[second]) / 2
            points[iris, 0] += 2 * (gaze - 0.5)
            # It stands out before the corners, as eyes do.
            points[iris, 2] -= 0.15 * np.linalg.norm(points[second] - points[first])
        angle = np.radians(60 * yaw - 30)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        centre = points[1].copy()
        points -= centre
        # Nearer is negative, and a nose that moves to the right comes from the left.
        points[:, [0, 2]] = points[:, [0, 2]] @ turn
        points += centre
        landmarks = points.astype(np.float32)
        return FaceTrack(
            track_id=0, landmarks=landmarks, pose=estimate_pose(landmarks), quality=1.0, age=0,
            is_performer=True,
        )  # fmt: skip


class GreyDescriber:
    """Describes a face by how bright its nose is: 0.01 a code value apart."""

    def describe(self, image_bgr: U8Array, landmarks: F32Array) -> F32Array:
        x, y = landmarks[1, :2].astype(int)
        return np.full(128, float(image_bgr[y, x].mean()) / 100 / np.sqrt(128), np.float32)


class Player:
    """A contestant that shows what a function makes of driver and truth."""

    def __init__(self, name: str, show: Any, reason: str = "") -> None:
        self.name, self._show, self._reason = name, show, reason
        self.index = 0

    def begin(self, clip: TruthClip) -> str:
        del clip
        self.index = 0
        return self._reason

    def show(self, frame: Frame, truth: U8Array | None) -> Shown:
        shown = self._show(self.index, frame.bgr, truth)
        self.index += 1
        return shown if isinstance(shown, Shown) else Shown(bgr=shown)

    def end(self) -> None:
        """Nothing to close."""


def write_set(folder: Path, *, clips: int = 1, frames: int = FRAMES) -> Path:
    """A set on disk, of losslessly coded clips; personas ``worn`` and ``other``."""
    listed = []
    for number in range(clips):
        scene = Scene(frames, seed=number)
        share = np.zeros(SIZE, np.uint8)
        oval = np.round(track().landmarks[list(FACE_OVAL), :2]).astype(np.int32)
        cv2.fillPoly(share, [oval], (255,))
        occluder = np.zeros(SIZE, np.uint8)
        occluder[40:60, 70:90] = 255
        name = f"clip{number}"
        with ClipWriter(folder / "clips" / name, fps=30, crf=0) as writer:
            for index in range(frames):
                writer.add(
                    driver=scene.picture(index, PERFORMER_LEVEL),
                    truth=scene.picture(index, PERSONA_LEVEL),
                    masks={"share": share, "occluder": occluder},
                    numbers={
                        "jaw": np.float32(scene.jaw[index]),
                        "blink": np.float32(scene.blink[index]),
                        "gaze": np.array([scene.gaze[index], 0], np.float32),
                        "pose_deg": np.array([scene.yaw[index], 0, 0], np.float32),
                    },
                )
        listed.append(
            {
                "name": name,
                "group": "drawn",
                "persona": "worn",
                "fps": 30,
                "frames": frames,
                **writer.files(folder),
            }
        )
    personas = {
        who: {"portraits": write_portraits(folder, who, [Scene().picture(0, level)])}
        for who, level in (("worn", PERSONA_LEVEL), ("other", OTHER_LEVEL))
    }
    write_manifest(
        folder, name="drawn", made_with="a test", units=[], clips=listed, personas=personas
    )
    return folder


def edit_manifest(folder: Path, change: Any) -> None:
    """Lets a function change the manifest's values in place."""
    path = folder / "truth.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
