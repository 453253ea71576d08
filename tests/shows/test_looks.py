"""Looks: another picture's colours and touch on a persona's skin."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.errors import PhotoError
from mien.face_regions import uv_regions
from mien.personas.library import Library
from mien.personas.looks import with_look
from mien.personas.persona import Persona
from mien.types import U8Array
from mien_streamer.cli import run


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Persona:
    return Library(Path(tmp_path_factory.mktemp("library"))).resolve("ada")


def painting(grain: float, seed: int = 1) -> U8Array:
    """Cool blues and greys in broad strokes, with grain."""
    random = np.random.default_rng(seed)
    strokes = cv2.resize(random.normal(size=(12, 12, 1)), (512, 512), interpolation=cv2.INTER_CUBIC)
    colours = np.array([150, 110, 80]) + strokes[..., None] * np.array([30, 22, 14])
    noisy = colours + random.normal(size=(512, 512, 1)) * grain
    return np.clip(noisy, 0, 255).astype(np.uint8)


def grain_of(texture: U8Array) -> float:
    skin = cv2.erode(uv_regions(len(texture)).inside.astype(np.uint8), np.ones((31, 31))) > 0
    grey = cv2.cvtColor(texture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return float((grey - cv2.GaussianBlur(grey, (0, 0), 1.0))[skin].std())


def test_colours_move_to_the_pictures(ada: Persona) -> None:
    made = with_look(ada, painting(4.0), colour=1.0, touch=0.0)
    skin = uv_regions(512).inside
    mean = made.texture[skin].mean(axis=0)
    wanted = painting(4.0).reshape(-1, 3).mean(axis=0)
    assert np.abs(mean - wanted).max() < 12
    assert made.skin_bgr[0] > made.skin_bgr[2], "a blue skin is bluer than red"
    assert np.array_equal(made.shape, ada.shape)
    assert np.array_equal(made.descriptor, ada.descriptor)
    assert made.consent == ada.consent


def test_touch_moves_the_grain_and_little_else(ada: Persona) -> None:
    before = grain_of(ada.texture)
    rough = with_look(ada, painting(40.0), colour=0.0, touch=1.0)
    smooth = with_look(ada, painting(0.0), colour=0.0, touch=1.0)
    assert grain_of(smooth.texture) < 0.8 * before < before < grain_of(rough.texture)
    for made in (rough, smooth):
        drift = made.texture.reshape(-1, 3).mean(axis=0) - ada.texture.reshape(-1, 3).mean(axis=0)
        assert np.abs(drift).max() < 2


def test_none_of_a_look_is_the_persona_itself(ada: Persona) -> None:
    made = with_look(ada, painting(4.0), colour=0.0, touch=0.0)
    assert np.abs(made.texture.astype(int) - ada.texture).max() <= 1


def test_skin_stays_smooth_under_the_wildest_picture(ada: Persona) -> None:
    wild = np.random.default_rng(2).integers(0, 255, (300, 200, 3), np.uint8)
    made = with_look(ada, wild)
    assert grain_of(made.texture) < 4 * grain_of(ada.texture)


@pytest.mark.parametrize(
    "picture", [np.full((100, 100, 3), 90, np.uint8), np.zeros((8, 100, 3), np.uint8)]
)
def test_pictures_without_a_look_are_refused(ada: Persona, picture: U8Array) -> None:
    with pytest.raises(PhotoError):
        with_look(ada, picture)
    with pytest.raises(ValueError):
        with_look(ada, painting(1.0), colour=1.5)


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path))
    cv2.imwrite(str(tmp_path / "fresco.png"), painting(4.0))
    command = ["persona", "look", "ada", str(tmp_path / "fresco.png"), "--as", "ada-fresco"]
    assert run(command) == 0
    assert Library(tmp_path / "personas").resolve("ada-fresco").name == "ada-fresco"
    assert run(command) == 3, "it is not overwritten unasked"
    assert run([*command, "--replace"]) == 0
    assert run(["persona", "look", "nobody", str(tmp_path / "fresco.png"), "--as", "x"]) == 3
    assert run(["persona", "look", "ada", str(tmp_path / "none.png"), "--as", "x"]) == 3
