"""Several swappers as one: each persona is drawn by the one that it asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast, get_args

from mien.config import PipelineConfig
from mien.errors import UsageError
from mien.look import Blend, Blending
from mien.personas.persona import Persona
from mien.swappers.dissolve import Draw, dissolve
from mien.swappers.registry import Swapper, chosen_swapper, make_swapper
from mien.types import FaceTrack, Frame, Patch

if TYPE_CHECKING:
    from mien.gpu import SharedFrame


class _Mixing(Protocol):
    def mix(
        self, base: object, top: object, blend: Blend, track: FaceTrack, *, keep: bool = False
    ) -> object: ...


class _Styling(Protocol):
    def prepare_mixed(self, persona: Persona, fine: Persona) -> object: ...


class _LipChoosing(Protocol):
    def with_lips(self, state: object, lips: float) -> object: ...


class _Dialled(Protocol):
    def with_dials(self, state: object, *, likeness: float, iris: float) -> object: ...


# A swapper that does not say what it can mix can mix in every way.
_ALL: tuple[Blending, ...] = get_args(Blending)


@dataclass(frozen=True, slots=True)
class _One:
    """A persona, or a mixture, that one swapper draws."""

    swapper: Swapper
    state: object


@dataclass(frozen=True, slots=True)
class _Two:
    """A mixture that is drawn twice; None is the performer's own face."""

    base: _State | None
    top: _State | None
    blend: Blend


_State = _One | _Two


