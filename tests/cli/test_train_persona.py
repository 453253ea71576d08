"""``mien train persona`` from a film to a persona that is worn with layers of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

from mien.config import PipelineConfig
from mien.networks.live_onnx import export_live
from mien.perception import FaceTracker
from mien.personas import load_persona
from mien.swappers.stylegan3 import LiveFiles, StyleGAN3Swapper
from mien.swappers.stylegan3.wearing import morph
from mien.training.persona_recipe import PersonaRecipe
from mien.types import Frame
from mien_streamer.cli.build import _models
from mien_streamer.persona_tuning import PersonaTuning
from mien_streamer.sources import open_source
from tests.cli.conftest import Mien, write_clip
from tests.cli.test_persona_latents import portrait_of
from tests.training.drawn_footage import write_weights

SHORT = partial(
    PersonaRecipe, steps=24, warm_up=2, rank=2, perceptual=0.0, identity=0.0, save_every=6,
    score_every=24, grid_every=24, mixed_precision=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """The bundled clip, whose performer is who consents here."""
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as path,
        open_source(str(path)) as source,
    ):
        return [frame for _, frame in zip(range(34), source.frames(), strict=False)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, frames: list[Frame]) -> Path:
    path = tmp_path_factory.mktemp("film") / "mira.mp4"
    small = [cv2.resize(frame.bgr, (640, 360), interpolation=cv2.INTER_AREA) for frame in frames]
    write_clip(path, small)
    return path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveFiles:
    folder = tmp_path_factory.mktemp("live")
    export_live(write_weights(folder / "live.safetensors"), folder)
    return LiveFiles(folder=folder)


@pytest.fixture
def mira(
    mien: Mien,
    home: Path,
    tmp_path: Path,
    frames: list[Frame],
    live: LiveFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The file of a persona of the film's performer; tiny networks stand where the shipped do."""
    monkeypatch.setattr("mien_streamer.persona_tuning.shipped_folder", lambda: live.folder)
    monkeypatch.setattr("mien_streamer.persona_tuning.PersonaRecipe", SHORT)
    monkeypatch.setattr("mien.swappers.stylegan3.networks.shipped_folder", lambda: live.folder)
    monkeypatch.setattr("mien.swappers.stylegan3.tuned.cache_folder", lambda: tmp_path / "cache")
    photo = tmp_path / "front.png"
    cv2.imwrite(str(photo), frames[0].bgr)
    done = mien("persona", "create", "mira", photo, "--consent", "yes", "--by", "Mira")
    assert done.code == 0, done.err
    return home / "personas" / "mira.persona"


def test_a_film_becomes_layers_that_are_worn_and_go_with_the_persona(
    mien: Mien, mira: Path, film: Path, live: LiveFiles, tmp_path: Path, frames: list[Frame]
) -> None:
    done = mien("train", "persona", "mira", "--video", film, "--consented")
    assert done.code == 0, done.err
    assert "moments never learnt from" in done.out + done.err
    worn = load_persona(mira)
    assert set(worn.tunings) == set(worn.latents) == {live.key()}
    run = mira.parent.parent / "training" / "mira"
    assert {path.name for path in run.iterdir()} == {"curve.csv", "report.json"}
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert report["after"]["held_error"] < 0.9 * report["before"]["held_error"]
    (folded,) = (tmp_path / "cache" / "personas").iterdir()
    # The swapper's engines are built of both.
    generators = _models("stylegan3", None, None, tmp_path / "build")
    assert [model.onnx_path("fp16", "cuda") for model in generators[:2]] == [live.generator, folded]
    assert generators[1].name == "the generator of mira"

    swapper = StyleGAN3Swapper(PipelineConfig(), live)
    with FaceTracker() as tracker:
        (track,) = tracker.find(frames[0].bgr)
    state = swapper.prepare(worn)
    assert state.generators == ((folded.stem, 1.0),)
    plain = swapper.prepare(replace(worn, tunings={}))
    pictures = [
        np.array(swapper.swap(frames[0], track, one).bgr, np.float32)
        for one in (plain, morph(plain, state, 0.5), state)
    ]
    apart = np.abs(pictures[2] - pictures[0]).mean()
    assert apart > 0.5
    # Half-way both generators draw, and the picture lies between.
    assert 0.2 * apart < np.abs(pictures[1] - pictures[0]).mean() < 0.8 * apart
    swapper.close()

    assert mien("persona", "remove", "mira").code == 0
    assert not folded.exists()
    assert not run.exists()


