"""The fused nonlinearity: by hand, against the plain form, its derivatives, its bad inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import _kernels

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from mien.inference.filtered_lrelu import fused_filtered_lrelu  # noqa: E402
from mien.networks.stylegan3.filtered_lrelu import filtered_lrelu  # noqa: E402

# Sums of the same products in another order: some 600 of them at most, of size about 1, in
# float32; in float64 the same with 2^29 times less.
LIMIT = {torch.float32: 2e-5, torch.float64: 1e-13}
LEVELS = [4, 3, 0, -1]  # x86-64-v4, v3, the build's own, the tiles of the CUDA kernel


def native(
    x: Any,
    up_taps: Any,
    down_taps: Any,
    bias: Any,
    up: int,
    down: int,
    padding: Any,
    clamp: Any,
    level: int,
    threads: int = 1,
) -> Any:
    """The extension module, called with the plain form's arguments."""
    left, right, top, bottom = padding
    size = []
    for n, before, after in ((x.shape[2], top, bottom), (x.shape[3], left, right)):
        raised = n * up + before + after - (up_taps.shape[0] - 1)
        size.append((raised - down_taps.shape[0]) // down + 1)
    y = np.full((*x.shape[:2], *size), np.nan, x.numpy().dtype)
    gain = up if up_taps.ndim == 1 else up * up
    _kernels.filtered_lrelu(
        x.numpy(),
        y,
        None if bias is None else bias.numpy(),
        np.ascontiguousarray(np.flip(up_taps.numpy())) * gain,
        np.ascontiguousarray(np.flip(down_taps.numpy())),
        up,
        down,
        top,
        left,
        math.sqrt(2),
        0.2,
        -1.0 if clamp is None else clamp,
        level=level,
        threads=threads,
    )
    return torch.from_numpy(y)


def test_a_case_worked_by_hand() -> None:
    # x = [1, -2], bias 1 -> [2, -1]; up 2 with box taps [1, 1] (gain 2): [4, 4, -2, -2];
    # slope 0.5, gain 1, clamp 3: [3, 3, -1, -1]; down 2 with [0.5, 0.5]: [3, -1]. Two rows alike.
    x = np.array([[[[1, -2], [1, -2]]]], np.float32)
    y = np.zeros((1, 1, 2, 2), np.float32)
    up, down = np.array([2, 2], np.float32), np.array([0.5, 0.5], np.float32)
    bias = np.ones(1, np.float32)
    for level in LEVELS:
        _kernels.filtered_lrelu(x, y, bias, up / 1, down, 2, 2, 1, 1, 1.0, 0.5, 3.0, level=level)
        # Rows and columns both carry the gain of 2: 8 and -4 before the activation.
        np.testing.assert_array_equal(y[0, 0], [[3, -2], [3, -2]])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_version_agrees_with_the_plain_form(data: st.DataObject) -> None:
    up, down = data.draw(st.sampled_from([1, 2, 4])), data.draw(st.sampled_from([1, 2, 4]))
    # A filter of one tap goes with a factor of one.
    up_taps = data.draw(st.sampled_from([1, 3, 12, 24] if up == 1 else [3, 12, 24]))
    down_taps = data.draw(st.integers(1 if down == 1 else 2, 13))
    height, width = data.draw(st.integers(1, 19)), data.draw(st.integers(1, 37))
    channels = data.draw(st.sampled_from([1, 3, 16, 17, 33]))
    padding = tuple(data.draw(st.integers(-5, 14)) for _ in range(4))
    for size, before, after in ((height, *padding[2:]), (width, *padding[:2])):
        # The plain form cuts before it filters: something must be left.
        if size * up + min(before, 0) + min(after, 0) < 1:
            return
        if size * up + before + after - (up_taps - 1) < down_taps:
            return
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))

    def draw(*shape: int) -> Any:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

    x = draw(data.draw(st.integers(1, 2)), channels, height, width)
    if data.draw(st.booleans()):
        x = x.contiguous(memory_format=torch.channels_last)
    # Filters of unit gain keep every value near 1.
    taps = [draw(*((t,) if data.draw(st.booleans()) else (t, t))) for t in (up_taps, down_taps)]
    taps = [t / t.norm() for t in taps]
    bias = draw(channels) if data.draw(st.booleans()) else None
    clamp = data.draw(st.sampled_from([None, 0.5, 256.0]))
    wanted = filtered_lrelu(x, taps[0], taps[1], bias, up, down, padding, math.sqrt(2), 0.2, clamp)
    for level in LEVELS:
        threads = data.draw(st.sampled_from([1, 3]))
        got = native(x, taps[0], taps[1], bias, up, down, padding, clamp, level, threads)
        assert got.shape == wanted.shape
        scale = max(1.0, float(wanted.abs().max()))
        assert float((got - wanted).abs().max()) <= LIMIT[dtype] * scale, level


def test_the_result_does_not_depend_on_threads_or_layout() -> None:
    x = torch.randn(1, 40, 50, 21)
    taps = torch.randn(12), torch.randn(12)
    for level in LEVELS:
        first = native(x, *taps, None, 2, 2, (9, 8, 9, 8), 256.0, level)
        last = x.contiguous(memory_format=torch.channels_last)
        for other, threads in ((x, 4), (last, 1), (last, 2)):
            again = native(other, *taps, None, 2, 2, (9, 8, 9, 8), 256.0, level, threads)
            assert torch.equal(first, again)


