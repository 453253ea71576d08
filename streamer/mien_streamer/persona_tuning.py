"""A persona's own layers, from footage: what is kept of a run, and what becomes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from mien.errors import InputError, MediaError, OutputError
from mien.live_view import LATENT_SIZE
from mien.networks.live_tuning import tuning_size
from mien.networks.live_weights import read_live_weights
from mien.personas.persona import Persona
from mien.swappers.stylegan3 import LiveFiles
from mien.swappers.stylegan3.networks import shipped_folder
from mien.swappers.stylegan3.tuned import forget_tuned, tuned_generator
from mien.swappers.stylegan3.wearing import FINE_FROM
from mien.training.persona_footage import write_footage
from mien.training.persona_recipe import PersonaRecipe
from mien.training.persona_trainer import FOOTAGE, PersonaTrainer
from mien.training.training_run import CURVE
from mien.types import F32Array
from mien_streamer.footage import Progress, watch_footage

REPORT, _ABOUT = "report.json", "about.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """How a run ended.

    Attributes:
        persona: with latent and layers of its own, or as it was.
        better: whether held-out moments are drawn better than before.
        finished: whether the run came to its end, by steps or by time.
        moments: of the film, learnt from and held out together.
        before, after: mean error over held-out faces (code values) and descriptor distance.
        report: where these figures are kept.
    """

    persona: Persona
    better: bool
    finished: bool
    moments: int
    before: dict[str, float]
    after: dict[str, float]
    report: Path


class PersonaTuning:
    """One run for one persona, in a folder; goes on from what is there.

    Args:
        persona: who; its consent record is what allows this.
        video: film of that person.
        folder: of the run; footage and checkpoints in it show the person, and go when the
            run ends.
        recipe: how to train.
        minutes: of training at most, all sittings together.
        live: the networks to start from; those that ship by default.
        progress: told about the share of the film that was looked at, 0..1.

    Raises:
        InputError: the folder's run is of another film or recipe.
        MediaError: the film cannot be used.
        OutputError: the folder cannot be written, or another process trains in it.
    """

    def __init__(
        self,
        persona: Persona,
        video: Path,
        folder: Path,
        *,
        recipe: PersonaRecipe | None = None,
        minutes: float = 30.0,
        live: LiveFiles | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._live = live or LiveFiles(folder=shipped_folder())
        self._persona, self._folder = persona, folder
        self._seconds = 60.0 * minutes
        weights = read_live_weights(self._live.weights)
        self._look(video, weights.generator.config.img_resolution, progress)
        self._recipe = recipe or PersonaRecipe()
        config = weights.generator.config
        vector = persona.tunings.get(self._live.key())
        # Of another rank: begun anew.
        fits = vector is not None and len(vector) == tuning_size(config, self._recipe.rank)
        self._trainer = PersonaTrainer(
            folder,
            self._recipe,
            weights,
            self._first_rows(),
            round(FINE_FROM * config.num_ws),
            vector if fits else None,
        )

    @property
    def steps(self) -> tuple[int, int]:
        """Done, and to be done."""
        return self._trainer.step, self._recipe.steps

    def train(
        self, should_stop: Callable[[], bool], progress: Callable[[str, float], None]
    ) -> Tuned:
        """Trains to the end, until the time is up, or until asked to stop.

        Args:
            should_stop: asked after every step.
            progress: told what is done, and the share that is.
        """
        trainer, recipe = self._trainer, self._recipe
        before = trainer.score_before()

        def stop() -> bool:
            share = max(trainer.step / recipe.steps, trainer.seconds / self._seconds)
            phase = "latent" if trainer.step < recipe.pivot_steps else "layers"
            progress(f"{phase}, step {trainer.step} of {recipe.steps}", min(share, 1.0))
            return should_stop() or self._is_late()

        trainer.train(should_stop=stop)
        after = trainer.score()
        finished = trainer.step >= recipe.steps or self._is_late()
        better = after["held_error"] < before["held_error"]
        persona = self._with_layers() if finished and better else self._persona
        report = self._report(before, after, better) if finished else self._folder / REPORT
        return Tuned(
            persona=persona,
            better=better,
            finished=finished,
            moments=trainer.moments,
            before=before,
            after=after,
            report=report,
        )

    def fold(self, persona: Persona) -> Path:
        """Writes the generator's file of a persona with layers of its own, for the one before."""
        forget_tuned(self._persona)
        return tuned_generator(self._live, persona, persona.tunings[self._live.key()])

    def close(self) -> None:
        """Lets others train in the folder."""
        self._trainer.close()

    def clear(self) -> None:
        """Removes everything that shows the person; curve and report stay."""
        self.close()
        for path in self._folder.iterdir():
            if path.name not in (CURVE, REPORT):
                path.unlink(missing_ok=True)

    def _is_late(self) -> bool:
        return self._trainer.seconds >= self._seconds

    def _look(self, video: Path, size: int, progress: Progress | None) -> None:
        """Cuts the film's moments, unless that was done."""
        key = self._live.key()
        about = {"film": _digest(video), "networks": key, "persona": self._persona.name}
        path = self._folder / _ABOUT
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            known = json.loads(path.read_text("utf-8")) if path.is_file() else None
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self._folder} cannot be used: {error}", "remove it, or choose another"
            ) from error
        if known is not None and known != about:
            raise InputError(
                f"a run of {self._persona.name} on another film, or with other networks, was begun",
                "add --anew to leave it and begin again",
            )
        if known is None or not (self._folder / FOOTAGE).is_file():
            write_footage(
                self._folder / FOOTAGE,
                watch_footage(self._persona, video, size, progress=progress),
            )
            path.write_text(json.dumps(about), "utf-8")

    def _first_rows(self) -> F32Array:
        """(2, LATENT_SIZE): the persona's own latent, else the mean of all that are known."""
        own = self._persona.latents.get(self._live.key())
        if own is not None and own.shape[1] == LATENT_SIZE:
            return np.ascontiguousarray(own[[0, -1]], np.float32)
        known = {**self._live.strangers(), **self._live.latents()}
        mean = np.mean(list(known.values()), axis=0)
        return np.ascontiguousarray(np.stack([mean, mean]), np.float32)

    def _with_layers(self) -> Persona:
        rows, vector = self._trainer.found()
        key = self._live.key()
        # Those of other versions of the networks mean nothing any more.
        latents = {k: v for k, v in self._persona.latents.items() if not k.startswith("live-")}
        return replace(self._persona, latents={**latents, key: rows}, tunings={key: vector})

    def _report(self, before: dict[str, float], after: dict[str, float], better: bool) -> Path:
        path = self._folder / REPORT
        facts = {
            "persona": self._persona.name,
            "networks": self._live.key(),
            "steps": self._trainer.step,
            "seconds": round(self._trainer.seconds, 1),
            "moments": self._trainer.moments,
            "kept": better,
            "before": before,
            "after": after,
            "recipe": self._recipe.to_json(),
        }
        path.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
        return path


def begin_anew(folder: Path) -> None:
    """Removes a run that is in the way."""
    shutil.rmtree(folder, ignore_errors=True)


def _digest(video: Path) -> str:
    digest = sha256()
    try:
        with video.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise MediaError(f"{video} cannot be read: {error.strerror}", "check the path") from error
    return digest.hexdigest()
