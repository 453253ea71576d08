"""Which swappers exist, by name: entry points of the group ``mien.swappers``."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

from mien.config import PipelineConfig
from mien.errors import ModelError, UsageError
from mien.personas.persona import Persona
from mien.types import FaceTrack, Frame, Patch

GROUP = "mien.swappers"

AUTO = "auto"
"""Stands for the swapper that scores best on the truth benchmark at the speed of a camera."""

# What the benchmark says today: docs/benchmarks.md, "Truth".
_BEST = "mesh"


class Swapper(Protocol):
    """Draws a persona on a track.

    ``swap`` belongs to one thread; ``prepare`` may run in another at the same time.
    """

    name: str

    def prepare(self, persona: Persona) -> object:
        """Everything that depends on the persona alone; may take seconds."""

    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch:
        """The persona drawn on one face. The patch is valid until the next call; the frame may be
        painted into inside of it, and nowhere else."""

    def close(self) -> None:
        """Releases buffers, networks and devices."""


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def swapper_names() -> list[str]:
    """Names of all installed swappers, sorted."""
    return sorted(_registered())


def chosen_swapper(name: str) -> str:
    """The name itself, or what ``auto`` stands for.

    Raises:
        UsageError: no swapper has this name.
    """
    known = swapper_names()
    chosen = _BEST if name == AUTO else name
    if chosen not in known:
        listed = ", ".join([AUTO, *known]) if known else "none; reinstall mien"
        raise UsageError(f"no swapper is called {name!r}", f"choose one of: {listed}")
    return chosen


def make_swapper(name: str, config: PipelineConfig) -> Swapper:
    """A new swapper.

    Raises:
        UsageError: no swapper has this name.
        ModelError: it is installed but cannot be loaded.
    """
    chosen = chosen_swapper(name)
    try:
        factory = _registered()[chosen].load()
    except ImportError as error:
        raise ModelError(
            f"swapper {chosen!r} cannot be loaded: {error}", "run `mien doctor`"
        ) from error
    return cast(Swapper, factory(config))
