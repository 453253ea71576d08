"""``mien bench truth`` as it is typed: the real pipeline on the set of the source tree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.benchmarks.truth_scene import write_set
from tests.cli.conftest import Mien, write_clip
from tests.cli.conftest import mien as mien

from mien.personas.library import Library
from mien_benchmarks.truth_measure import BUNDLED
from mien_benchmarks.truth_photos import WANTED_SHARE, measure_photos
from mien_benchmarks.truth_set import read_set, truth_frames

# What a clone may weigh for it.
_MOST_BYTES = 4_000_000


@pytest.fixture
def one_clip(tmp_path: Path) -> Path:
    """The bundled set's clip with something before the face, alone."""
    folder = tmp_path / "one"
    shutil.copytree(BUNDLED, folder)
    values = json.loads((folder / "truth.json").read_text())
    values["clips"] = [clip for clip in values["clips"] if clip["group"] == "covered"]
    (folder / "truth.json").write_text(json.dumps(values))
    return folder


def test_the_bundled_set_is_small_and_whole() -> None:
    files = [path for path in BUNDLED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= _MOST_BYTES
    truths = read_set(BUNDLED)
    assert {clip.group for clip in truths.clips} == {"cast", "strangers", "covered"}
    assert json.loads((BUNDLED / "truth.json").read_text())["licence"] == "CC0-1.0"
    for clip in truths.clips:
        assert clip.frames == sum(1 for _ in truth_frames(clip))
        first = next(truth_frames(clip))
        assert first.truth is not None
        assert first.share is not None
        outside = first.share == 0
        apart = np.abs(first.truth.astype(int) - first.frame.bgr).max(axis=2)
        # Where nothing is the persona's, driver and truth are one picture but for coding; the
        # outline of the head, the hairline and the shadow may lie elsewhere.
        assert np.percentile(apart[outside], 90) <= 8
        assert np.median(apart[first.share == 255]) > np.median(apart[outside])


def test_mien_and_an_outsider_are_scored_side_by_side(
    mien: Mien, one_clip: Path, tmp_path: Path
) -> None:
    [clip] = read_set(one_clip).clips
    frames = 6
    output = tmp_path / "theirs"
    output.mkdir()
    truth = [frame.truth for frame in truth_frames(clip, frames) if frame.truth is not None]
    write_clip(output / f"{clip.name}.mp4", truth, fps=30)
    figures, strip, tables = (tmp_path / name for name in ("f.json", "strip.png", "tables.md"))
    result = mien(
        "bench", "truth", one_clip, "--rows", "mesh", "--output", output, "--name", "theirs",
        "--frames", frames, "--json", figures, "--strip", strip, "--markdown", tables,
    )  # fmt: skip
    assert result.code == 0, result.err
    found = json.loads(figures.read_text())
    rows = {name: row["groups"]["all"] for name, row in found["rows"].items()}
    assert list(rows) == ["unswapped", "mesh", "theirs", "true swap"]
    assert rows["mesh"]["frames"] == frames
    assert rows["mesh"]["missed"] == 0
    assert rows["mesh"]["ms"]["p50"] > 0
    assert 0.5 < rows["mesh"]["matte_iou"] <= 1
    # The truth, coded once more, is nearly the truth.
    assert rows["theirs"]["relative_error"] < 0.2 < rows["mesh"]["relative_error"]
    assert rows["theirs"]["descriptor"] == pytest.approx(rows["true swap"]["descriptor"], abs=0.05)
    assert rows["true swap"]["descriptor"] < rows["unswapped"]["descriptor"]
    assert rows["mesh"]["descriptor"] < rows["unswapped"]["descriptor"]
    for name in rows:
        assert name in result.out
    lines = tables.read_text().splitlines()
    assert sum(line.startswith("| covered: mesh |") for line in lines) == 2
    assert len({line.count("|") for line in lines if line}) == 2
    picture = cv2.imread(str(strip))
    assert picture is not None
    assert picture.shape[0] > 4 * 200


def test_a_missing_set_says_where_to_get_one(
    mien: Mien, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien_benchmarks.truth_measure.BUNDLED", tmp_path / "nowhere")
    result = mien("bench", "truth")
    assert result.code == 4
    assert "mien train truth" in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--rows", "nobody"), 2, "no row is called 'nobody'"),
        (("--rows", "none", "--strip", "strip.gif"), 2, "picture format"),
        (("--rows", "none", "--output", "nowhere"), 3, "no such file or folder: nowhere"),
        (("--rows", "mesh", "--output", ".", "--name", "mesh"), 2, "called 'mesh' already"),
        (("--photos", "."), 2, "takes the place of a set"),
    ],
)
def test_wrong_use_is_told_apart(
    mien: Mien, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], code: int, complaint: str,
) -> None:  # fmt: skip
    folder = write_set(tmp_path / "set", frames=2)
    monkeypatch.chdir(tmp_path)
    result = mien("bench", "truth", folder, *arguments, "--json", "figures.json")
    assert (result.code, complaint in result.err) == (code, True), result.err
    assert not list(tmp_path.glob("*.json"))


def test_a_folder_without_photographs_is_refused(mien: Mien, tmp_path: Path) -> None:
    result = mien("bench", "truth", "--photos", tmp_path)
    assert result.code == 3
    assert "no photographs" in result.err


def test_a_photograph_without_a_face_is_refused(mien: Mien, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 90, np.uint8))
    result = mien("bench", "truth", "--photos", tmp_path)
    assert result.code == 3
    assert "no face was found in" in result.err


def _astronaut() -> Path:
    skimage = pytest.importorskip("skimage", reason="the astronaut comes with scikit-image")
    return Path(skimage.__file__).parent / "data" / "astronaut.png"


def _hopper() -> Path:
    matplotlib = pytest.importorskip("matplotlib", reason="Grace Hopper comes with Matplotlib")
    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.mark.parametrize("find", [_astronaut, _hopper])
def test_a_swapped_photograph_keeps_the_performer_s_landmarks(find, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    photo = find()
    if not photo.is_file():
        pytest.skip(f"{photo.name} is not installed")
    shutil.copy(photo, tmp_path / photo.name)
    library = Library(tmp_path / "personas")
    figures, pairs = measure_photos(tmp_path, [library.resolve("ada"), library.resolve("tunde")])
    assert len(figures) == len(pairs) == 2
    for name, found in figures.items():
        assert found["landmarks"] is not None, name
        assert found["landmarks"] <= WANTED_SHARE, (name, found)
        assert found["descriptor_after"] < found["descriptor_before"], (name, found)
