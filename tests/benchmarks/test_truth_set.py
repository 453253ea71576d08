"""Truth sets come back as they were written, and what is wrong with one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.benchmarks.truth_scene import (
    PERFORMER_LEVEL,
    PERSONA_LEVEL,
    SIZE,
    Scene,
    edit_manifest,
    write_set,
)
from tests.cli.conftest import write_clip

from mien.errors import MediaError, MissingError, OutputError, UsageError
from mien_benchmarks.truth_older import open_set
from mien_benchmarks.truth_rows import OutsiderRow, find_outputs
from mien_benchmarks.truth_set import TruthSet, read_set, truth_frames
from mien_benchmarks.truth_units import motion_of_units
from mien_benchmarks.truth_writing import ClipWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", frames=6)


def test_a_set_comes_back_as_it_was_written(folder: Path) -> None:
    truths = read_set(folder)
    [clip] = truths.clips
    assert (truths.name, clip.name, clip.group, clip.frames) == ("drawn", "clip0", "drawn", 6)
    assert clip.persona is truths.personas["worn"]
    assert clip.parameters is not None
    scene = Scene(6)
    np.testing.assert_allclose(clip.parameters.jaw, scene.jaw, atol=1e-6)
    np.testing.assert_allclose(clip.parameters.pose_deg[:, 0], scene.yaw, atol=1e-5)
    assert clip.parameters.landmarks is None
    frames = list(truth_frames(clip))
    assert len(frames) == 6
    for index, frame in enumerate(frames):
        assert frame.frame.index == index
        for picture, level in ((frame.frame.bgr, PERFORMER_LEVEL), (frame.truth, PERSONA_LEVEL)):
            assert picture is not None
            # Colours are coded at half size, so edges may move; the face may not.
            difference = picture.astype(int) - scene.picture(index, level)
            assert np.abs(difference).mean() < 1.0
            assert np.abs(difference[50, 80]).max() <= 1
    mask = frames[0].occluder
    assert mask is not None
    assert set(np.unique(mask)) == {0, 255}
    assert mask[40:60, 70:90].all()
    assert int((mask > 0).sum()) == 400
    assert len(list(truth_frames(clip, limit=2))) == 2


def test_there_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="there is no truth set"):
        read_set(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda v: v.update(format="other"), "is not the manifest"),
        (lambda v: v.update(version=99), "version 99"),
        (lambda v: v.update(clips=[]), "one or more"),
        (lambda v: v["clips"].append(dict(v["clips"][0])), "names of their own"),
        (lambda v: v["clips"][0].update(persona="nobody"), "nobody"),
        (lambda v: v["clips"][0].update(name="../x"), "plain file name"),
        (lambda v: v["clips"][0].update(driver="clips/gone.mp4"), "lacks clips/gone.mp4"),
        (lambda v: v["clips"][0].update(driver="../outside.mp4"), "outside the set"),
        (lambda v: v["clips"][0].update(truth=3), "named by text"),
        (lambda v: v["clips"][0].update(frames="six"), "frames is missing or of the wrong kind"),
        (lambda v: v["clips"][0].update(frames=7), "tells of 6 frames"),
        (lambda v: v["clips"][0].pop("fps"), "fps is missing"),
        (lambda v: v.pop("name"), "name is missing"),
        (lambda v: v["personas"]["worn"].update(portraits=[]), "one picture at least"),
        (lambda v: v["personas"].update(worn="B"), "portraits is missing"),
    ],
)
def test_a_manifest_that_does_not_check_out_is_refused(
    folder: Path, change: Any, complaint: str
) -> None:
    edit_manifest(folder, change)
    with pytest.raises(MediaError, match=complaint):
        read_set(folder)


def test_a_manifest_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "truth.json").write_text("{")
    with pytest.raises(MediaError, match="cannot be read"):
        read_set(folder)


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"jaw": np.zeros(6)}, "blink must be"),
        (
            {
                "jaw": np.zeros(6), "blink": np.zeros(6), "gaze": np.zeros((6, 1)),
                "pose_deg": np.zeros((6, 3)),
            },
            "gaze must be",
        ),
        (
            {
                "jaw": np.full(6, np.nan), "blink": np.zeros(6), "gaze": np.zeros((6, 2)),
                "pose_deg": np.zeros((6, 3)),
            },
            "jaw must be",
        ),
    ],
)  # fmt: skip
def test_numbers_of_the_wrong_shape_are_refused(
    folder: Path, arrays: dict[str, Any], complaint: str
) -> None:
    np.savez(folder / "clips/clip0/parameters.npz", **arrays)
    with pytest.raises(MediaError, match=complaint):
        read_set(folder)


def test_broken_numbers_are_refused(folder: Path) -> None:
    (folder / "clips/clip0/parameters.npz").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(MediaError, match="cannot be read"):
        read_set(folder)


def test_a_truth_of_another_length_or_size_is_refused(folder: Path) -> None:
    path = folder / "clips/clip0/truth.mp4"
    write_clip(path, [Scene(6).picture(index, PERSONA_LEVEL) for index in range(4)])
    with pytest.raises(MediaError, match=r"truth\.mp4 ends after 4 frames"):
        list(truth_frames(read_set(folder).clips[0]))
    write_clip(path, [np.zeros((64, 64, 3), np.uint8)] * 6)
    with pytest.raises(MediaError, match=r"truth\.mp4 is 64x64, the driver is 160x120"):
        list(truth_frames(read_set(folder).clips[0]))


def test_a_mask_that_is_no_video_is_refused(folder: Path) -> None:
    (folder / "clips/clip0/share.mkv").write_bytes(b"not a video")
    with pytest.raises(MediaError, match=r"share\.mkv cannot be read"):
        list(truth_frames(read_set(folder).clips[0]))


def write_two_sizes(folder: Path) -> None:
    picture = Scene().picture(0, 100)
    with ClipWriter(folder, fps=30, crf=12) as writer:
        for shown in (picture, picture[:100]):
            writer.add(driver=shown, truth=shown, masks={"share": shown[..., 0]}, numbers={})


def test_a_clip_that_failed_half_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="began as"):
        write_two_sizes(tmp_path / "clip")
    assert list((tmp_path / "clip").iterdir()) == []


# ---- what others made ----------------------------------------------------------------------


def outsider(truths: TruthSet, output: Path) -> int:
    """Plays an outsider's output to the end; returns the frames shown."""
    row = OutsiderRow("theirs", output, truths)
    [clip] = truths.clips
    assert row.begin(clip) == ""
    shown = 0
    try:
        for frame in truth_frames(clip):
            picture = row.show(frame.frame, frame.truth)
            assert picture.ms is None
            shown += 1
        row.end()
    finally:
        row.close()
    return shown


