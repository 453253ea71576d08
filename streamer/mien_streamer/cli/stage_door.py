"""What the keys of the preview window do to the pipeline."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from mien.config import PipelineConfig
from mien.errors import MienError
from mien.marking.metadata import Statement
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.shows import ShowPlayer
from mien_streamer.cli.setup import find_persona, open_library
from mien_streamer.controls.hotkeys import Action
from mien_streamer.controls.keyboard import ShowKeys
from mien_streamer.show_session import ShowSession

logger = logging.getLogger(__name__)

LIKENESS_STEP = 0.1


class ShowDoor:
    """Panic, bare face, likeness and quitting, while a show says who is worn."""

    def __init__(self, pipeline: Pipeline, stop: threading.Event, *, likeness: float) -> None:
        self._pipeline, self._stop = pipeline, stop
        self._likeness = likeness
        self._panic = False

    def act(self, action: Action) -> None:
        """Does what was asked for."""
        if action is Action.QUIT:
            self._stop.set()
        elif action is Action.PANIC:
            self._panic = not self._panic
            self._pipeline.panic(self._panic)
        elif action is Action.LIKENESS_UP:
            self._turn(LIKENESS_STEP)
        elif action is Action.LIKENESS_DOWN:
            self._turn(-LIKENESS_STEP)
        elif action is Action.BARE_ON:
            self._pipeline.set_bare(True)
        elif action is Action.BARE_OFF:
            self._pipeline.set_bare(False)

    def _turn(self, step: float) -> None:
        self._likeness = min(max(self._likeness + step, 0.0), 1.0)
        self._pipeline.set_likeness(self._likeness)


class StageDoor(ShowDoor):
    """Turns actions into changes of the pipeline; its calls return at once.

    Belongs to the thread that polls the keys.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        persona: Persona,
        stop: threading.Event,
        *,
        likeness: float,
        names: Callable[[], list[str]] | None = None,
        find: Callable[[str], Persona] | None = None,
    ) -> None:
        super().__init__(pipeline, stop, likeness=likeness)
        self._persona = persona
        self._names = names or (lambda: list(open_library().names()))
        self._find = find or (lambda name: open_library().resolve(name))

    def act(self, action: Action) -> None:
        """Does what was asked for."""
        if action is Action.BARE_ON:
            self._pipeline.set_persona(None)
        elif action is Action.BARE_OFF:
            self._pipeline.set_persona(self._persona)
        elif action is Action.NEXT_PERSONA:
            self._change(1)
        elif action is Action.PREVIOUS_PERSONA:
            self._change(-1)
        else:
            super().act(action)

    def _change(self, step: int) -> None:
        names = self._names()
        if not names:
            return
        here = names.index(self._persona.name) if self._persona.name in names else -step
        for offset in range(1, len(names) + 1):
            name = names[(here + step * offset) % len(names)]
            try:
                self._persona = self._find(name)
            except MienError as error:
                logger.warning("%s is left out: %s", name, error.what)
                continue
            self._pipeline.set_persona(self._persona)
            return


@dataclass(frozen=True, slots=True)
class Door:
    """What a live run needs to know of who is on stage: the hands, and the statement in files.

    Attributes:
        statement: for files.
        listener: what turns a window's actions into deeds, given the event that ends the run.
        on_key: takes a window's keys before that; True for those it took.
        player: of the show, if one is on.
    """

    statement: Statement
    listener: Callable[[threading.Event], Callable[[Action], None]]
    on_key: Callable[[str], bool]
    player: ShowPlayer | None = None

    @classmethod
    def of_persona(cls, pipeline: Pipeline, persona: Persona, config: PipelineConfig) -> Door:
        """For one persona, exchanged by keys."""

        def listener(stop: threading.Event) -> Callable[[Action], None]:
            return StageDoor(pipeline, persona, stop, likeness=config.mesh.likeness).act

        return cls(Statement.about(persona), listener, lambda key: False)

    @classmethod
    def of_show(cls, pipeline: Pipeline, session: ShowSession, config: PipelineConfig) -> Door:
        """For a show: the next and the previous persona are GO and back."""
        keys = ShowKeys(session.player)

        def listener(stop: threading.Event) -> Callable[[Action], None]:
            hands = ShowDoor(pipeline, stop, likeness=config.mesh.likeness)
            return lambda action: None if keys.act(action) else hands.act(action)

        return cls(session.statement(find_persona), listener, keys.press, session.player)
