"""Jaw, blink and gaze from the strengths of ARKit-style face units."""

from __future__ import annotations

import numpy as np

from mien.types import F32Array


def motion_of_units(strengths: F32Array, units: list[str]) -> dict[str, F32Array]:
    """Jaw, blink and gaze of the strengths of ARKit-style face units.

    Args:
        strengths: (..., U) float32, 0..1.
        units: their names.

    Returns:
        ``jaw`` and ``blink`` (...,), ``gaze`` (..., 2) to the person's left and up; ``units``
        are the strengths themselves.
    """

    def mean(*names: str) -> F32Array:
        columns = [strengths[..., units.index(name)] for name in names]
        return np.asarray(np.mean(columns, axis=0), np.float32)

    left = mean("eyeLookOutLeft", "eyeLookInRight") - mean("eyeLookInLeft", "eyeLookOutRight")
    up = mean("eyeLookUpLeft", "eyeLookUpRight") - mean("eyeLookDownLeft", "eyeLookDownRight")
    return {
        "jaw": mean("jawOpen"),
        "blink": mean("eyeBlinkLeft", "eyeBlinkRight"),
        "gaze": np.stack([left, up], axis=-1),
        "units": np.asarray(strengths, np.float32),
    }