def test_a_constant_stays_constant_away_from_the_edge() -> None:
    # Filters of unit sum pass a constant; the nonlinearity maps it on its own.
    taps = torch.hann_window(12, periodic=False)
    taps = taps / taps.sum()
    x = torch.full((1, 2, 24, 24), -3.0)
    y = fused_filtered_lrelu(x, taps, taps, None, 2, 2, (9, 8, 9, 8), 1.0, 0.2, None)
    inner = y[:, :, 8:-8, 8:-8]
    # The two phases of the taps sum to a half each only nearly: 1e-4 of the value.
    torch.testing.assert_close(inner, torch.full_like(inner, -0.6), rtol=2e-3, atol=0)


CASES = [
    (2, 2, (6,), (6, 6), (5, 4, -1, 3)),
    (4, 2, (12,), (6,), (-3, -5, 2, 9)),
    (1, 2, (3, 3), (5,), (0, 4, 9, 3)),
    (2, 1, (6,), (1,), (9, 8, 9, 8)),
    (1, 1, (3,), (3,), (12, 8, -2, 8)),
]


@pytest.mark.parametrize(("up", "down", "up_shape", "down_shape", "padding"), CASES)
def test_first_and_second_derivatives(
    up: int, down: int, up_shape: Any, down_shape: Any, padding: Any
) -> None:
    torch.manual_seed(1)
    x = torch.randn(1, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    up_taps, down_taps = (torch.randn(s, dtype=torch.float64) for s in (up_shape, down_shape))

    def fused(x: Any, bias: Any) -> Any:
        return fused_filtered_lrelu(x, up_taps, down_taps, bias, up, down, padding, 1.4, 0.2, 3.0)

    assert torch.autograd.gradcheck(fused, (x, bias))
    assert torch.autograd.gradgradcheck(fused, (x, bias))
    plain = filtered_lrelu(x, up_taps, down_taps, bias, up, down, padding, 1.4, 0.2, 3.0)
    weights = torch.randn_like(plain)
    wanted = torch.autograd.grad((plain * weights).sum(), (x, bias))
    got = torch.autograd.grad((fused(x, bias) * weights).sum(), (x, bias))
    for a, b in zip(wanted, got, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_pytorch_accepts_the_operations() -> None:
    x = torch.randn(1, 3, 6, 6, requires_grad=True)
    taps = torch.randn(6)
    arguments = (x, torch.randn(3), taps, taps, 2, 2, 5, 4, 5, 5, 1.4, 0.2, 2.0, True)
    # Its fresh codes are compared too: only what is written may be there to compare.
    torch.library.opcheck(
        torch.ops.mien.filtered_lrelu.default,
        arguments,
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_half_precision_keeps_its_type_and_nan_stays() -> None:
    x = torch.randn(1, 2, 8, 8, dtype=torch.bfloat16)
    taps = torch.full((4,), 0.25)
    y = fused_filtered_lrelu(x, taps, taps, None, 2, 2, (3, 2, 3, 2))
    assert y.dtype == torch.bfloat16
    x[0, 0, 4, 4] = math.nan
    y = fused_filtered_lrelu(x, taps, taps, None, 2, 2, (3, 2, 3, 2))
    assert torch.isnan(y[0, 0]).any()
    assert not torch.isnan(y[0, 1]).any()


def test_channels_last_is_kept() -> None:
    x = torch.randn(1, 8, 8, 8).contiguous(memory_format=torch.channels_last)
    taps = torch.full((4,), 0.25)
    y = fused_filtered_lrelu(x, taps, taps, None, 2, 2, (3, 2, 3, 2))
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_bad_calls_say_what_is_wrong() -> None:
    x, taps = torch.zeros(1, 1, 4, 4), torch.ones(4)
    with pytest.raises(ValueError, match="expected x"):
        fused_filtered_lrelu(x[0], taps, taps)
    with pytest.raises(ValueError, match="smaller"):
        fused_filtered_lrelu(x, taps, torch.ones(40), None, 2, 2)
    with pytest.raises(ValueError, match="needs a filter"):
        fused_filtered_lrelu(x, None, taps, None, 2, 2)
    with pytest.raises(ValueError, match="1 to 128 taps"):
        fused_filtered_lrelu(x, taps, torch.ones(129), None, 2, 2, (99, 99, 99, 99))
    with pytest.raises(ValueError, match=r"\(T,\) or \(T, T\)"):
        fused_filtered_lrelu(x, taps, torch.ones(3, 4), None, 2, 2, (9, 9, 9, 9))
    with pytest.raises(ValueError, match="runs on the CPU"):
        fused_filtered_lrelu(x.to("meta"), taps, taps, None, 2, 2, (9, 9, 9, 9))
    with pytest.raises(ValueError, match="one value for each channel"):
        fused_filtered_lrelu(x, taps, taps, torch.zeros(2), 2, 2, (9, 9, 9, 9))


def test_the_network_draws_the_same_picture(generator: Any, inputs: Any, expected: Any) -> None:
    import copy

    network = copy.deepcopy(generator.synthesis)
    network.set_filtered_lrelu("fused")
    ws, transform = (torch.from_numpy(inputs[name]) for name in ("ws", "transform"))
    with torch.inference_mode():
        picture = network(ws, transform).numpy()
    # 2e-5 is the gate of the golden images; pictures lie in about -1..1.
    np.testing.assert_allclose(picture, expected, atol=2e-5)
