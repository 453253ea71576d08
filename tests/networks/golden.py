"""Golden tensors: two random-weight models and what they must draw.

The files in ``tests/data`` hold all weights and latents; pictures and activations are thinned
out to keep the repository small. Where the full set is at hand, it is tested as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

F32Array = npt.NDArray[np.float32]

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "stylegan3"
FULL = ROOT.parent / "shared" / "golden" / "stylegan3"


@dataclass(frozen=True)
class Golden:
    name: str
    weights: Path
    description: dict[str, Any]
    arrays: dict[str, F32Array]
    thinned: bool

    def reduce(self, key: str, values: F32Array) -> F32Array:
        """``values`` at the samples that the file keeps of ``key``."""
        if not self.thinned or not key.startswith(("img_", "act_")):
            return values
        if key.startswith("img_"):
            step = 2 if values.shape[0] <= 2 else 3
            return values[:, :, ::step, ::step]
        channels, step = max(1, values.shape[1] // 8), max(3, values.shape[2] // 12)
        return values[:, ::channels, ::step, ::step]

    def error(self, key: str, values: npt.ArrayLike) -> F32Array:
        """Absolute differences from the golden array."""
        found = self.reduce(key, np.asarray(values, dtype=np.float32))
        expected = self.arrays[key]
        assert found.shape == expected.shape
        difference: F32Array = np.abs(found - expected)
        return difference

    def stacked(self, count: int) -> F32Array:
        """Untruncated latents (count, num_ws, w_dim) of the first ``count`` seeds."""
        num_ws = self.description["num_ws"]
        return np.repeat(self.arrays["w"][:count, None], num_ws, axis=1)


def load_golden(folder: Path, name: str) -> Golden:
    with np.load(folder / f"{name}_golden.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    description = json.loads((folder / f"{name}.json").read_text())
    weights = folder / f"{name}.safetensors"
    return Golden(name, weights, description, arrays, thinned=folder == DATA)
