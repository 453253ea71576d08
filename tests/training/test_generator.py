"""The live networks: what they are told of a frame, what they draw, and their ONNX files."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

import onnxruntime  # noqa: E402
from safetensors.numpy import load_file, save_file  # noqa: E402

from mien.errors import MediaError, ModelError  # noqa: E402
from mien.live_view import CONDITION_SIZE, LATENT_SIZE  # noqa: E402
from mien.live_warp import GRID_RATE, GRID_SIZE, input_grid  # noqa: E402
from mien.networks.live import LiveNetwork, live_config  # noqa: E402
from mien.networks.live_onnx import ENCODER, GENERATOR, LATENTS, STRANGERS, export_live  # noqa: E402
from mien.networks.live_weights import (  # noqa: E402
    live_metadata,
    live_network,
    read_live_weights,
)
from mien.networks.stylegan3.schedule import design_schedule  # noqa: E402
from mien.training.generator_batches import PortraitDeck  # noqa: E402
from mien.training.portrait_shards import read_portraits  # noqa: E402
from mien.training.shards import find_shards  # noqa: E402

from .drawn_portraits import SIZE, draw_shards, draw_take  # noqa: E402

TINY = live_config(SIZE, channel_base=512, channel_max=24)
NAMES = ("ada", "bram", "stranger200")


def _network(seed: int = 0) -> LiveNetwork:
    torch.manual_seed(seed)
    network = LiveNetwork(TINY, len(NAMES)).eval().requires_grad_(False)
    network.encoder.standardise(torch.randn(50, CONDITION_SIZE) * 0.3)
    return network


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """Random weights, as training writes them."""
    path = tmp_path / "generator.safetensors"
    tensors = {k: v.numpy().astype(np.float16) for k, v in _network().state_dict().items()}
    save_file(tensors, path, metadata=live_metadata(TINY, NAMES, 7))
    return path


def test_the_picture_has_four_channels_and_every_layer_its_own_w() -> None:
    network = _network()
    condition, transform = torch.zeros(2, CONDITION_SIZE), torch.eye(3).expand(2, 3, 3)
    w = network.w(condition, network.latents[:2])
    picture = network.draw(w, transform)
    assert picture.shape == (2, 4, SIZE, SIZE)
    ws = w[:, None].repeat(1, TINY.num_ws, 1)
    assert torch.equal(network.draw(ws, transform), picture)
    ws[:, -3:] = w.flip(0)[:, None]
    assert not torch.allclose(network.draw(ws, transform), picture)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_every_size_has_a_schedule(size: int) -> None:
    config = live_config(size)
    assert config.img_resolution == size
    assert config.img_channels == 4
    assert config.w_dim == LATENT_SIZE
    samples = design_schedule(config).input
    assert (samples.size, samples.sampling_rate) == (GRID_SIZE, GRID_RATE)


def test_moving_the_transform_moves_the_picture() -> None:
    # A whole pixel, so that the picture can be compared sample by sample.
    network = _network(3)
    w = network.w(torch.zeros(1, CONDITION_SIZE), network.latents[:1])
    still = torch.eye(3)[None]
    moved = still.clone()
    moved[0, 0, 2] = 2 / SIZE
    before, after = network.draw(w, still), network.draw(w, moved)
    inner = slice(4, SIZE - 4)
    error = (after[..., inner, 4 : SIZE - 6] - before[..., inner, 6 : SIZE - 4]).abs().mean()
    change = (after[..., inner, inner] - before[..., inner, inner]).abs().mean()
    assert error < 0.1 * change


def test_a_rigid_grid_is_the_transform() -> None:
    network = _network(3)
    w = network.w(torch.zeros(1, CONDITION_SIZE), network.latents[:1])
    transform = torch.tensor([[[0.9, -0.1, 0.05], [0.1, 0.9, -0.02], [0, 0, 1]]])
    axis = (torch.arange(GRID_SIZE) - (GRID_SIZE - 1) / 2) / GRID_RATE
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ transform[0, :2].T
    rigid, moved = network.draw(w, transform), network.draw(w, places[None])
    assert torch.allclose(rigid, moved, atol=1e-4)
    places[:8] += 0.03  # the upper part alone
    above = slice(0, SIZE // 4)
    below = slice(SIZE * 3 // 4, SIZE)
    bent = (network.draw(w, places[None]) - moved).abs()
    assert bent[:, :, above].mean() > 5 * bent[:, :, below].mean()


def test_far_fetched_conditions_are_bounded() -> None:
    encoder = _network().encoder
    far, farther = (torch.full((1, CONDITION_SIZE), value) for value in (1e3, 1e6))
    assert torch.equal(encoder(far), encoder(farther))


def test_weights_come_back_as_they_were_written(weights_file: Path) -> None:
    weights = read_live_weights(weights_file)
    assert weights.names == NAMES
    assert weights.step == 7
    assert weights.generator.config == TINY
    network = live_network(weights)
    written = _network().state_dict()["latents"].numpy().astype(np.float16)
    np.testing.assert_array_equal(network.latents.numpy(), written.astype(np.float32))


@pytest.mark.parametrize("form", ["polyphase", "depthwise"])
def test_onnx_draws_what_torch_draws(weights_file: Path, tmp_path: Path, form: str) -> None:
    weights = read_live_weights(weights_file)
    export_live(weights, tmp_path / "out", form=form)  # type: ignore[arg-type]
    network = live_network(weights)
    random = np.random.default_rng(1)
    condition = random.normal(0, 0.4, (1, CONDITION_SIZE)).astype(np.float32)
    angle = 0.1
    transform = np.array(
        [[np.cos(angle), -np.sin(angle), 0.05], [np.sin(angle), np.cos(angle), -0.03], [0, 0, 1]],
        np.float32,
    )
    encoder = onnxruntime.InferenceSession(tmp_path / "out" / ENCODER)
    generator = onnxruntime.InferenceSession(tmp_path / "out" / GENERATOR)
    latents = load_file(tmp_path / "out" / LATENTS)
    assert sorted(latents) == ["ada", "bram"]
    assert all(name.startswith("stranger") for name in load_file(tmp_path / "out" / STRANGERS))
    (w,) = encoder.run(None, {"condition": condition, "latent": latents["bram"][None]})
    wanted_w = network.w(torch.from_numpy(condition), network.latents[1:2])
    # Encoder weights are rounded to half precision once more, after their gain.
    np.testing.assert_allclose(w, wanted_w.numpy(), atol=5e-3)
    ws = np.repeat(wanted_w.numpy()[:, None], TINY.num_ws, axis=1)
    grid = input_grid(condition[0], transform)[None]
    (image,) = generator.run(None, {"ws": ws, "grid": grid})
    wanted = network.draw(wanted_w, torch.from_numpy(grid)).clamp(0, 1).numpy()
    assert image.shape == (1, 4, SIZE, SIZE)
    assert np.abs(image - wanted).max() < 5e-3
    assert np.abs(image - wanted).mean() < 1e-3


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, path)
    with pytest.raises(ModelError, match="does not hold live networks"):
        read_live_weights(path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        read_live_weights(path)


def test_weights_that_are_not_finite_are_refused(weights_file: Path, tmp_path: Path) -> None:
    tensors = load_file(weights_file)
    tensors["encoder.fc0.bias"][3] = np.nan
    path = tmp_path / "nan.safetensors"
    save_file(tensors, path, metadata=live_metadata(TINY, NAMES, 7))
    with pytest.raises(ModelError, match="not finite"):
        read_live_weights(path)


def test_shards_come_back_as_they_were_written(tmp_path: Path) -> None:
    take = draw_take(0)
    (path, _) = find_shards(draw_shards(tmp_path / "shards"))
    back = read_portraits(path)
    np.testing.assert_array_equal(back.pictures, take.pictures)
    np.testing.assert_array_equal(back.personas, take.personas)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MediaError, match="cannot be read"):
        read_portraits(path)


def test_batches_are_even_over_the_cast_and_the_same_for_a_step(tmp_path: Path) -> None:
    deck = PortraitDeck(find_shards(draw_shards(tmp_path / "shards")))
    counts = {code: 0 for code in (0, 1, 300)}
    for step in range(40):
        for code in deck.batch(step, 16, 1, 0.75).personas.tolist():
            counts[code] += 1
    # 640 draws of probability 3/8, 3/8, 1/4: four standard deviations are 50.
    assert abs(counts[0] - 240) < 50
    assert abs(counts[1] - 240) < 50
    again = deck.batch(3, 16, 1, 0.75)
    halves = [deck.batch(3, 16, 1, 0.75, (rank, 2)) for rank in (0, 1)]
    for rank, half in enumerate(halves):
        assert torch.equal(half.truth, again.truth[rank::2])
        assert torch.equal(half.conditions, again.conditions[rank::2])


def test_weights_are_highest_at_the_eyes_and_nothing_off_the_face(tmp_path: Path) -> None:
    deck = PortraitDeck(find_shards(draw_shards(tmp_path / "shards", takes=1)))
    batch = deck.pick([0])
    weights, matte = batch.weights[0, 0], batch.truth[0, 3]
    assert weights[matte == 0].max() == 0
    assert weights.max() > 8
    assert weights[matte > 0].min() >= 0.9


def test_the_shipped_networks_draw_what_their_weights_say() -> None:
    with as_file(files("mien.models").joinpath("stylegan3")) as folder:
        weights = read_live_weights(folder / "live.safetensors")
        encoder = onnxruntime.InferenceSession(folder / ENCODER)
        generator = onnxruntime.InferenceSession(folder / GENERATOR)
        latents = load_file(folder / LATENTS)
    network = live_network(weights)
    condition = weights.encoder["mean"][None]
    grid = input_grid(condition[0], np.eye(3, dtype=np.float32))[None]
    place = weights.names.index("kai")
    (w,) = encoder.run(None, {"condition": condition, "latent": latents["kai"][None]})
    ws = np.repeat(w[:, None], weights.generator.config.num_ws, axis=1)
    (image,) = generator.run(None, {"ws": ws, "grid": grid})
    wanted = network(
        torch.from_numpy(condition),
        network.latents[place : place + 1],
        torch.from_numpy(grid),
    )
    assert np.abs(image - wanted.clamp(0, 1).numpy()).max() < 0.02
    # A face in the middle and none in the corners.
    assert image[0, 3, 54:74, 54:74].min() > 0.9
    assert image[0, 3, :8, :8].max() < 0.1