def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been(
    mien: Mien, mira: Path, film: Path, live: LiveFiles, tmp_path: Path
) -> None:
    worn = load_persona(mira)

    def sit(folder: Path, steps: int) -> PersonaTuning:
        tuning = PersonaTuning(worn, film, folder, live=live, recipe=SHORT())
        tuned = tuning.train(lambda: tuning.steps[0] >= steps, lambda what, share: None)
        assert tuned.finished == (tuning.steps[0] == 24)
        assert bool(tuned.persona.tunings) == tuned.finished
        tuning.close()
        return tuning

    sit(tmp_path / "cut", 9)
    film_seen = (tmp_path / "cut" / "footage.safetensors").stat().st_mtime_ns
    sit(tmp_path / "cut", 24)
    assert (tmp_path / "cut" / "footage.safetensors").stat().st_mtime_ns == film_seen
    sit(tmp_path / "whole", 24)
    one, other = (
        json.loads((tmp_path / name / "report.json").read_text("utf-8"))["after"]
        for name in ("cut", "whole")
    )
    assert one == other


def test_the_time_is_bounded_and_what_does_not_help_is_not_kept(
    mien: Mien, mira: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mien_streamer.persona_tuning.PersonaRecipe",
        partial(SHORT, steps=100_000, learning_rate=1e-9),
    )
    done = mien("train", "persona", "mira", "--video", film, "--consented", "--minutes", "0.1")
    assert done.code == 0, done.err
    report = json.loads(
        (mira.parent.parent / "training" / "mira" / "report.json").read_text("utf-8")
    )
    assert 6.0 <= report["seconds"] < 60.0
    assert report["kept"] == bool(load_persona(mira).tunings)


def test_another_film_needs_a_word(mien: Mien, mira: Path, film: Path, tmp_path: Path) -> None:
    folder = mira.parent.parent / "training" / "mira"
    folder.mkdir(parents=True)
    (folder / "about.json").write_text('{"film": "another"}')
    refused = mien("train", "persona", "mira", "--video", film, "--consented")
    assert refused.code == 3
    assert "--anew" in refused.err
    assert mien("train", "persona", "mira", "--video", film, "--consented", "--anew").code == 0


def test_footage_that_cannot_serve_is_refused(
    mien: Mien, mira: Path, film: Path, frames: list[Frame], tmp_path: Path
) -> None:
    refused = mien("train", "persona", "mira", "--video", film)
    assert refused.code == 3
    assert "--consented" in refused.err
    assert mien("train", "persona", "nobody", "--video", film, "--consented").code == 3
    assert (
        "belongs to the cast" in mien("train", "persona", "ada", "--video", film, "--consented").err
    )

    def said(video: Path, name: str = "mira") -> str:
        result = mien("train", "persona", name, "--video", video, "--consented", "--anew")
        assert result.code == 3, result.err
        return result.err

    assert "cannot be read" in said(tmp_path / "nowhere.mp4")
    write_clip(tmp_path / "grey.mp4", [np.full((360, 640, 3), 120, np.uint8)] * 12)
    assert "no face is seen" in said(tmp_path / "grey.mp4")
    small = [cv2.resize(f.bgr, (640, 360), interpolation=cv2.INTER_AREA) for f in frames[:16]]
    write_clip(tmp_path / "short.mp4", small)
    assert "at least 20 are needed" in said(tmp_path / "short.mp4")
    made = mien("persona", "create", "kim", portrait_of("mei", tmp_path), "--consent", "yes")
    assert made.code == 0
    assert "kim is not seen" in said(film, "kim")
