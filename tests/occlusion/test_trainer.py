"""Training learns, survives being killed, and says when it cannot go on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="needs the extra 'train'")

import onnxruntime  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from mien.errors import InputError, MediaError, ModelError, OutputError  # noqa: E402
from mien.networks.occlusion import (  # noqa: E402
    OcclusionConfig,
    OcclusionNet,
    folded,
    multiply_adds,
)
from mien.networks.occlusion_onnx import export_occlusion  # noqa: E402
from mien.occlusion_view import INPUT_CHANNELS  # noqa: E402
from mien.training.occlusion_loss import occlusion_loss, overlap_counts  # noqa: E402
from mien.training.occlusion_recipe import (  # noqa: E402
    OcclusionRecipe,
    occlusion_recipe_from,
    read_occlusion_recipe,
)
from mien.training.occlusion_trainer import WEIGHTS, OcclusionTrainer  # noqa: E402
from mien.training.training_run import CHECKPOINT, CURVE  # noqa: E402

TINY = OcclusionRecipe(
    steps=24,
    batch=4,
    learning_rate=8e-3,
    warm_up=2,
    ema=0.9,
    widths=(8, 12),
    depths=(1, 1),
    held_samples=6,
    save_every=3,
    score_every=8,
    grid_every=24,
)

_open: list[OcclusionTrainer] = []


@pytest.fixture(autouse=True)
def _close_all() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def _trainer(
    faces: Path, sprites: Path, out: Path, recipe: OcclusionRecipe = TINY
) -> OcclusionTrainer:
    """A trainer; the one before it has ended, as a process would."""
    while _open:
        _open.pop().close()
    _open.append(OcclusionTrainer(faces, sprites, None, out, recipe, device="cpu"))
    return _open[-1]


def _weights(out: Path) -> dict[str, torch.Tensor]:
    state = torch.load(out / CHECKPOINT, weights_only=True)
    return {**state["network"], **{f"ema.{k}": v for k, v in state["average"].items()}}


def test_the_loss_falls_by_a_tenth(faces: Path, sprites: Path, tmp_path: Path) -> None:
    """The smoke training: dark discs before pale ovals, 96 samples of them."""
    scores = _trainer(faces, sprites, tmp_path / "run").train()
    assert set(scores) == {"held_iou", "held_iou_known", "held_false_cut", "held_false_cut_worst"}
    with (tmp_path / "run" / CURVE).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [8, 16, 24]
    assert float(rows[-1]["loss"]) < 0.9 * float(rows[0]["loss"])
    assert (tmp_path / "run" / "grid0000024.png").is_file()
    shipped = load_file(tmp_path / "run" / WEIGHTS)
    assert all(tensor.dtype == torch.float16 for tensor in shipped.values())


def test_a_run_that_was_stopped_ends_with_the_same_bits(
    faces: Path, sprites: Path, tmp_path: Path
) -> None:
    recipe = replace(TINY, steps=8, score_every=4, grid_every=8)
    _trainer(faces, sprites, tmp_path / "whole", recipe).train()
    _trainer(faces, sprites, tmp_path / "parts", recipe).train(until=3)
    stopped = _trainer(faces, sprites, tmp_path / "parts", recipe)
    assert stopped.step == 3
    asked = iter([False, False, True])
    stopped.train(should_stop=lambda: next(asked))
    assert stopped.step == 6
    _trainer(faces, sprites, tmp_path / "parts", recipe).train()
    whole, parts = _weights(tmp_path / "whole"), _weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_rows_of_steps_that_were_lost_are_written_once(
    faces: Path, sprites: Path, tmp_path: Path
) -> None:
    recipe = replace(TINY, steps=6, score_every=2, save_every=4, grid_every=6)
    trainer = _trainer(faces, sprites, tmp_path / "run", recipe)
    # Killed after step 5: what was saved is step 4.
    for _ in range(4):
        trainer._advance()
    trainer.save()
    trainer._add_row(trainer.score())
    trainer._advance()
    trainer._add_row(trainer.score())
    _trainer(faces, sprites, tmp_path / "run", recipe).train()
    with (tmp_path / "run" / CURVE).open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == [4, 6]


def test_a_folder_has_one_trainer(faces: Path, sprites: Path, tmp_path: Path) -> None:
    _trainer(faces, sprites, tmp_path / "run")
    with pytest.raises(OutputError, match="another process trains"):
        OcclusionTrainer(faces, sprites, None, tmp_path / "run", TINY)


def test_another_recipe_and_lost_faces_are_refused(
    faces: Path, sprites: Path, tmp_path: Path
) -> None:
    _trainer(faces, sprites, tmp_path / "run").train(until=1)
    _open.pop().close()
    with pytest.raises(InputError, match="learning_rate"):
        OcclusionTrainer(faces, sprites, None, tmp_path / "run", replace(TINY, learning_rate=1e-3))
    next(faces.glob("*.safetensors")).unlink()
    with pytest.raises(MediaError, match="lacks"):
        OcclusionTrainer(faces, sprites, None, tmp_path / "run", TINY)
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"torn")
    with pytest.raises(InputError, match="cannot be read"):
        OcclusionTrainer(faces, sprites, None, tmp_path / "run", TINY)


def test_a_run_begins_with_the_weights_of_a_smaller_one(
    faces: Path, sprites: Path, tmp_path: Path
) -> None:
    _trainer(faces, sprites, tmp_path / "run").train(until=4)
    begin = tmp_path / "begin.pt"
    state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)
    # As if the run had seen two channels less, four times folded.
    state["network"]["stem.conv.weight"] = state["network"]["stem.conv.weight"][:, :-8]
    torch.save(state, begin)
    deeper = replace(TINY, depths=(1, 2))
    _open.pop().close()
    _open.append(OcclusionTrainer(faces, sprites, None, tmp_path / "b", deeper, "cpu", begin))
    network = _open[-1].network
    smaller = OcclusionNet(OcclusionConfig(widths=TINY.widths, depths=TINY.depths))
    state["network"]["stem.conv.weight"] = torch.cat(
        [state["network"]["stem.conv.weight"], torch.zeros(8, 8, 3, 3)], dim=1
    )
    smaller.load_state_dict(state["network"])
    inputs = torch.rand(2, INPUT_CHANNELS, 32, 32)
    with torch.no_grad():
        begun, wanted = network.eval()(inputs), smaller.eval()(inputs)
    # A new block still shrinks what is negative; a fresh network says -3 everywhere.
    assert torch.allclose(begun, wanted, atol=0.01)
    assert (wanted + 3).abs().max() > 0.05
    _open.pop().close()
    wider = replace(TINY, widths=(8, 16))
    with pytest.raises(InputError, match="fits"):
        OcclusionTrainer(faces, sprites, None, tmp_path / "c", wider, "cpu", begin)
    begin.write_bytes(b"torn")
    with pytest.raises(InputError, match="does not hold"):
        OcclusionTrainer(faces, sprites, None, tmp_path / "c", TINY, "cpu", begin)


def test_recipes_say_what_is_wrong(tmp_path: Path) -> None:
    assert occlusion_recipe_from({"widths": [8, 12], "ema": 0}).ema == 0.0
    with pytest.raises(InputError, match="unknown key"):
        occlusion_recipe_from({"lr": 1.0})
    with pytest.raises(InputError, match="batch"):
        occlusion_recipe_from({"batch": "many"})
    with pytest.raises(InputError, match="cannot stand"):
        occlusion_recipe_from({"batch": 0})
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 5\n")
    assert read_occlusion_recipe(path).steps == 5
    path.write_text("steps = ")
    with pytest.raises(InputError, match="cannot be read"):
        read_occlusion_recipe(path)


def test_the_onnx_gives_what_the_network_gives(faces: Path, sprites: Path, tmp_path: Path) -> None:
    trainer = _trainer(faces, sprites, tmp_path / "run")
    trainer.train(until=6)
    path = tmp_path / "net.onnx"
    export_occlusion(tmp_path / "run" / WEIGHTS, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = np.random.default_rng(1).random((1, INPUT_CHANNELS, 128, 128), np.float32)
    found = session.run(None, {"inputs": inputs})[0]
    network = OcclusionNet(OcclusionConfig(widths=TINY.widths, depths=TINY.depths), normed=False)
    network.load_state_dict(
        {k: v.float() for k, v in load_file(tmp_path / "run" / WEIGHTS).items()}
    )
    with torch.no_grad():
        wanted = torch.sigmoid(network(torch.from_numpy(inputs))).numpy()
    # Sums in another order.
    assert np.abs(found - wanted).max() < 1e-4
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="does not hold"):
        export_occlusion(tmp_path / "bad.safetensors", path)


def test_folding_the_normalisation_changes_nothing() -> None:
    torch.manual_seed(3)
    network = OcclusionNet(OcclusionConfig(widths=(8, 12), depths=(1, 2)))
    for _ in range(4):
        network(torch.rand(4, INPUT_CHANNELS, 32, 32))
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    network.eval()
    inputs = torch.rand(2, INPUT_CHANNELS, 32, 32)
    with torch.no_grad():
        assert torch.allclose(folded(network)(inputs), network(inputs), atol=1e-4)


def test_the_network_costs_what_is_promised() -> None:
    assert multiply_adds(OcclusionConfig()) < 0.3e9
    with pytest.raises(ValueError, match="depths"):
        OcclusionConfig(widths=(8,), depths=(1, 1))


def test_a_right_mask_costs_less_than_a_wrong_one_and_a_false_cut_most() -> None:
    covered = torch.zeros(1, 1, 32, 32)
    covered[..., 8:16, 8:16] = 1
    weights = torch.ones_like(covered)
    sure = 8 * (2 * covered - 1)
    nothing = torch.full_like(covered, -8)
    right = occlusion_loss(sure, covered, weights)
    missed = occlusion_loss(nothing, covered, weights)
    # As many pixels cut falsely as were missed.
    shifted = torch.roll(sure, 8, dims=3)
    assert right < 0.05 < missed < occlusion_loss(shifted, covered, weights)
    both, either, found, face = overlap_counts(torch.sigmoid(sure), covered, weights)
    assert (both.item(), either.item(), found.item(), face.item()) == (64, 64, 64, 1024)
