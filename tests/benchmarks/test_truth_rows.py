"""What mien's own rows tell of a frame, and how rendering refuses what it cannot do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.cli.conftest import Mien
from tests.cli.conftest import mien as mien

from mien.errors import ModelError, UsageError
from mien.occlusion import CoveredView
from mien.perception import FaceDescriptor
from mien.personas.library import Library
from mien.types import F32Array, FaceTrack, Patch, U8Array
from mien_benchmarks import truth_rows
from mien_benchmarks.truth_faces import FaceReader
from mien_benchmarks.truth_measure import BUNDLED
from mien_benchmarks.truth_rows import Wardrobe, base_config, make_row, row_names
from mien_benchmarks.truth_set import TruthClip, read_set, truth_frames

CUT = (slice(150, 190), slice(160, 200))


@pytest.fixture(scope="module")
def clips() -> dict[str, TruthClip]:
    return {clip.group: clip for clip in read_set(BUNDLED).clips}


@pytest.fixture
def wardrobe(tmp_path: Path):  # type: ignore[no-untyped-def]
    describer = FaceDescriptor()
    with FaceReader() as reader:
        yield Wardrobe(Library(tmp_path / "library"), reader, describer)
    describer.close()


class Hand:
    """An occlusion stage that always sees a square before the face."""

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> CoveredView:
        del track
        cut = np.full((40, 40), 255, np.uint8)
        return CoveredView(
            left=CUT[1].start, top=CUT[0].start, pixels=frame_bgr[CUT].copy(), cut=cut
        )

    def restore(self, frame_bgr: U8Array, patch: Patch, view: CoveredView | None) -> None:
        del patch
        assert view is not None
        frame_bgr[CUT] = view.pixels


def test_what_stays_before_the_persona_is_told_and_is_no_matte(
    wardrobe: Wardrobe, clips: dict[str, TruthClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_rows, "open_occlusion", lambda config: Hand())
    frame = next(truth_frames(clips["cast"])).frame
    before = frame.bgr.copy()
    row = make_row("mesh+occlusion", wardrobe, 1)
    assert row.begin(clips["cast"]) == ""
    try:
        shown = row.show(frame, None)
    finally:
        row.close()
    assert shown.swapped
    assert shown.matte is not None
    assert shown.occlusion is not None
    assert shown.occlusion[CUT].min() == 255
    assert int((shown.occlusion > 0).sum()) == 1600
    assert not shown.matte[CUT].any()
    assert (shown.matte == 255).sum() > 5000
    np.testing.assert_array_equal(shown.bgr[CUT], before[CUT])
    # Without the matte nothing was painted.
    np.testing.assert_array_equal(shown.bgr[:40, :40], before[:40, :40])


def test_strangers_are_made_of_their_portraits_and_the_cast_is_the_library_s(
    wardrobe: Wardrobe, clips: dict[str, TruthClip], tmp_path: Path
) -> None:
    stranger = wardrobe.persona(clips["strangers"].persona)
    assert stranger.name == clips["strangers"].persona.name
    assert wardrobe.persona(clips["strangers"].persona) is stranger
    known = clips["cast"].persona
    shipped = Library(tmp_path / "library").resolve(known.cast)
    np.testing.assert_array_equal(wardrobe.persona(known).texture, shipped.texture)


def test_a_row_without_weights_says_so(
    wardrobe: Wardrobe, clips: dict[str, TruthClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(config: object) -> None:
        raise ModelError("no weights here", "reinstall mien")

    monkeypatch.setattr(truth_rows, "open_occlusion", missing)
    assert make_row("mesh", wardrobe, 1).begin(clips["cast"]) == "no weights here"


def test_a_refiner_that_is_none_is_refused(
    wardrobe: Wardrobe, clips: dict[str, TruthClip], tmp_path: Path
) -> None:
    broken = tmp_path / "refiner.onnx"
    broken.write_bytes(b"no network")
    row = make_row("mesh+refiner", wardrobe, 1, broken)
    assert "refiner.onnx cannot be run" in row.begin(clips["cast"])


def test_rows_differ_in_what_helps_the_mesh_swapper(wardrobe: Wardrobe) -> None:
    assert row_names()[:3] == ["mesh", "mesh+refiner", "mesh+occlusion"]
    assert "stylegan3" in row_names()
    plain = base_config()
    assert (plain.refine.mode, plain.occlusion.mode, plain.guard.mode) == ("off", "off", "off")
    with pytest.raises(UsageError, match="no row is called 'nobody'"):
        make_row("nobody", wardrobe, 1)


def test_the_reader_finds_the_same_face_near_and_afar(clips: dict[str, TruthClip]) -> None:
    frame = next(truth_frames(clips["strangers"])).frame.bgr
    with FaceReader() as reader:
        found = reader.read(frame, None)
        assert found is not None
        near = reader.read(frame, found.landmarks)
        assert near is not None
        eyes = float(np.linalg.norm(found.landmarks[33, :2] - found.landmarks[263, :2]))
        assert np.abs(near.landmarks[:, :2] - found.landmarks[:, :2]).max() < 0.05 * eyes
        empty = cv2.GaussianBlur(np.full_like(frame, 90), (0, 0), 3)
        assert reader.read(np.asarray(empty, np.uint8), found.landmarks) is None


def test_landmarks_of_the_set_lie_on_the_face(clips: dict[str, TruthClip]) -> None:
    clip = clips["strangers"]
    assert clip.parameters is not None
    told = clip.parameters.landmarks
    assert told is not None
    truth = next(truth_frames(clip)).truth
    assert truth is not None
    with FaceReader() as reader:
        found = reader.read(truth, None)
    assert found is not None
    landmarks: F32Array = found.landmarks
    eyes = float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2]))
    apart = np.linalg.norm(landmarks[:468, :2] - told[0], axis=1)
    # Matched by a detector with a residual of 2%; the detector errs by as much again.
    assert apart.mean() < 0.08 * eyes


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("nowhere", "out"), 4, "is not the data folder"),
        (("nowhere", "out", "--size", "301"), 2, "is odd"),
        (("nowhere", "full"), 2, "holds a truth set already"),
    ],
)
def test_rendering_refuses_what_it_cannot_do(
    mien: Mien, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], code: int, complaint: str,
) -> None:  # fmt: skip
    pytest.importorskip("numba", reason="the studio draws with numba")
    pytest.importorskip("scipy", reason="the studio shapes heads with scipy")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "truth.json").write_text("{}")
    result = mien("train", "truth", *arguments)
    assert (result.code, complaint in result.err) == (code, True), result.err
    assert not (tmp_path / "out").exists()
