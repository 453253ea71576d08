"""The decoder without alias-free filters: sizes, places, and the same in PyTorch and ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

import onnxruntime  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from mien.errors import ModelError  # noqa: E402
from mien.live_view import CONDITION_SIZE, condition_parts  # noqa: E402
from mien.live_warp import input_grid  # noqa: E402
from mien.networks.live import LiveNetwork, live_config  # noqa: E402
from mien.networks.live_onnx import export_generator  # noqa: E402
from mien.networks.live_weights import (  # noqa: E402
    live_metadata,
    live_network,
    read_live_weights,
)
from mien.networks.stylegan3.plain_decoder import plain_lrelu  # noqa: E402
from mien.networks.stylegan3.plain_stage import PlainStage, plan_plain  # noqa: E402

CONFIG = live_config(64, channel_base=512, channel_max=24)
NAMES = ("ada", "bram", "stranger200")


def network(decoder: str) -> LiveNetwork:
    torch.manual_seed(3)
    return LiveNetwork(CONFIG, len(NAMES), decoder).eval().requires_grad_(False)


def rest_grid() -> np.ndarray:
    condition = np.zeros(CONDITION_SIZE, np.float32)
    condition[condition_parts()["pose"]] = [1, 0, 0, 0, 1, 0]
    return input_grid(condition, np.eye(3, dtype=np.float32))[None]


def saved(path: Path, one: LiveNetwork, **changes: str) -> Path:
    metadata = live_metadata(one.config, NAMES, 1, one.decoder) | changes
    save_file(one.state_dict(), path, metadata=metadata)
    return path


def test_sizes_are_planned_about_the_centre() -> None:
    # The middle 20 of 24 samples become 40; the first and the last of those repeat a border.
    assert plan_plain(24, 38, 4, 2) == PlainStage(crop=2, size=20, factor=2, trim=1)
    assert plan_plain(24, 22, 4, 4) == PlainStage(crop=1, size=22, factor=1, trim=0)
    for wrong in ((24, 38, 2, 4), (24, 50, 4, 2), (24, 21, 2, 2), (24, 38, 3, 2)):
        with pytest.raises(ValueError, match="plain layer"):
            plan_plain(*wrong)


def test_an_enlarged_slope_stays_where_it_is() -> None:
    """A ramp over the picture is a ramp at the raised rate, with the same middle."""
    ramp = torch.arange(24.0) - 11.5
    x = ramp[None, None, None, :].expand(1, 1, 24, 24)
    # Taps only tell the size: (24 * 4 - 11 - 11 - 1 + pad) // 2 + 1 = 38.
    taps = torch.zeros(12)
    drawn = plain_lrelu(x, taps, taps, None, 4, 2, (1, 1, 1, 1), gain=1.0, slope=1.0)
    wanted = (torch.arange(38.0) - 18.5) / 2
    assert drawn.shape == (1, 1, 38, 38)
    assert torch.allclose(drawn[0, 0, 5], wanted)


@pytest.mark.parametrize("form", ["polyphase", "depthwise"])
def test_onnx_draws_what_pytorch_draws(tmp_path: Path, form: str) -> None:
    weights = read_live_weights(saved(tmp_path / "w.safetensors", network("conv")))
    assert weights.decoder == "conv"
    one = live_network(weights)
    ws, grid = torch.randn(1, CONFIG.num_ws, 256), rest_grid()
    wanted = one.draw(ws, torch.from_numpy(grid)).clamp(0, 1).numpy()
    export_generator(weights, tmp_path / "g.onnx", form=form)  # type: ignore[arg-type]
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    (drawn,) = session.run(None, {"ws": ws.numpy(), "grid": grid})
    # The file holds FP16 weights.
    np.testing.assert_allclose(drawn, wanted, atol=5e-3)


def test_it_is_another_picture_of_the_same_weights(tmp_path: Path) -> None:
    ws, grid = torch.randn(1, CONFIG.num_ws, 256), torch.from_numpy(rest_grid())
    filtered, plain = network("stylegan3"), network("conv")
    for name, tensor in filtered.state_dict().items():
        assert torch.equal(tensor, plain.state_dict()[name])
    plain.use_fast_filters()  # has none; must change nothing
    one, other = filtered.draw(ws, grid), plain.draw(ws, grid)
    assert one.shape == other.shape
    assert float((one - other).abs().mean()) > 1e-3
    # Where things are follows from the input alone, so both agree on the coarse picture.
    small = [torch.nn.functional.avg_pool2d(p, 16).flatten() for p in (one, other)]
    assert float(torch.corrcoef(torch.stack(small))[0, 1]) > 0.8


def test_an_unknown_decoder_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", network("conv"), decoder="transformer")
    with pytest.raises(ModelError, match="no decoder is named"):
        read_live_weights(path)
    # Files that say nothing are from before there was a choice.
    metadata = live_metadata(CONFIG, NAMES, 1)
    del metadata["decoder"]
    save_file(network("stylegan3").state_dict(), tmp_path / "old.safetensors", metadata=metadata)
    assert read_live_weights(tmp_path / "old.safetensors").decoder == "stylegan3"
