"""Rebuild the model files that ship with mien from public packages, and check them.

    pip install "mediapipe==0.10.21" onnx onnxruntime tflite flatbuffers safetensors
    python tools/convert_models.py            rebuild, compare with the committed files
    python tools/convert_models.py --write    rebuild and replace them

Downloads three packages by name, through pip and npm: ``mediapipe`` 0.10.21 (PyPI,
Apache-2.0; any platform's wheel holds the same models), ``face-recognition-models``
0.3.0 (PyPI, CC0) and ``@mediapipe/face_mesh`` 0.4.1657299874 (npm, Apache-2.0).
Rebuilt and committed files are compared by what they compute, not byte by byte: names
of nodes and the exporter's version may differ. After ``--write``, put the printed hashes
into ``engine/mien/models/catalogue.toml``.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from convert_attention import merge_landmarks
from convert_canonical_face import asset_of, convert_canonical_face
from convert_dlib import convert_recognition
from convert_onnx_graph import Array
from convert_tflite import TfliteGraph, convert_detector
from safetensors.numpy import load_file, save_file

MODELS = Path(__file__).resolve().parents[1] / "engine" / "mien" / "models"
MEDIAPIPE = "mediapipe==0.10.21"
RECOGNITION = "face-recognition-models==0.3.0"
FACE_MESH = "@mediapipe/face_mesh@0.4.1657299874"

# Largest difference of any output value over random inputs. The folded constants are the
# same numbers, so only the order of float32 sums may differ; descriptors are unit-sized,
# landmarks in crop pixels, box regressors up to some hundred pixels.
TOLERANCE = 1e-3


def fetch(folder: Path) -> tuple[Path, Path, Path]:
    """The three packages, downloaded into a folder unless they lie there already."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    if not list(folder.glob("mediapipe-*.whl")):
        subprocess.run([*pip, MEDIAPIPE], check=True)
    if not list(folder.glob("face_recognition_models-*")):
        subprocess.run([*pip, RECOGNITION], check=True)
    if not list(folder.glob("mediapipe-face_mesh-*.tgz")):
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("npm is needed to fetch the canonical face; install Node.js")
        subprocess.run([npm, "pack", "--silent", FACE_MESH], check=True, cwd=folder)
    patterns = ("mediapipe-*.whl", "face_recognition_models-*", "mediapipe-face_mesh-*.tgz")
    wheel, recognition, face_mesh = (next(folder.glob(pattern)) for pattern in patterns)
    return wheel, recognition, face_mesh


def member(package: Path, ending: str) -> bytes:
    """The one file of a wheel or tarball whose path ends like this."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            (name,) = (n for n in wheel.namelist() if n.endswith(ending))
            return wheel.read(name)
    with tarfile.open(package) as archive:
        (entry,) = (m for m in archive.getmembers() if m.name.endswith(ending))
        file = archive.extractfile(entry)
        assert file is not None
        return file.read()


def build(packages: Path, out: Path) -> list[Path]:
    """Every model file, written to ``out``."""
    wheel, recognition, face_mesh = fetch(packages)
    modules = "mediapipe/modules/"
    plans: list[tuple[str, Callable[[str], onnx.ModelProto]]] = [
        (
            "face_detection_short_range",
            lambda name: convert_detector(
                member(wheel, modules + "face_detection/face_detection_short_range.tflite"), name
            ),
        ),
        (
            "face_detection_full_range",
            lambda name: convert_detector(
                member(wheel, modules + "face_detection/face_detection_full_range_sparse.tflite"),
                name,
            ),
        ),
        (
            "face_landmark_with_attention_relu",
            lambda name: merge_landmarks(
                TfliteGraph(
                    member(wheel, modules + "face_landmark/face_landmark_with_attention.tflite")
                ),
                name,
            ),
        ),
        (
            "dlib_face128",
            lambda name: convert_recognition(
                member(recognition, "models/dlib_face_recognition_resnet_model_v1.dat"), name
            ),
        ),
    ]
    written = []
    for name, convert in plans:
        path = out / f"{name}.onnx"
        onnx.save(convert(name), path)
        written.append(path)
    loader = member(face_mesh, "face_mesh_solution_packed_assets_loader.js").decode()
    packed = member(face_mesh, "face_mesh_solution_packed_assets.data")
    path = out / "canonical_face.safetensors"
    save_file(convert_canonical_face(asset_of(loader, packed)), path)
    return [*written, path]


def difference(rebuilt: Path, committed: Path) -> float:
    """Largest difference between two model files: of outputs, or of stored arrays."""
    if rebuilt.suffix == ".safetensors":
        first, second = load_file(rebuilt), load_file(committed)
        if first.keys() != second.keys():
            return float("inf")
        return max(float(np.abs(first[k] - second[k]).max()) for k in first)
    sessions = [
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for path in (rebuilt, committed)
    ]
    worst = 0.0
    for picture in _pictures(sessions[0]):
        results = [session.run(None, {"input": picture}) for session in sessions]
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(*results, strict=True)))
    return worst


def _pictures(session: onnxruntime.InferenceSession) -> list[Array]:
    """Random inputs, coarse like pictures and fine like noise, in the model's range."""
    shape = [size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape]
    top = 255.0 if shape[2] == 150 else 1.0
    rng = np.random.default_rng(0)
    pictures = []
    for grain in (1, 2, shape[2] // 8, shape[2] // 4):
        small = rng.uniform(0, top, (1, 3, -(-shape[2] // grain), -(-shape[3] // grain)))
        full = small.repeat(grain, axis=2).repeat(grain, axis=3)[:, :, : shape[2], : shape[3]]
        pictures.append(full.astype(np.float32))
    return pictures


def main() -> int:
    """Rebuild, compare, and report; 1 when a rebuilt file computes something else."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, help="folder in which downloads are kept")
    parser.add_argument("--write", action="store_true", help="replace the committed files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        packages = options.packages or Path(scratch) / "packages"
        out = Path(scratch) / "out"
        packages.mkdir(parents=True, exist_ok=True)
        out.mkdir()
        failed = False
        for path in build(packages, out):
            committed = MODELS / path.name
            gap = difference(path, committed) if committed.exists() else float("inf")
            failed |= gap > TOLERANCE
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            size = path.stat().st_size
            print(f"{path.name:40} {size:>10} bytes  largest difference {gap:.2e}  {digest}")
            if options.write:
                shutil.copyfile(path, committed)
    return int(failed and not options.write)


if __name__ == "__main__":
    raise SystemExit(main())
