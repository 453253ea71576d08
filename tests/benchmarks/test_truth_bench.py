"""The truth benchmark's figures mean what they say, on swaps whose faults are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.benchmarks.truth_scene import (
    FRAMES,
    PERFORMER_LEVEL,
    PERSONA_LEVEL,
    GreyDescriber,
    PaintedReader,
    Player,
    write_set,
)

from mien.errors import MediaError
from mien.types import U8Array
from mien_benchmarks.truth_bench import TRUE_SWAP, UNSWAPPED, Bench, Shown
from mien_benchmarks.truth_set import TruthSet, read_set

# H.264 keeps a flat grey to a code value or two, even without loss: colours are rounded.
_CODED = 2.0


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> TruthSet:
    return read_set(write_set(tmp_path_factory.mktemp("set")))


def figures(truths: TruthSet, *players: Player, **more: Any) -> dict[str, dict[str, Any]]:
    bench = Bench(
        truths=truths,
        contestants=players,
        reader=PaintedReader(),
        describer=GreyDescriber(),
        **more,
    )
    rows = bench.run()["rows"]
    return {name: row["groups"]["all"] for name, row in rows.items()}


def test_the_true_swap_has_no_error_and_all_its_motion(truths: TruthSet) -> None:
    found = figures(truths, Player("perfect", lambda _, driver, truth: truth.copy()))
    for name in ("perfect", TRUE_SWAP):
        row = found[name]
        assert row["error"] == row["relative_error"] == row["unsteady"] == 0.0
        assert row["psnr_db"] is None
        assert row["flicker"] == row["detail"] == pytest.approx(1.0)
        assert row["nearest"] == 1.0
        assert row["descriptor"] == found[TRUE_SWAP]["descriptor"] < 0.03
        assert row["pose_error_deg"] == 0.0
        assert row["expression"] == pytest.approx(1.0)
        for signal in ("pose", "jaw", "gaze", "blink"):
            assert row["agreement"][signal]["tracked"] == pytest.approx(1.0)
            assert row["agreement"][signal]["parameters"] > 0.98, signal
    assert found[TRUE_SWAP]["matte_iou"] == found[TRUE_SWAP]["occlusion_iou"] == 1.0
    assert list(found) == [UNSWAPPED, "perfect", TRUE_SWAP]


def test_the_unswapped_is_the_performer(truths: TruthSet) -> None:
    row = figures(truths)[UNSWAPPED]
    assert row["relative_error"] == row["relative_less_tone"] == 1.0
    assert row["error"] == pytest.approx(PERSONA_LEVEL - PERFORMER_LEVEL, abs=_CODED)
    assert row["descriptor"] == pytest.approx((PERSONA_LEVEL - PERFORMER_LEVEL) / 100, abs=0.03)
    assert row["nearest"] == 0.0
    assert row["frames"] == FRAMES
    assert row["ms"] is None


def test_somebody_else_s_face_is_not_the_persona(truths: TruthSet) -> None:
    def other(_index: int, _driver: U8Array, truth: U8Array) -> U8Array:
        return np.where(truth > 140, truth + np.uint8(55), truth).astype(np.uint8)

    found = figures(truths, Player("other", other))["other"]
    assert found["nearest"] == 0.0
    assert found["descriptor"] == pytest.approx(0.55, abs=0.03)


def test_others_of_the_cast_are_told_apart_too(truths: TruthSet) -> None:
    near = {"twin": np.full(128, (PERSONA_LEVEL + 2) / 100 / np.sqrt(128), np.float32)}

    def brighter(_index: int, _driver: U8Array, truth: U8Array) -> U8Array:
        return np.where(truth > 140, truth + np.uint8(3), truth).astype(np.uint8)

    assert figures(truths, Player("p", brighter))["p"]["nearest"] == 1.0
    assert figures(truths, Player("p", brighter), others=near)["p"]["nearest"] == 0.0


def test_a_wrong_tone_is_forgiven_less_tone(truths: TruthSet) -> None:
    def darker(_index: int, _driver: U8Array, truth: U8Array) -> U8Array:
        return (truth - np.uint8(10)).astype(np.uint8)

    row = figures(truths, Player("darker", darker))["darker"]
    assert row["error"] == pytest.approx(10.0, abs=0.01)
    assert row["relative_less_tone"] < 0.05


def test_pixels_outside_the_face_do_not_count(truths: TruthSet) -> None:
    def outside_wrong(_index: int, _driver: U8Array, truth: U8Array) -> U8Array:
        shown = truth.copy()
        shown[:, :20] = 255
        return shown

    row = figures(truths, Player("outside", outside_wrong))["outside"]
    assert row["error"] == row["unsteady"] == 0.0


def test_a_shifted_picture_is_worse_and_worse_still_when_shifted_more(truths: TruthSet) -> None:
    def shifted(by: int) -> Player:
        return Player(f"by {by}", lambda _i, _driver, truth: np.roll(truth, by, axis=1))

    found = figures(truths, shifted(2), shifted(8))
    assert 0 < found["by 2"]["error"] < found["by 8"]["error"]
    assert 0 < found["by 2"]["relative_less_tone"] < found["by 8"]["relative_less_tone"]


def test_a_blurred_face_lacks_detail(truths: TruthSet) -> None:
    def blurred(_index: int, _driver: U8Array, truth: U8Array) -> U8Array:
        return np.asarray(cv2.GaussianBlur(truth, (0, 0), 3), np.uint8)

    assert figures(truths, Player("blurred", blurred))["blurred"]["detail"] < 0.5


def test_frames_in_another_order_lose_the_motion(truths: TruthSet) -> None:
    order = np.random.default_rng(1).permutation(FRAMES)
    kept: list[U8Array] = []

    def keep(_index: int, _driver: U8Array, truth: U8Array) -> U8Array:
        kept.append(truth.copy())
        return truth.copy()

    figures(truths, Player("keep", keep))
    found = figures(truths, Player("shuffled", lambda index, _d, _t: kept[order[index]]))
    row = found["shuffled"]
    for signal in ("pose", "jaw", "gaze", "blink"):
        for kind in ("tracked", "parameters"):
            assert abs(row["agreement"][signal][kind]) < 0.6, signal
    assert row["pose_error_deg"] > 5


def test_a_frozen_face_agrees_with_nothing(truths: TruthSet) -> None:
    first: list[U8Array] = []

    def frozen(_index: int, _driver: U8Array, truth: U8Array) -> U8Array:
        first.append(truth.copy())
        return first[0]

    row = figures(truths, Player("frozen", frozen))["frozen"]
    assert row["agreement"]["jaw"] == {"parameters": 0.0, "tracked": 0.0}
    assert row["expression"] == 0.0


def test_added_flicker_is_found(truths: TruthSet) -> None:
    def flickering(index: int, _driver: U8Array, truth: U8Array) -> U8Array:
        return truth + np.uint8(20 * (index % 2))

    row = figures(truths, Player("flickering", flickering))["flickering"]
    assert row["unsteady"] == pytest.approx(20.0)
    # The drawn face does little of its own.
    assert row["flicker"] > 5


def test_masks_are_compared_where_both_are_told(truths: TruthSet) -> None:
    def half(_index: int, _driver: U8Array, truth: U8Array) -> Shown:
        matte = np.zeros(truth.shape[:2], np.uint8)
        matte[:50] = 255
        occluder = np.zeros(truth.shape[:2], np.uint8)
        occluder[40:60, 70:80] = 255
        return Shown(bgr=truth.copy(), matte=matte, occlusion=occluder, ms=4.0)

    row = figures(truths, Player("half", half))["half"]
    assert 0.05 < row["matte_iou"] < 0.6
    assert row["occlusion_iou"] == pytest.approx(0.5)
    assert row["ms"] == {"p25": 4.0, "p50": 4.0, "p75": 4.0}


def test_a_lost_face_and_a_missed_swap_are_counted(truths: TruthSet) -> None:
    def lost(index: int, driver: U8Array, truth: U8Array) -> Shown:
        if index % 4 == 0:
            return Shown(bgr=np.zeros_like(driver))
        return Shown(bgr=truth.copy(), swapped=index % 2 == 0)

    row = figures(truths, Player("lost", lost))["lost"]
    assert row["face_found"] == pytest.approx(0.75)
    assert row["missed"] == FRAMES / 2


def test_who_cannot_take_part_says_why(truths: TruthSet) -> None:
    bench = Bench(
        truths=truths,
        contestants=[Player("absent", None, "no weights")],
        reader=PaintedReader(),
        describer=GreyDescriber(),
    )
    result = bench.run()
    assert result["skipped"] == {"absent": {"clip0": "no weights"}}
    assert list(result["rows"]) == [UNSWAPPED, TRUE_SWAP]


def test_a_clip_nobody_has_the_truth_of_still_tells_identity_and_motion(tmp_path: Path) -> None:
    from tests.benchmarks.truth_scene import edit_manifest

    folder = write_set(tmp_path / "set")

    def forget(values: dict[str, Any]) -> None:
        for part in ("truth", "share", "occluder"):
            del values["clips"][0][part]

    edit_manifest(folder, forget)
    found = figures(read_set(folder), Player("same", lambda _i, driver, _t: driver))
    row = found["same"]
    assert TRUE_SWAP not in found
    assert row["error"] is row["relative_error"] is row["flicker"] is row["matte_iou"] is None
    assert row["agreement"]["jaw"]["parameters"] > 0.98
    assert row["agreement"]["jaw"]["tracked"] is None
    assert row["descriptor"] > 0.5


def test_a_set_without_a_face_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    path = folder / "personas" / "worn_0.jpg"
    path.write_bytes((folder / "personas" / "other_0.jpg").read_bytes())

    class Blind(PaintedReader):
        def read(self, picture: U8Array, near: object) -> None:
            del picture, near

    bench = Bench(
        truths=read_set(folder), contestants=[], reader=Blind(), describer=GreyDescriber()
    )
    with pytest.raises(MediaError, match=r"no face was found in .*worn_0"):
        bench.run()