def test_an_outsider_s_video_folder_and_pictures_are_read(folder: Path, tmp_path: Path) -> None:
    truths = read_set(folder)
    pictures = [Scene(6).picture(index, PERSONA_LEVEL) for index in range(6)]
    output = tmp_path / "output"
    output.mkdir()
    write_clip(output / "clip0.mp4", pictures)
    assert outsider(truths, output / "clip0.mp4") == outsider(truths, output) == 6
    (output / "clip0.mp4").unlink()
    (output / "clip0").mkdir()
    for index, picture in enumerate(pictures):
        cv2.imwrite(str(output / "clip0" / f"{index}.png"), picture)
    assert outsider(truths, output) == 6


def test_an_outsider_s_masks_are_read(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    for part in ("clip0", "clip0.matte"):
        (output / part).mkdir(parents=True)
        for index in range(6):
            picture = np.full((*SIZE, 3), 30 * index, np.uint8)
            cv2.imwrite(str(output / part / f"{index}.png"), picture)
    truths = read_set(folder)
    row = OutsiderRow("theirs", output, truths)
    row.begin(truths.clips[0])
    shown = [row.show(frame.frame, None) for frame in truth_frames(truths.clips[0])]
    row.end()
    assert [int(one.matte[0, 0]) for one in shown if one.matte is not None] == [
        0, 30, 60, 90, 120, 150,
    ]  # fmt: skip
    assert all(one.occlusion is None for one in shown)


@pytest.mark.parametrize(
    ("count", "size", "complaint"),
    [
        (4, SIZE, "ends after 4 frames"),
        (9, SIZE, "holds more than the clip's 6 frames"),
        (6, (64, 64), "is 64x64, the driver is 160x120"),
    ],
)
def test_an_outsider_s_faults_are_named(
    folder: Path, tmp_path: Path, count: int, size: tuple[int, int], complaint: str
) -> None:
    write_clip(tmp_path / "clip0.mp4", [np.zeros((*size, 3), np.uint8)] * count)
    with pytest.raises(MediaError, match=complaint):
        outsider(read_set(folder), tmp_path)


def test_an_outsider_must_bring_every_clip(tmp_path: Path) -> None:
    truths = read_set(write_set(tmp_path / "set", clips=2, frames=3))
    output = tmp_path / "output"
    with pytest.raises(MediaError, match="no such file or folder"):
        find_outputs(output, truths)
    output.mkdir()
    write_clip(output / "clip0.mp4", [np.zeros((*SIZE, 3), np.uint8)] * 3)
    with pytest.raises(MediaError, match="lacks the clip clip1"):
        find_outputs(output, truths)
    with pytest.raises(UsageError, match="is one video, the set has 2 clips"):
        find_outputs(output / "clip0.mp4", truths)


# ---- the older folder ----------------------------------------------------------------------


def write_older(folder: Path, frames: int = 3) -> Path:
    folder.mkdir()
    names = [
        "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft",
        "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
        "jawOpen",
    ]  # fmt: skip
    for name, level in (("clip1_driver", 90), ("clip1_gt_face", 150), ("clip2_driver", 90)):
        write_clip(folder / f"{name}.mp4", [Scene(frames).picture(k, level) for k in range(frames)])
    for name, level in (("B", 150), ("C", 210)):
        cv2.imwrite(str(folder / f"source_{name}.png"), Scene().picture(0, level))
    coef = np.zeros((frames, len(names)), np.float32)
    coef[:, -1] = np.linspace(0, 1, frames)
    coef[:, 0] = 0.5
    angles = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 5]], np.float32)
    for clip in ("clip1", "clip2"):
        np.savez(
            folder / f"{clip}_groundtruth.npz", coef=coef, coef_names=names,
            pose_ypr_deg=angles, cam_R=np.repeat(np.eye(3, dtype=np.float32)[None], frames, 0),
        )  # fmt: skip
    return folder


