"""Latents by the command line, with networks whose picture is known."""

from __future__ import annotations

from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.personas import load_persona
from mien.swappers.stylegan3 import LiveFiles
from mien.swappers.stylegan3.fitting import fit_latent
from mien_streamer.sources import open_source
from tests.cli.conftest import Mien
from tests.swappers.tiny_live import LAYERS, write_live


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's performer."""
    path = tmp_path_factory.mktemp("photo") / "front.png"
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip,
        open_source(str(clip)) as source,
    ):
        frame = next(iter(source.frames()))
        cv2.imwrite(str(path), frame.bgr)
    return path


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LiveFiles:
    """These stand where the shipped networks would."""
    made = write_live(tmp_path / "live", split=True)
    monkeypatch.setattr("mien_streamer.latents.shipped_folder", lambda: made.folder)
    # The search itself is tested elsewhere; here it is kept short.
    monkeypatch.setattr("mien.swappers.stylegan3.fitting._OWN_DIRECTIONS", 3)
    short = partial(fit_latent, iterations=(2, 1, 1))
    monkeypatch.setattr("mien_streamer.latents.fit_latent", short)
    monkeypatch.setattr("mien_streamer.latents._LOOKS", 12)
    return made


def create(mien: Mien, photo: Path, *more: str) -> None:
    done = mien("persona", "create", "mira", photo, "--consent", "yes", "--by", "Mira", *more)
    assert done.code == 0, done.err


def test_a_persona_is_made_with_a_latent_of_its_photos(
    mien: Mien, home: Path, photo: Path, live: LiveFiles
) -> None:
    create(mien, photo, "--latent")
    worn = load_persona(home / "personas" / "mira.persona")
    assert worn.latents[live.key()].shape == (LAYERS, 256)
    facts = mien("persona", "info", "mira", "--json").out
    assert live.key() in facts


def test_a_latent_is_added_later_from_the_preview_and_takes_the_place_of_stale_ones(
    mien: Mien, home: Path, photo: Path, live: LiveFiles
) -> None:
    create(mien, photo)
    done = mien("persona", "latent", "mira")
    assert done.code == 0, done.err
    assert "descriptor distance" in done.err + done.out
    before = load_persona(home / "personas" / "mira.persona").latents
    assert set(before) == {live.key()}
    # Other networks: another key, and the old latent goes.
    write_live(live.folder, layers=4)
    assert mien("persona", "latent", "mira", photo).code == 0
    after = load_persona(home / "personas" / "mira.persona").latents
    assert set(after) == {live.key()}
    assert set(after) != set(before)


def test_somebody_elses_photo_is_refused(
    mien: Mien, home: Path, photo: Path, live: LiveFiles, tmp_path: Path
) -> None:
    create(mien, photo)
    other = tmp_path / "other.png"
    with as_file(files("mien.personas").joinpath("cast", "mei.persona")) as path:
        other.write_bytes(load_persona(path).preview_jpeg)
    refused = mien("persona", "latent", "mira", other)
    assert refused.code == 3
    assert "does not seem to show mira" in refused.err


def test_the_cast_has_latents_already(mien: Mien, home: Path, live: LiveFiles) -> None:
    refused = mien("persona", "latent", "ada")
    assert refused.code == 3
    assert "belongs to the cast" in refused.err
    assert mien("persona", "latent", "nobody-here").code == 3


def test_two_are_mixed_into_one_that_both_consented_to(
    mien: Mien, home: Path, live: LiveFiles
) -> None:
    done = mien("persona", "mix", "ada", "kai", "--as", "both")
    assert done.code == 0, done.err
    rows = load_persona(home / "personas" / "both.persona").latents[live.key()]
    cast = live.latents()
    assert np.array_equal(rows[0], cast["ada"])
    assert np.array_equal(rows[-1], cast["kai"])
    assert mien("persona", "mix", "ada", "mei", "--as", "odd").code == 3


def test_footage_needs_consent_and_the_right_person(
    mien: Mien, home: Path, photo: Path, talking: Path, live: LiveFiles
) -> None:
    create(mien, photo)
    refused = mien("train", "persona", "mira", "--video", talking)
    assert refused.code == 3
    assert "--consented" in refused.err
    done = mien("train", "persona", "mira", "--video", talking, "--consented", "--latent-only")
    assert done.code == 0, done.err
    assert "pictures" in done.err + done.out
    assert (
        mien("persona", "create", "kim", portrait_of("mei", photo.parent), "--consent", "yes").code
        == 0
    )
    wrong = mien("train", "persona", "kim", "--video", talking, "--consented", "--latent-only")
    assert wrong.code == 3
    assert "is not seen in" in wrong.err


def portrait_of(name: str, folder: Path) -> Path:
    path = folder / f"{name}.jpg"
    with as_file(files("mien.personas").joinpath("cast", f"{name}.persona")) as cast:
        path.write_bytes(load_persona(cast).preview_jpeg)
    return path


def test_missing_networks_are_said(
    mien: Mien, home: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(mien, photo)
    monkeypatch.setattr("mien_streamer.latents.shipped_folder", lambda: tmp_path / "nowhere")
    refused = mien("persona", "latent", "mira")
    assert refused.code == 4
    assert "missing" in refused.err
