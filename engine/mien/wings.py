"""Where personas wait for their entrance: prepared ahead, mixed when asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mien.errors import UsageError
from mien.look import Blend, Face, Look, dominant
from mien.personas.persona import Persona
from mien.types import FaceTrack

logger = logging.getLogger(__name__)

_STILLS_KEPT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """A persona, and how it is to be drawn.

    Attributes:
        persona: who.
        swapper: the name of one of several swappers; empty for the usual one.
        fine: whose skin it takes; None for its own.
    """

    persona: Persona
    swapper: str = ""
    fine: Persona | None = None


Loader = Callable[[], "Persona | Wear"]


class Preparing(Protocol):
    """The part of a swapper that needs time."""

    def prepare(self, persona: Persona) -> object: ...


@runtime_checkable
class Choosing(Protocol):
    """Several swappers, of which a persona may name its own."""

    def prepare_with(
        self, swapper: str, persona: Persona, fine: Persona | None = None
    ) -> object: ...


@runtime_checkable
class Mixing(Protocol):
    """A swapper that can show two personas at once; others cut halfway."""

    def mix(
        self, base: object, top: object, blend: Blend, track: FaceTrack, *, keep: bool = False
    ) -> object: ...

    def with_dials(self, state: object, *, likeness: float, iris: float) -> object: ...


@runtime_checkable
class LipChoosing(Protocol):
    """A swapper that can leave the performer's own lips."""

    def with_lips(self, state: object, lips: float) -> object: ...


class NotReadyError(Exception):
    """A look asks for a persona that is not prepared; the text is its name."""


class Wings:
    """Prepared personas by name.

    ``call``, ``is_ready``, ``problem`` and ``close`` may be used from any thread;
    ``dress`` belongs to the thread that swaps.
    """

    def __init__(self, swapper: Preparing) -> None:
        self._swapper = swapper
        self._states: dict[str, object] = {}
        self._problems: dict[str, Exception] = {}
        self._stills: dict[Blend, object] = {}
        self._working = threading.Lock()
        self._closed = False

    def call(self, personas: Mapping[str, Loader], *, wait: bool = False) -> None:
        """Loads and prepares personas, one after the other, beside the frames.

        Args:
            personas: what loads each, by the name that looks will use.
            wait: return when all are done.

        Raises:
            Exception: with ``wait``, the first reason why one cannot be prepared.
        """
        if wait:
            self._prepare(personas)
            for name in personas:
                if name in self._problems:
                    raise self._problems[name]
            return
        threading.Thread(
            target=self._prepare, args=(dict(personas),), name="mien-wings", daemon=True
        ).start()

    def is_ready(self, name: str) -> bool:
        """True when the persona can be shown in the next frame."""
        return name in self._states

    def problem(self, name: str) -> Exception | None:
        """Why the persona could not be prepared, if it could not."""
        return self._problems.get(name)

    def dress(self, look: Look, track: FaceTrack) -> object:
        """What the swapper needs to draw a look on a face.

        Raises:
            NotReadyError: a persona of it is not prepared.
            ValueError: the look is bare or the slate; neither is drawn.
        """
        state = self._state(look.face, track, keep=False)
        if state is None:
            raise ValueError("a bare face is not drawn")
        if (look.likeness < 1.0 or look.iris < 1.0) and isinstance(self._swapper, Mixing):
            state = self._swapper.with_dials(state, likeness=look.likeness, iris=look.iris)
        if look.lips < 1.0 and isinstance(self._swapper, LipChoosing):
            state = self._swapper.with_lips(state, look.lips)
        return state

    def close(self) -> None:
        """Waits for what is being prepared, and forgets all."""
        self._closed = True
        with self._working:
            self._states.clear()
            self._stills.clear()

    def _prepare(self, personas: Mapping[str, Loader]) -> None:
        with self._working:
            for name, load in personas.items():
                if self._closed:
                    return
                try:
                    state = self._prepared(load())
                except Exception as error:
                    logger.warning("persona %s cannot be prepared: %s", name, error)
                    self._problems[name] = error
                    continue
                self._problems.pop(name, None)
                self._states[name] = state

    def _prepared(self, loaded: Persona | Wear) -> object:
        if not isinstance(loaded, Wear):
            return self._swapper.prepare(loaded)
        if not isinstance(self._swapper, Choosing):
            raise UsageError(
                f"there is one swapper here, and {loaded.persona.name} asks for {loaded.swapper!r}",
                "leave the swapper out",
            )
        return self._swapper.prepare_with(loaded.swapper, loaded.persona, loaded.fine)

    def _state(self, face: Face, track: FaceTrack, *, keep: bool) -> object:
        if face is None:
            return None
        if isinstance(face, str):
            state = self._states.get(face)
            if state is None:
                raise NotReadyError(face)
            return state
        if not isinstance(self._swapper, Mixing):
            return self._state(dominant(face), track, keep=False)
        return self._mixed(self._swapper, face, track, keep=keep)

    def _mixed(self, swapper: Mixing, blend: Blend, track: FaceTrack, *, keep: bool) -> object:
        if keep and blend in self._stills:
            return self._stills[blend]
        # A blend under another is a transition that was interrupted: it stands still, and is
        # mixed once.
        base = self._state(blend.base, track, keep=True)
        top = self._state(blend.top, track, keep=False)
        if base is None and top is None:
            return None
        mixed = swapper.mix(base, top, blend, track, keep=keep)
        if keep:
            if len(self._stills) >= _STILLS_KEPT:
                self._stills.pop(next(iter(self._stills)))
            self._stills[blend] = mixed
        return mixed
