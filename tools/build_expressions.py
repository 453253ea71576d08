"""Builds ``face_expressions.safetensors``: the expression units on the canonical face.

Needs two files of the synthetic head's release (CC0): ``face_basis.npz`` (what each of the
52 face units of MakeHuman / MPFB2 moves at a subset of the head's vertices) and
``mediapipe468_to_subset.npz`` (which of those vertices lies nearest to each vertex of the
canonical face), and a ground-truth clip for the head's neutral shape.

    python tools/build_expressions.py FOLDER [--check]

``--check`` compares with the shipped file instead of writing it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from mien.face_mesh import face_mesh

TARGET = Path(__file__).resolve().parents[1] / "engine/mien/models/face_expressions.safetensors"
METADATA = {"names": "ARKit order of MPFB2 faceunits01, sorted", "licence": "CC0-1.0"}


def build_units(folder: Path) -> np.ndarray:
    """(52, 468, 3) float16, canonical centimetres."""
    basis = np.load(folder / "face_basis.npz", allow_pickle=False)
    nearest = np.load(folder / "mediapipe468_to_subset.npz", allow_pickle=False)["index"]
    truth = np.load(folder / "clip1_groundtruth.npz", allow_pickle=False)
    neutral = truth["neutral_driver"][nearest]
    mesh = face_mesh()
    weights = (mesh.pose_weights / mesh.pose_weights.sum()).astype(np.float64)[:, None]
    wanted_mean = (weights * mesh.vertices).sum(axis=0)
    own_mean = (weights * neutral).sum(axis=0)
    # Similarity from head to canonical face (Umeyama 1991), fitted where expression is still.
    covariance = (mesh.vertices - wanted_mean).T @ (weights * (neutral - own_mean))
    left, stretch, right = np.linalg.svd(covariance)
    rotation = left @ right
    scale = stretch.sum() / (weights * (neutral - own_mean) ** 2).sum()
    units = basis["FU_subset"][:, nearest].astype(np.float64) @ rotation.T * scale
    return units.astype(np.float16)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    units = build_units(arguments.folder)
    if arguments.check:
        shipped = load_file(TARGET)["units"].astype(np.float32)
        difference = float(np.abs(shipped - units.astype(np.float32)).max())
        print(f"largest difference from the shipped file: {difference:.6f} cm")
        return int(difference > 0.002)
    save_file({"units": units}, TARGET, metadata=METADATA)
    print(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
