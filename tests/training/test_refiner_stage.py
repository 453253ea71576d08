"""The stage that runs the refiner mends where it should and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

import onnxruntime as ort  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from mien.errors import ModelError  # noqa: E402
from mien.networks.refiner import Refiner  # noqa: E402
from mien.networks.refiner_onnx import export_refiner  # noqa: E402
from mien.perception.pose import estimate_pose  # noqa: E402
from mien.refiner_view import INPUT_CHANNELS, VIEW_SIZE, crop_landmarks  # noqa: E402
from mien.refining import RefinerStage  # noqa: E402
from mien.types import F32Array, FaceTrack, Patch, U8Array  # noqa: E402

from .conftest import plain_landmarks  # noqa: E402


def _export(network: Refiner, folder: Path) -> Path:
    weights = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "w.safetensors")
    export_refiner(folder / "w.safetensors", folder / "r.onnx")
    return folder / "r.onnx"


class _Saying:
    """A session that always says one log gain, whatever it sees."""

    def __init__(self, log_gain: float) -> None:
        self.answer = [np.full((1, 3, 12, 12), log_gain, np.float32)]

    def run(self, _names: object, _inputs: object) -> list[F32Array]:
        return self.answer


def _stage(folder: Path, log_gain: float, strength: float = 1.0) -> RefinerStage:
    stage = RefinerStage(_export(Refiner(), folder), strength=strength)
    stage._session = cast(Any, _Saying(log_gain))
    return stage


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
    inputs = torch.rand(1, INPUT_CHANNELS, VIEW_SIZE, VIEW_SIZE)
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    inputs[:, 6, 10:40, 12:36] = 1.0
    (got,) = session.run(None, {"inputs": inputs.numpy()})
    with torch.no_grad():
        wanted = network(inputs).numpy()
    assert np.ptp(wanted) > 0.01
    # Sums in another order: FP32 over some thousand terms.
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_an_untrained_refiner_leaves_the_frame_alone(tmp_path: Path) -> None:
    stage = RefinerStage(_export(Refiner(), tmp_path))
    frame, track, patch = _scene()
    np.testing.assert_array_equal(_refined(stage, frame, track, patch), frame)


def test_the_gain_reaches_as_far_as_the_patch(tmp_path: Path) -> None:
    stage = _stage(tmp_path, 0.25)
    frame, track, patch = _scene()
    frame[:] = cv2.GaussianBlur(frame, (0, 0), 20)
    out = _refined(stage, frame, track, patch).astype(np.float32)
    gain = np.exp(0.25)
    # 2 code values: rounding, and a crop of half the frame's resolution.
    np.testing.assert_allclose(out[150:250, 150:250], frame[150:250, 150:250] * gain, atol=2)
    outside = np.ones(frame.shape[:2], bool)
    # A pixel that the network sees is four to five of the frame's, and is spread over two.
    outside[50:350, 70:330] = False
    np.testing.assert_allclose(out[outside], frame[outside], atol=1)


def test_a_bare_face_stays_as_it_is_and_half_a_persona_is_mended_by_half(tmp_path: Path) -> None:
    stage = _stage(tmp_path, 0.25)
    frame, track, patch = _scene()
    frame[:] = 100
    full, half, bare = (
        _refined(stage, frame, track, replace(patch, matte=np.full_like(patch.matte, share)))
        for share in (255, 128, 0)
    )
    np.testing.assert_array_equal(bare, frame)
    cheek = track.landmarks[50, :2].round().astype(int)
    log_gains = [np.log(out[cheek[1], cheek[0], 1] / 100) for out in (half, full)]
    # 1 code value of rounding is a hundredth.
    assert log_gains[0] == pytest.approx(log_gains[1] * 128 / 255, abs=0.015)


def test_detail_is_lit_and_not_smoothed(tmp_path: Path) -> None:
    """What is finer than a cell of the gain keeps its contrast or gains some."""
    stage = _stage(tmp_path, 0.25)
    frame, track, patch = _scene()
    out = _refined(stage, frame, track, patch)[150:250, 150:250]
    assert out.std() >= frame[150:250, 150:250].std()


def test_strength_nought_changes_nothing(tmp_path: Path) -> None:
    frame, track, patch = _scene()
    out = _refined(_stage(tmp_path, 0.5, strength=0.0), frame, track, patch)
    np.testing.assert_array_equal(out, frame)


def test_the_gain_of_one_frame_does_not_jump(tmp_path: Path) -> None:
    """The newest gain counts half, until the face is a new one."""
    stage = _stage(tmp_path, 0.25)
    frame, track, patch = _scene()
    old = replace(track, age=5)
    stage._gains[1] = np.zeros((12, 12, 3), np.float32)
    damped = _refined(stage, frame, old, patch)[150:250, 150:250].mean()
    again = _refined(stage, frame, old, patch)[150:250, 150:250].mean()
    stage._gains.clear()
    full = _refined(stage, frame, old, patch)[150:250, 150:250].mean()
    plain = frame[150:250, 150:250].mean()
    assert plain + 5 < damped < again - 2 < full - 4
    np.testing.assert_allclose(_refined(stage, frame, track, patch)[150:250, 150:250].mean(), full)


@pytest.mark.parametrize("shift", [(-260.0, 0.0), (150.0, 170.0), (900.0, 0.0)])
def test_faces_that_leave_the_picture_do_no_harm(
    tmp_path: Path, shift: tuple[float, float]
) -> None:
    stage = _stage(tmp_path, 0.25)
    frame, track, patch = _scene(shift)
    out = _refined(stage, frame, track, patch)
    assert out.shape == frame.shape
    inside = crop_landmarks(track.landmarks, stage.look(frame, track).place.transform)
    assert np.isfinite(inside).all()


def test_what_is_no_refiner_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"x\.onnx"):
        RefinerStage(tmp_path / "x.onnx")
    save_file({"stem.weight": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="does not hold a refiner"):
        export_refiner(tmp_path / "x.safetensors", tmp_path / "y.onnx")
    assert not (tmp_path / "y.onnx").exists()
