"""The real thing, from a clip on disk to a clip on disk: the person changes, the rest stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mien.perception import FaceDescriptor, FaceTracker
from mien.personas.library import Library
from mien.types import F32Array, U8Array
from tests.cli.conftest import Mien, times_of
from tests.cli.conftest import demo_frames as demo_frames
from tests.cli.conftest import home as home
from tests.cli.conftest import mien as mien
from tests.cli.conftest import talking as talking

PERSONA = "ada"
SAME_PERSON = 0.6
"""Descriptor distance below which two pictures show one person (published)."""


class Eyes:
    """Recognises people."""

    def __init__(self) -> None:
        self._finder, self._describer = FaceTracker(), FaceDescriptor()

    def distance(self, picture: U8Array, wanted: F32Array) -> float:
        face = self._finder.find(picture)[0]
        seen = self._describer.describe(picture, face.landmarks)
        return float(np.linalg.norm(seen - wanted))

    def describe(self, picture: U8Array) -> F32Array:
        return self._describer.describe(picture, self._finder.find(picture)[0].landmarks)

    def close(self) -> None:
        self._finder.close()
        self._describer.close()


@pytest.fixture(scope="module")
def eyes() -> Iterator[Eyes]:
    opened = Eyes()
    yield opened
    opened.close()


def pictures_of(path: Path, every: int = 6) -> list[U8Array]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="bgr24") for frame in frames[::every]]


def astronaut() -> U8Array:
    """Eileen Collins, public domain (NASA)."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


@pytest.mark.usefixtures("home")
def test_a_clip_shows_the_persona_and_keeps_sound_and_times(
    mien: Mien, talking: Path, tmp_path: Path, eyes: Eyes
) -> None:
    output, report = tmp_path / "out.mp4", tmp_path / "r.json"
    result = mien("swap", talking, "-p", PERSONA, "-o", output, "--report", report)
    assert result.code == 0, result.err
    wanted = Library(tmp_path / "none").resolve(PERSONA).descriptor
    before = np.median([eyes.distance(picture, wanted) for picture in pictures_of(talking)])
    after = np.median([eyes.distance(picture, wanted) for picture in pictures_of(output)])
    assert before > SAME_PERSON
    assert after < min(0.5, before - 0.12), (before, after)
    assert times_of(output) == pytest.approx(times_of(talking), abs=1e-3)
    assert times_of(output, "audio") == pytest.approx(times_of(talking, "audio"), abs=1e-6)
    assert json.loads(report.read_text())["swapped"] == 24


@pytest.mark.usefixtures("home")
def test_the_refiner_lights_the_persona_and_leaves_it_who_it_is(
    mien: Mien, talking: Path, tmp_path: Path, eyes: Eyes
) -> None:
    wanted = Library(tmp_path / "none").resolve(PERSONA).descriptor
    pictures: dict[str, list[U8Array]] = {}
    for mode in ("off", "auto"):
        output, report = tmp_path / f"{mode}.mp4", tmp_path / f"{mode}.json"
        result = mien(
            "swap", talking, "-p", PERSONA, "-o", output, "--refine", mode, "--report", report
        )
        assert result.code == 0, result.err
        found = json.loads(report.read_text())
        assert ("refine" in found["latency_ms"]["stages"]) == (mode == "auto")
        assert found["swapped"] == 24
        pictures[mode] = pictures_of(output)
    off, auto = (
        np.median([eyes.distance(picture, wanted) for picture in pictures[mode]])
        for mode in ("off", "auto")
    )
    # Other light moves the descriptor by some hundredths either way.
    assert auto < min(off + 0.05, 0.5)
    change = np.mean(
        [np.abs(a.astype(int) - b).mean() for a, b in zip(*pictures.values(), strict=True)]
    )
    assert change > 0.05


@pytest.mark.usefixtures("home")
def test_outside_the_head_nothing_changes(
    mien: Mien, demo_frames: list[U8Array], tmp_path: Path
) -> None:
    photo, output = tmp_path / "photo.png", tmp_path / "out.png"
    cv2.imwrite(str(photo), demo_frames[0])
    assert mien("swap", photo, "-p", PERSONA, "-o", output, "--no-badge").code == 0
    change = np.abs(cv2.imread(str(output)).astype(int) - demo_frames[0]).max(axis=2)
    rows, columns = np.nonzero(change)
    with FaceTracker() as finder:
        left, top, right, bottom = finder.find(demo_frames[0])[0].box
    margin = 0.15 * (bottom - top)
    assert columns.min() > left - margin
    assert columns.max() < right + margin
    assert rows.min() > top - margin
    assert rows.max() < bottom + margin
    assert change.max() > 20


@pytest.mark.usefixtures("home")
def test_a_real_face_wears_a_persona_and_is_worn(mien: Mien, tmp_path: Path, eyes: Eyes) -> None:
    """A portrait as PERSONA on the rendered head, and the cast on a real photo."""
    real = astronaut()
    photo = tmp_path / "astronaut.png"
    cv2.imwrite(str(photo), real)
    person = eyes.describe(real)

    worn = tmp_path / "worn.png"
    assert mien("swap", photo, "-p", PERSONA, "-o", worn).code == 0
    cast = Library(tmp_path / "none").resolve(PERSONA).descriptor
    assert eyes.distance(cv2.imread(str(worn)), cast) < eyes.distance(real, cast) - 0.15

    rendered, wearing = tmp_path / "head.png", tmp_path / "wearing.png"
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip,
        av.open(str(clip)) as container,
    ):
        head = next(iter(container.decode(video=0))).to_ndarray(format="bgr24")
    cv2.imwrite(str(rendered), head)
    assert mien("swap", rendered, "-p", photo, "-o", wearing).code == 0
    assert eyes.distance(head, person) > SAME_PERSON
    assert eyes.distance(cv2.imread(str(wearing)), person) < SAME_PERSON


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_the_demo_leaves_three_files_to_look_at(mien: Mien, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = mien("demo", "--out", out, "--occlusion", "on")
    assert result.code == 0, result.err
    assert sorted(path.name for path in out.iterdir()) == [
        "before-after.png",
        "mien-demo.mp4",
        "report.json",
    ]
    for name in ("before-after.png", "mien-demo.mp4", "report.json"):
        assert str(out / name) in result.out
    for name in ("before-after.png", "mien-demo.mp4"):
        assert json.loads(mien("verify", out / name, "--json").out)["synthetic"] is True
    strip = cv2.imread(str(out / "before-after.png"))
    assert strip.shape[0] > 700
    assert strip.shape[1] > 1500
    report = json.loads((out / "report.json").read_text())
    assert report["swapped"] == report["frames"] == 180
    assert report["settings"]["occlusion"] == "on"
    assert report["latency_ms"]["stages"]["occlude"]["p50"] > 0
