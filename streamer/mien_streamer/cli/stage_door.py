"""What the keys of the preview window do to the pipeline."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from mien.errors import MienError
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien_streamer.cli.setup import open_library
from mien_streamer.controls.hotkeys import Action

logger = logging.getLogger(__name__)

LIKENESS_STEP = 0.1


class StageDoor:
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
        self._pipeline = pipeline
        self._persona = persona
        self._stop = stop
        self._likeness = likeness
        self._panic = False
        self._names = names or (lambda: list(open_library().names()))
        self._find = find or (lambda name: open_library().resolve(name))

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
            self._pipeline.set_persona(None)
        elif action is Action.BARE_OFF:
            self._pipeline.set_persona(self._persona)
        elif action is Action.NEXT_PERSONA:
            self._change(1)
        elif action is Action.PREVIOUS_PERSONA:
            self._change(-1)

    def _turn(self, step: float) -> None:
        self._likeness = min(max(self._likeness + step, 0.0), 1.0)
        self._pipeline.set_likeness(self._likeness)

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
