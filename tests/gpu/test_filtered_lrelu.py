"""filtered_lrelu on a GPU gives what the CPU's loop gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien import _kernels
from mien.gpu import Gpu
from mien.gpu.filtered_lrelu import filtered_lrelu
from tests.gpu.backends import GpuBackend
from tests.gpu.conftest import Machine


@pytest.fixture(params=[pytest.param("cuda", marks=pytest.mark.gpu), "cuda sources on the host"])
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "cuda":
        from mien.gpu import GpuKernels

        with Gpu() as opened:
            kernels = GpuKernels(opened)
            yield GpuBackend(opened, kernels)
            kernels.close()
        return
    machine: Machine = request.getfixturevalue("machine")
    opened = request.getfixturevalue("gpu")
    kernels = machine.kernels(opened)
    yield GpuBackend(opened, kernels)
    kernels.close()


def on_gpu(backend: GpuBackend, *arguments: Any, **named: Any) -> None:
    kernels = backend.kernels
    kernels.filtered_lrelu = lambda *a, **n: filtered_lrelu(kernels, *a, **n)  # type: ignore
    backend("filtered_lrelu", *arguments, **named)


def out_size(size: int, up: int, down: int, pad: int, up_taps: int, down_taps: int) -> int:
    return (size * up + 2 * pad - (up_taps - 1) - (down_taps - 1) + down - 1) // down


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(
    ("up", "down", "up_taps", "down_taps", "size"),
    [
        (2, 2, 12, 12, (17, 13)),
        (4, 2, 24, 12, (9, 11)),
        (1, 1, 1, 1, (5, 5)),
        (2, 4, 6, 12, (40, 9)),
    ],
)
@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("mode", [0, 1])
def test_it_agrees_with_the_cpu(
    backend: GpuBackend,
    dtype: Any,
    up: int,
    down: int,
    up_taps: int,
    down_taps: int,
    size: tuple[int, int],
    radial: bool,
    mode: int,
) -> None:
    rng = np.random.default_rng(3)
    real: Any = np.float64 if dtype == np.float64 else np.float32
    x = rng.normal(size=(2, 3, *size)).astype(dtype)
    bias = rng.normal(size=3).astype(real)
    rise = rng.normal(size=(up_taps,) * (1 + radial)).astype(real)
    fall = rng.normal(size=(down_taps,) * (1 + radial)).astype(real)
    pad = 5 if up_taps > 1 else 0
    shape = [out_size(n, up, down, pad, up_taps, down_taps) for n in size]
    y = np.zeros((2, 3, *shape), dtype)
    cpu_y = np.zeros(y.shape, real)
    raised = [(n - 1) * down + down_taps for n in shape]
    codes, cpu_codes = (np.zeros((2, 3, *raised), np.uint8) if mode else None for _ in range(2))
    settings = (up, down, pad, pad, 1.3, 0.2, 2.5)
    on_gpu(backend, x, y, bias, rise, fall, *settings, mode=mode, codes=codes)
    _kernels.filtered_lrelu(
        x.astype(real), cpu_y, bias, rise, fall, *settings, mode=mode, codes=cpu_codes
    )
    scale = np.abs(cpu_y).max()
    # The CPU sums in another order; half precision is rounded once, when stored.
    bound = {"float64": 1e-13, "float32": 2e-5, "float16": 1e-3}[np.dtype(dtype).name]
    assert np.abs(y - cpu_y).max() <= bound * scale
    if codes is not None and dtype != np.float16:
        # A value within rounding of zero or of the clamp may go either way.
        assert (codes != cpu_codes).mean() < 1e-3


def test_filters_that_fit_no_block_are_refused(machine: Machine, gpu: Gpu) -> None:
    kernels = machine.kernels(gpu)
    x = kernels.pool.packed((1, 1, 8, 8), np.float64)
    taps = kernels.pool.packed((200, 200), np.float64)
    with pytest.raises(ValueError, match="do not fit a block's memory"):
        filtered_lrelu(kernels, x, x, None, taps, taps, 2, 2, 0, 0, 1.0, 0.2, -1.0)
    kernels.close()
