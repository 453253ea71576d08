"""The scores mean what they say, on a small truth of known differences."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.cli.conftest import write_clip
from tests.pipeline.fakes import make_track

from mien.errors import MediaError
from mien.types import F32Array, FaceTrack, Frame, U8Array
from mien_benchmarks.truth import score_clip

FRAMES = 8
LEVELS = {"driver": 100, "truth": 140}


class Finder:
    def find(self, image_bgr: U8Array) -> list[FaceTrack]:
        del image_bgr
        return [make_track((80.0, 60.0), 50.0)]


class Describer:
    """Describes a picture by its brightness at the nose."""

    def describe(self, image_bgr: U8Array, landmarks: F32Array) -> F32Array:
        x, y = landmarks[1, :2].astype(int)
        return np.full(128, float(image_bgr[y, x].mean()) / np.sqrt(128), np.float32)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    for name, level in (("clip1_driver", "driver"), ("clip1_gt_face", "truth")):
        grey = np.full((120, 160, 3), LEVELS[level], np.uint8)
        write_clip(tmp_path / f"{name}.mp4", [grey] * FRAMES)
    cv2.imwrite(str(tmp_path / "source_B.png"), np.full((120, 160, 3), 140, np.uint8))
    return tmp_path


def test_a_perfect_swap_scores_nothing_and_none_scores_one(truth: Path) -> None:
    def perfect(frame: Frame) -> U8Array:
        return np.full_like(frame.bgr, 140)

    score = score_clip(truth, perfect, finder=Finder(), describer=Describer())
    assert score.frames == FRAMES
    # Encoding moves a flat grey by up to two levels.
    assert score.unswapped.error == pytest.approx(40.0, abs=2.5)
    assert score.swapped.error < 2.5
    assert score.relative_error < 0.07
    assert score.swapped.descriptor == pytest.approx(0.0, abs=2.5)
    assert score.unswapped.descriptor == pytest.approx(40.0, abs=2.5)
    assert score.truth.error == 0.0
    assert score.unswapped.psnr_db == pytest.approx(10 * np.log10(255**2 / 40**2), abs=0.6)

    same = score_clip(truth, lambda frame: frame.bgr, finder=Finder(), describer=Describer())
    assert same.relative_error == pytest.approx(1.0)


def test_flicker_counts_what_the_truth_does_not_do(truth: Path) -> None:
    def flickering(frame: Frame) -> U8Array:
        return np.full_like(frame.bgr, 130 + 20 * (frame.index % 2))

    score = score_clip(truth, flickering, finder=Finder(), describer=Describer())
    assert score.swapped.flicker == pytest.approx(20.0, abs=0.5)
    assert score.unswapped.flicker < 0.5
    assert score.to_json()["swapped"]["motion"] == pytest.approx(20.0, abs=0.5)


def test_pixels_outside_the_face_do_not_count(truth: Path) -> None:
    def outside_wrong(frame: Frame) -> U8Array:
        output = np.full_like(frame.bgr, 140)
        output[:20] = 0
        return output

    score = score_clip(truth, outside_wrong, finder=Finder(), describer=Describer())
    assert score.swapped.error < 2.5


def test_a_missing_clip_is_named(truth: Path) -> None:
    (truth / "clip1_gt_face.mp4").unlink()
    with pytest.raises(MediaError, match="clip1_gt_face"):
        score_clip(truth, lambda frame: frame.bgr, finder=Finder(), describer=Describer())