class Ensemble:
    """Draws each persona with its own swapper; behaves as the first of them until asked.

    Two personas of one swapper are mixed by it, where it can; two of different swappers,
    or of one that cannot, dissolve into each other by their mattes.

    ``prepare`` and ``set_likeness`` may be called from any thread, the rest belongs to the
    one that swaps. Swappers are made when the first persona asks for them.

    Args:
        name: swapper of the personas that ask for none.
        config: settings of all.
        make: makes a swapper; replaced in tests.

    Raises:
        UsageError: no swapper has this name.
        ModelError: it cannot be loaded.
    """

    def __init__(
        self,
        name: str,
        config: PipelineConfig,
        make: Callable[[str, PipelineConfig], Swapper] = make_swapper,
    ) -> None:
        self.name = name
        self._config = config
        self._make = make
        self._making = threading.Lock()
        self._likeness: float | None = None
        self._first = make(name, config)
        self._swappers: dict[str, Swapper] = {self._first.name: self._first}
        self._frame_on_gpu: SharedFrame | None = None

    @property
    def where(self) -> list[str]:
        """What runs where, and why, in lines for people; empty where nothing was chosen."""
        lines: list[str] = []
        for swapper in list(self._swappers.values()):
            lines += getattr(swapper, "where", [])
        return lines

    @property
    def gpu_ms(self) -> float:
        """What the GPU has worked for all swappers so far, by its own clock."""
        return sum(float(getattr(one, "gpu_ms", 0.0)) for one in self._swappers.values())

    def lend(self, frame: SharedFrame) -> None:
        """Lets every swapper that can draw from pixels that are on the GPU already."""
        with self._making:
            self._frame_on_gpu = frame
            for swapper in self._swappers.values():
                _lend(swapper, frame)

    def prepare(self, persona: Persona) -> object:
        """The persona, ready to be drawn by the ensemble's own swapper."""
        return _One(self._first, self._first.prepare(persona))

    def prepare_with(self, swapper: str, persona: Persona, fine: Persona | None = None) -> object:
        """The persona, ready to be drawn by a swapper of its own.

        Args:
            swapper: its name; empty for the ensemble's own.
            persona: who.
            fine: whose skin it takes; None for its own.

        Raises:
            UsageError: no swapper has this name, or it cannot mix styles.
            MienError: it cannot draw this persona.
        """
        chosen = self._swapper(swapper) if swapper else self._first
        if fine is None:
            return _One(chosen, chosen.prepare(persona))
        if not hasattr(chosen, "prepare_mixed"):
            raise UsageError(
                f"the swapper {chosen.name} cannot give {persona.name} the skin of {fine.name}",
                'write swapper = "stylegan3" beside it',
            )
        return _One(chosen, cast(_Styling, chosen).prepare_mixed(persona, fine))

    def set_likeness(self, likeness: float) -> None:
        """As of the mesh swapper, for all that have the dial."""
        with self._making:
            self._likeness = likeness
            for swapper in self._swappers.values():
                _set_likeness(swapper, likeness)

    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch:
        """Draws a persona, or a mixture, on one face.

        Raises:
            TypeError: ``state`` was prepared by another.
        """
        if isinstance(state, _One):
            return state.swapper.swap(frame, track, state.state)
        if isinstance(state, _Two):
            base, top = (self._drawing(frame, track, part) for part in (state.base, state.top))
            return dissolve(frame, track, state.blend, base, top)
        raise TypeError(f"expected a state that Ensemble.prepare made, got {type(state)}")

    def mix(
        self, base: object, top: object, blend: Blend, track: FaceTrack, *, keep: bool = False
    ) -> object:
        """Two states as one; see :meth:`mien.swappers.mesh.MeshSwapper.mix`."""
        one, two = _state(base), _state(top)
        swappers = {part.swapper for part in (one, two) if isinstance(part, _One)}
        if not isinstance(one, _Two) and not isinstance(two, _Two) and len(swappers) == 1:
            swapper = swappers.pop()
            if blend.how in getattr(swapper, "mixes", _ALL) and hasattr(swapper, "mix"):
                mixed = cast(_Mixing, swapper).mix(
                    one and one.state, two and two.state, blend, track, keep=keep
                )
                return _One(swapper, mixed)
        return _Two(one, two, blend)

    def with_dials(self, state: object, *, likeness: float, iris: float) -> object:
        """The same with less of the persona's shape or iris colour, both 0..1."""
        if isinstance(state, _Two):
            base, top = (
                part and cast(_State, self.with_dials(part, likeness=likeness, iris=iris))
                for part in (state.base, state.top)
            )
            return _Two(base, top, state.blend)
        if not isinstance(state, _One):
            raise TypeError("the performer's own face has no dials")
        if not hasattr(state.swapper, "with_dials"):
            return state
        dialled = cast(_Dialled, state.swapper).with_dials(
            state.state, likeness=likeness, iris=iris
        )
        return _One(state.swapper, dialled)

    def with_lips(self, state: object, lips: float) -> object:
        """The same with so much of the persona's lips, 0..1, where a swapper can leave them."""
        if isinstance(state, _Two):
            base, top = (
                part and cast(_State, self.with_lips(part, lips))
                for part in (state.base, state.top)
            )
            return _Two(base, top, state.blend)
        if not isinstance(state, _One) or not hasattr(state.swapper, "with_lips"):
            return state
        return _One(state.swapper, cast(_LipChoosing, state.swapper).with_lips(state.state, lips))

    def is_refined(self, state: object) -> bool:
        """True where the refiner was trained on the swapper that draws this state."""
        if isinstance(state, _Two):
            return all(part is None or self.is_refined(part) for part in (state.base, state.top))
        return isinstance(state, _One) and bool(getattr(state.swapper, "refined", False))

    def close(self) -> None:
        """Closes all."""
        for swapper in self._swappers.values():
            swapper.close()

    def _swapper(self, name: str) -> Swapper:
        name = chosen_swapper(name)
        with self._making:
            if name not in self._swappers:
                made = self._make(name, self._config)
                if self._likeness is not None:
                    _set_likeness(made, self._likeness)
                if self._frame_on_gpu is not None:
                    _lend(made, self._frame_on_gpu)
                self._swappers[name] = made
            return self._swappers[name]

    def _drawing(self, frame: Frame, track: FaceTrack, state: _State | None) -> Draw | None:
        return None if state is None else partial(self.swap, frame, track, state)


def _state(state: object) -> _State | None:
    if state is not None and not isinstance(state, _One | _Two):
        raise TypeError(f"expected a state that Ensemble.prepare made, got {type(state)}")
    return state


def _set_likeness(swapper: Swapper, likeness: float) -> None:
    setter = getattr(swapper, "set_likeness", None)
    if setter is not None:
        setter(likeness)


def _lend(swapper: Swapper, frame: SharedFrame) -> None:
    lend = getattr(swapper, "lend", None)
    if lend is not None:
        lend(frame)
