"""The PyTorch runner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from mien.inference.runner import Runner  # noqa: E402
from mien.inference.torch import TorchRunner  # noqa: E402


def test_it_draws_the_picture(generator: Any, inputs: dict[str, Any], expected: Any) -> None:
    with TorchRunner(generator, threads=1) as runner:
        assert isinstance(runner, Runner)
        runner.warm_up(1)
        picture = runner.run(inputs)["image"]
        np.testing.assert_allclose(picture, expected, atol=2e-5)
        kept = runner.run(inputs, to_host=False)["image"]
        assert isinstance(kept, torch.Tensor)


def test_the_callers_generator_stays_as_it_is(
    generator: Any, inputs: dict[str, Any], expected: Any
) -> None:
    with TorchRunner(generator, precision="bf16", threads=1) as runner:
        rough = runner.run(inputs)["image"]
    # bfloat16 keeps 8 bits: 10 layers of it stay within 0.1 of a picture in -1..1.
    assert 1e-4 < np.abs(rough - expected).max() < 0.1
    assert generator.synthesis.compute_dtype == torch.float32


def test_the_process_thread_count_is_put_back(generator: Any, inputs: dict[str, Any]) -> None:
    before = torch.get_num_threads()
    with TorchRunner(generator, threads=before + 1) as runner:
        runner.run(inputs)
    assert torch.get_num_threads() == before


def test_tensors_go_in_as_they_are(generator: Any, inputs: dict[str, Any], expected: Any) -> None:
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    with TorchRunner(generator, threads=1) as runner:
        np.testing.assert_allclose(runner.run(tensors)["image"], expected, atol=2e-5)
        with pytest.raises(ValueError, match=r"expected ws .* float32, got .* float64"):
            runner.run({**tensors, "ws": tensors["ws"].double()})
        with pytest.raises(ValueError, match="expected the inputs"):
            runner.run({})
    with pytest.raises(RuntimeError, match="closed"):
        runner.run(tensors)


@pytest.mark.skipif(torch.version.cuda is not None, reason="this PyTorch has CUDA")
def test_cuda_is_refused_where_the_build_has_none(generator: Any) -> None:
    with pytest.raises(DeviceError, match="built without CUDA"):
        TorchRunner(generator, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_recorded_graph_draws_the_same(
    generator: Any, inputs: dict[str, Any], expected: Any
) -> None:
    with TorchRunner(generator, device="cuda") as runner:
        for _ in range(3):
            picture = runner.run(inputs)["image"]
            np.testing.assert_allclose(picture, expected, atol=1e-3)  # TF32 is allowed to differ