def test_the_older_folder_is_a_set_of_two_clips(tmp_path: Path) -> None:
    truths = open_set(write_older(tmp_path / "older"))
    one, two = truths.clips
    assert (one.name, two.name, one.persona.name, two.persona.name) == ("clip1", "clip2", "B", "C")
    assert one.truth is not None
    assert two.truth is None
    assert one.parameters is not None
    np.testing.assert_allclose(one.parameters.jaw, [0, 0.5, 1])
    np.testing.assert_allclose(one.parameters.blink, 0.25)
    # A head that turns to its left shows its nose to the picture's right, and one that nods
    # down has a negative pitch.
    np.testing.assert_allclose(one.parameters.pose_deg[1], [10, 0, 0], atol=1e-4)
    assert one.parameters.pose_deg[2, 1] == pytest.approx(-10, abs=0.2)
    assert len(list(truth_frames(one))) == 3


@pytest.mark.parametrize("name", ["clip1_gt_face.mp4", "source_B.png"])
def test_what_the_older_folder_lacks_is_named(tmp_path: Path, name: str) -> None:
    folder = write_older(tmp_path / "older")
    (folder / name).unlink()
    with pytest.raises(MediaError, match=name):
        open_set(folder)


def test_broken_numbers_of_the_older_folder_are_named(tmp_path: Path) -> None:
    folder = write_older(tmp_path / "older")
    np.savez(folder / "clip1_groundtruth.npz", coef=np.zeros((3, 2)))
    with pytest.raises(MediaError, match="clip1_groundtruth"):
        open_set(folder)


def test_gaze_points_to_the_person_s_left_and_up() -> None:
    units = [
        "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft",
        "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
        "jawOpen",
    ]  # fmt: skip
    strengths = np.zeros(len(units), np.float32)
    strengths[[units.index("eyeLookOutLeft"), units.index("eyeLookInRight")]] = 0.8
    strengths[[units.index("eyeLookUpLeft"), units.index("eyeLookUpRight")]] = 0.4
    np.testing.assert_allclose(motion_of_units(strengths, units)["gaze"], [0.8, 0.4])
