"""A pair of networks whose picture is known exactly: an ellipse that is tied to the head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from mien.live_view import CONDITION_SIZE, LATENT_SIZE, condition_parts
from mien.live_warp import GRID_RATE, GRID_SIZE
from mien.swappers.stylegan3 import LiveFiles
from mien.types import F32Array

LAYERS, SIZE = 6, 64
HALF_WIDTH, HALF_HEIGHT = 0.30, 0.38
COLOURS = {"ada": (0.2, 0.4, 0.8), "kai": (0.8, 0.6, 0.1)}
"""BGR; the first three numbers of each latent."""


def latent_of(bgr: tuple[float, float, float]) -> F32Array:
    latent = np.zeros(LATENT_SIZE, np.float32)
    latent[:3] = bgr
    return latent


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    values: dict[str, np.ndarray],
    inputs: dict[str, tuple[int, ...]],
    outputs: dict[str, tuple[int, ...]],
) -> None:
    def info(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "live",
        [info(name, shape) for name, shape in inputs.items()],
        [info(name, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


def write_encoder(path: Path, *, condition_size: int = CONDITION_SIZE) -> None:
    """w is the latent, with the mean of the eyes' numbers added to its fourth."""
    told = np.zeros((condition_size, LATENT_SIZE), np.float32)
    told[condition_parts()["eyes"], 3] = 1.0 / 8.0
    _save(
        path,
        [
            helper.make_node("MatMul", ["condition", "told"], ["moved"]),
            helper.make_node("Add", ["moved", "latent"], ["w"]),
        ],
        {"told": told},
        {"condition": (1, condition_size), "latent": (1, LATENT_SIZE)},
        {"w": (1, LATENT_SIZE)},
    )


def write_generator(
    path: Path, *, layers: int = LAYERS, size: int = SIZE, scale: float = 1.0, split: bool = False
) -> None:
    """An ellipse in the middle of the head's square, in the colour of the mean of all layers.

    Args:
        scale: factor on everything; nan breaks the picture.
        split: blue follows the first layer alone, red the last.
    """
    at = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / size
    x, y = np.meshgrid(at, at)
    pixels = np.stack([x.ravel(), y.ravel(), np.ones(size * size, np.float32)], axis=1)
    own = (np.arange(GRID_SIZE) - (GRID_SIZE - 1) / 2) / GRID_RATE
    across, down = (part.ravel() for part in np.meshgrid(own, own))
    # The affine map that the grid is nearest to: the ellipse has no parts that could move.
    affine = np.linalg.pinv(np.stack([across, down, np.ones(GRID_SIZE**2)], axis=1))
    pick = np.zeros((layers, LATENT_SIZE, 3), np.float32)
    for channel in range(3):
        pick[:, channel, channel] = 1.0 / layers
    if split:
        pick[:, 0, 0], pick[:, 2, 2] = 0.0, 0.0
        pick[0, 0, 0] = pick[-1, 2, 2] = 1.0
    ellipse = np.array([[HALF_WIDTH**-2], [HALF_HEIGHT**-2]], np.float32)
    nodes = [
        helper.make_node("Reshape", ["grid", "list"], ["places"]),
        helper.make_node("MatMul", ["affine", "places"], ["transform"]),
        helper.make_node("MatMul", ["pixels_at", "transform"], ["place"]),
        helper.make_node("Mul", ["place", "place"], ["squared"]),
        helper.make_node("MatMul", ["squared", "ellipse"], ["radius"]),
        helper.make_node("Sub", ["one", "radius"], ["inside"]),
        helper.make_node("Mul", ["inside", "steep"], ["sharp"]),
        helper.make_node("Sigmoid", ["sharp"], ["matte"]),
        helper.make_node("Reshape", ["ws", "flat"], ["w"]),
        helper.make_node("MatMul", ["w", "pick"], ["colour"]),
        helper.make_node("Expand", ["colour", "everywhere"], ["colours"]),
        helper.make_node("Concat", ["colours", "matte"], ["pixels"], axis=2),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["planes", "shape"], ["square"]),
        helper.make_node("Mul", ["square", "scale"], ["image"]),
    ]  # fmt: skip
    values = {
        "list": np.array([1, GRID_SIZE**2, 2], np.int64),
        "affine": affine.astype(np.float32)[None],
        "pixels_at": pixels[None],
        "ellipse": ellipse,
        "one": np.float32(1.0),
        "steep": np.float32(60.0),
        "flat": np.array([1, 1, layers * LATENT_SIZE], np.int64),
        "pick": pick.reshape(layers * LATENT_SIZE, 3),
        "everywhere": np.array([1, size * size, 3], np.int64),
        "shape": np.array([1, 4, size, size], np.int64),
        "scale": np.float32(scale),
    }
    _save(
        path,
        nodes,
        {name: np.asarray(value) for name, value in values.items()},
        {"ws": (1, layers, LATENT_SIZE), "grid": (1, GRID_SIZE, GRID_SIZE, 2)},
        {"image": (1, 4, size, size)},
    )


def write_live(
    folder: Path, *, layers: int = LAYERS, size: int = SIZE, scale: float = 1.0, split: bool = False
) -> LiveFiles:
    """All three files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_encoder(folder / "encoder.onnx")
    write_generator(folder / "generator.onnx", layers=layers, size=size, scale=scale, split=split)
    latents = {name: latent_of(bgr) for name, bgr in COLOURS.items()}
    save_file(latents, folder / "latents.safetensors")
    return LiveFiles(folder=folder)
