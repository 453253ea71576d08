"""The stage that runs the refiner mends where it should and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

import onnxruntime as ort  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from mien.errors import ModelError  # noqa: E402
from mien.networks.refiner import INPUT_CHANNELS, Refiner  # noqa: E402
from mien.networks.refiner_onnx import export_refiner  # noqa: E402
from mien.perception.pose import estimate_pose  # noqa: E402
from mien.refiner_view import CROP_SIZE, crop_landmarks  # noqa: E402
from mien.refining import RefinerStage  # noqa: E402
from mien.types import F32Array, FaceTrack, Patch, U8Array  # noqa: E402

from .conftest import plain_landmarks  # noqa: E402


def _export(network: Refiner, folder: Path) -> Path:
    weights = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "w.safetensors")
    export_refiner(folder / "w.safetensors", folder / "r.onnx")
    return folder / "r.onnx"


def _shading(residual: float, keep: float = 20.0) -> Refiner:
    """A refiner that always adds ``reach * tanh(residual)`` and keeps the persona."""
    network = Refiner()
    with torch.no_grad():
        network.head.bias[:12] = residual
        network.head.bias[12:] = keep
    return network


def _track(landmarks: F32Array) -> FaceTrack:
    return FaceTrack(
        track_id=1, landmarks=landmarks, pose=estimate_pose(landmarks), quality=1.0, age=0,
        is_performer=True,
    )  # fmt: skip


def _scene(shift: tuple[float, float] = (0.0, 0.0)) -> tuple[U8Array, FaceTrack, Patch]:
    landmarks = plain_landmarks(400.0)
    landmarks[:, :2] += shift
    frame = np.random.default_rng(3).integers(40, 160, (400, 400, 3), np.uint8)
    patch = Patch(
        left=80, top=60, bgr=frame[60:340, 80:320].copy(), matte=np.full((280, 240), 255, np.uint8)
    )
    return frame, _track(landmarks), patch


def _refined(stage: RefinerStage, frame: U8Array, track: FaceTrack, patch: Patch) -> U8Array:
    view = stage.look(frame, track)
    out = frame.copy()
    stage.refine(out, patch, track, view)
    return out


def test_the_exported_file_gives_what_the_network_gives(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = Refiner()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((torch.randn_like(parameter) * 0.05).half())
    model = _export(network, tmp_path)
    assert model.stat().st_size < 3_000_000
    inputs = torch.rand(1, INPUT_CHANNELS, CROP_SIZE, CROP_SIZE)
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"inputs": inputs.numpy()})
    with torch.no_grad():
        wanted = network(inputs).numpy()
    assert np.ptp(wanted) > 0.05
    # Sums in another order: FP32 over some thousand terms.
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_an_untrained_refiner_leaves_an_unswapped_frame_alone(tmp_path: Path) -> None:
    stage = RefinerStage(_export(Refiner(), tmp_path))
    frame, track, patch = _scene()
    # 1 code value: rounding after the blend.
    np.testing.assert_allclose(_refined(stage, frame, track, patch), frame, atol=1)


def test_the_mending_reaches_the_face_and_stops_at_the_crop(tmp_path: Path) -> None:
    stage = RefinerStage(_export(_shading(0.2), tmp_path))
    frame, track, patch = _scene()
    out = _refined(stage, frame, track, patch).astype(int)
    gain = 0.6 * np.tanh(0.2) * 255
    np.testing.assert_allclose(out[150:250, 150:250] - frame[150:250, 150:250], gain, atol=1.5)
    top, bottom, left, right = stage.look(frame, track).region
    outside = np.ones(frame.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert outside.any()
    assert (out[outside] == frame[outside]).all()


def test_strength_nought_changes_nothing(tmp_path: Path) -> None:
    model = _export(_shading(1.0, keep=-9.0), tmp_path)
    frame, track, patch = _scene()
    out = _refined(RefinerStage(model, strength=0.0), frame, track, patch)
    np.testing.assert_array_equal(out, frame)


def test_a_closed_gate_shows_the_performer(tmp_path: Path) -> None:
    stage = RefinerStage(_export(_shading(0.3, keep=-30.0), tmp_path))
    frame, track, patch = _scene()
    view = stage.look(frame, track)
    swapped = np.full_like(frame, 200)
    stage.refine(swapped, patch, track, view)
    np.testing.assert_allclose(
        swapped[150:250, 150:250].astype(int), frame[150:250, 150:250], atol=1
    )


@pytest.mark.parametrize("shift", [(-260.0, 0.0), (150.0, 170.0), (900.0, 0.0)])
def test_faces_that_leave_the_picture_do_no_harm(
    tmp_path: Path, shift: tuple[float, float]
) -> None:
    stage = RefinerStage(_export(_shading(0.2), tmp_path))
    frame, track, patch = _scene(shift)
    out = _refined(stage, frame, track, patch)
    assert out.shape == frame.shape
    inside = crop_landmarks(track.landmarks, stage.look(frame, track).transform)
    assert np.isfinite(inside).all()


def test_what_is_no_refiner_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"x\.onnx"):
        RefinerStage(tmp_path / "x.onnx")
    save_file({"stem.weight": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="does not hold a refiner"):
        export_refiner(tmp_path / "x.safetensors", tmp_path / "y.onnx")
    assert not (tmp_path / "y.onnx").exists()
