"""What the studio's other process may run in place of a search; it imports this by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.errors import PhotoError
from mien.personas import Persona

Progress = Callable[[float], None]


def quick(persona: Persona, photos: Sequence[Path], progress: Progress) -> Persona:
    """Finds something at once; how much depends on the photos."""
    progress(0.5)
    rows = np.full((2, 256), sum(len(photo.read_bytes()) for photo in photos), np.float32)
    return replace(persona, latents={**persona.latents, "live-test": rows})


def endless(persona: Persona, photos: Sequence[Path], progress: Progress) -> Persona:
    """Gets as far as a quarter."""
    progress(0.25)
    while True:
        time.sleep(0.01)


def in_vain(persona: Persona, photos: Sequence[Path], progress: Progress) -> Persona:
    """Finds nothing and says why."""
    raise PhotoError("no face in sight", "turn on the light")


def broken(persona: Persona, photos: Sequence[Path], progress: Progress) -> Persona:
    """Meets a fault of its own."""
    raise RuntimeError("out of order")
