"""dlib's network in PyTorch says what the ONNX file says, and lets gradients through."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

import onnxruntime  # noqa: E402

from mien.networks.face_features import (  # noqa: E402
    FaceFeatures,
    face_chips,
    feature_distance,
)
from mien.perception.descriptor import FaceDescriptor, chip_from_points  # noqa: E402
from tests.training.conftest import plain_landmarks  # noqa: E402

SIDE = 96


def picture(seed: int = 0) -> np.ndarray:
    """(96, 96, 3) uint8, smooth enough for two samplers to agree on."""
    small = np.random.default_rng(seed).uniform(0, 255, (1, 3, 9, 9)).astype(np.float32)
    large = torch.nn.functional.interpolate(torch.from_numpy(small), SIDE, mode="bicubic")
    return large[0].permute(1, 2, 0).clamp(0, 255).round().numpy().astype(np.uint8)


def test_the_descriptor_is_that_of_the_onnx_file() -> None:
    chip = np.random.default_rng(1).uniform(0, 255, (2, 3, 150, 150)).astype(np.float32)
    with as_file(files("mien.models").joinpath("dlib_face128.onnx")) as path:
        session = onnxruntime.InferenceSession(path)
        wanted = [session.run(None, {"input": one[None]})[0][0] for one in chip]
    features, found = FaceFeatures()(torch.from_numpy(chip))
    np.testing.assert_allclose(found.numpy(), np.stack(wanted), atol=1e-5)
    assert [feature.shape[1] for feature in features] == [32, 64, 128, 256]


def test_a_cut_chip_is_what_the_descriptor_looks_at() -> None:
    bgr, landmarks = picture(), plain_landmarks(SIDE, roll_deg=8.0)
    describer = FaceDescriptor()
    wanted = describer.describe(bgr, landmarks)
    describer.close()
    chips = face_chips(
        torch.from_numpy(bgr).permute(2, 0, 1)[None].float() / 255,
        torch.from_numpy(chip_from_points(landmarks))[None].float(),
    )
    _, found = FaceFeatures()(chips)
    # OpenCV places samples to a 32nd of a pixel and rounds to whole code values.
    assert np.linalg.norm(found[0].numpy() - wanted) < 0.02


def test_features_of_a_picture_pull_another_towards_it() -> None:
    network = FaceFeatures()
    there = torch.from_numpy(chip_from_points(plain_landmarks(SIDE)))[None].float()
    wanted = torch.from_numpy(picture(2)).permute(2, 0, 1)[None].float() / 255
    theirs, _ = network(face_chips(wanted, there))
    apart = []
    for share in (0.0, 0.3, 0.6, 0.9, 1.0):
        mine = (wanted * share + 0.5 * (1 - share)).requires_grad_()
        distance = feature_distance(network(face_chips(mine, there))[0], theirs)
        apart.append(float(distance.detach()))
        (slope,) = torch.autograd.grad(distance, mine)
        if share < 1:
            assert float((slope * (wanted - mine.detach())).sum()) < 0
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] == 0
    assert not any(parameter.requires_grad for parameter in network.parameters())
