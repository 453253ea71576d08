"""What a face looks like to dlib's identity network, for training against: features that
can be differentiated, and the descriptor itself.

The network (King 2017, in the public domain) ships as ONNX with mien; here its weights are
read from that file into PyTorch. Features of its four stages serve as perceptual features do
(Johnson et al. 2016, *Perceptual Losses for Real-Time Style Transfer and
Super-Resolution*), without the weights of others that such a loss usually stands on.
"""

from __future__ import annotations

from importlib.resources import as_file, files

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import MissingError, ModelError

CHIP_SIDE = 150
"""Side of the picture that the network looks at."""

DESCRIPTOR_SIZE = 128

# Residual blocks: (channels, whether the block halves the picture), as in dlib's metric
# network; after the blocks marked True features are taken.
_BLOCKS = (
    (32, False), (32, False), (32, False), (64, True), (64, False), (64, False), (64, False),
    (128, True), (128, False), (128, False), (256, True), (256, False), (256, False), (256, True),
)  # fmt: skip
_TAPS = (2, 6, 9, 12)
_GREY = 0.4
_NAME = "dlib_face128.onnx"


class FaceFeatures(nn.Module):
    """Chips (N, 3, 150, 150) RGB 0..255 -> features of four stages, and the descriptor.

    Frozen; gradients flow to the picture.

    Raises:
        MissingError: the onnx package is not installed.
        ModelError: the file is not the one that this was written for.
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        weights = _weights()
        self.register_buffer("mean", weights["mean"].reshape(1, 3, 1, 1))
        self.register_buffer("scale", weights["scale"].reshape(()))
        shapes = [(32, 3, 7)]
        channels = 32
        for width, _ in _BLOCKS:
            shapes += [(width, channels, 3), (width, width, 3)]
            channels = width
        self.kernels, self.biases = nn.ParameterList(), nn.ParameterList()
        for place, (out, into, side) in enumerate(shapes):
            kernel, bias = weights[f"kernel{place}"], weights[f"bias{place}"]
            if kernel.shape != (out, into, side, side) or bias.shape != (out,):
                raise _odd()
            self.kernels.append(kernel)
            self.biases.append(bias)
        self.projection = nn.Parameter(weights["projection"])
        self.requires_grad_(False)

    scale: Tensor

    def forward(self, chips: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features of four stages, coarser and coarser, and (N, 128) descriptors."""
        x = (chips - self.mean) / self.scale
        x = F.max_pool2d(F.relu(self._conv(x, 0, stride=2)), 3, 2)
        found = []
        for place, (_, halves) in enumerate(_BLOCKS):
            way = 1 + 2 * place
            if halves:
                y = self._conv(F.relu(self._conv(x, way, stride=2)), way + 1, padding=1)
                x = F.relu(_added(F.avg_pool2d(x, 2, 2), y))
            else:
                y = self._conv(F.relu(self._conv(x, way, padding=1)), way + 1, padding=1)
                x = F.relu(x + y)
            if place in _TAPS:
                found.append(x)
        return found, x.mean(dim=(2, 3)) @ self.projection

    def of(self, picture: Tensor, truth: Tensor, chips: Tensor) -> tuple[list[Tensor], Tensor]:
        """The same of the face alone, over grey: hair and background are not its own.

        Args:
            picture: (N, 3 or 4, S, S), BGR 0..1 first.
            truth: (N, 4, S, S); its last channel says where the face is.
            chips: (N, 2, 3), see :func:`face_chips`.
        """
        alone = _GREY + (picture[:, :3].clamp(0, 1) - _GREY) * truth[:, 3:]
        seen: tuple[list[Tensor], Tensor] = self(face_chips(alone, chips))
        return seen

    def apart(self, picture: Tensor, truth: Tensor, chips: Tensor) -> Tensor:
        """() how far the features of a picture are from the truth's."""
        mine, _ = self.of(picture, truth, chips)
        with torch.no_grad():
            theirs, _ = self.of(truth, truth, chips)
        return feature_distance(mine, theirs)

    def _conv(self, x: Tensor, place: int, *, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(x, self.kernels[place], self.biases[place], stride, padding)


def face_chips(bgr: Tensor, chip_from_picture: Tensor) -> Tensor:
    """Cuts what the network looks at, differentiably.

    Args:
        bgr: (N, 3, S, S), 0..1.
        chip_from_picture: (N, 2, 3), from pixels of the picture to pixels of the chip.

    Returns:
        (N, 3, 150, 150) RGB, 0..255, black beyond the picture.
    """
    side = bgr.shape[-1]
    linear = torch.linalg.inv(chip_from_picture[:, :, :2])
    shift = -(linear @ chip_from_picture[:, :, 2:])
    axis = torch.arange(CHIP_SIDE, device=bgr.device, dtype=bgr.dtype)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([columns.reshape(-1), rows.reshape(-1)])  # (2, 150 * 150)
    at = (linear @ points + shift).transpose(1, 2).reshape(-1, CHIP_SIDE, CHIP_SIDE, 2)
    chips = F.grid_sample(bgr, at * (2 / (side - 1)) - 1, align_corners=True)
    return chips.flip(1) * 255.0


def feature_distance(mine: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """() how far features are apart: mean over the stages of the relative absolute error."""
    parts = [
        (a - b).abs().mean() / b.abs().mean().clamp(min=1e-6)
        for a, b in zip(mine, theirs, strict=True)
    ]
    return torch.stack(parts).mean()


def _added(shortcut: Tensor, y: Tensor) -> Tensor:
    """Their sum; the smaller one is followed by noughts, as dlib's add_prev does."""
    size = [max(a, b) for a, b in zip(shortcut.shape[1:], y.shape[1:], strict=True)]
    return _filled(shortcut, size) + _filled(y, size)


def _filled(x: Tensor, size: list[int]) -> Tensor:
    channels, rows, columns = (want - have for want, have in zip(size, x.shape[1:], strict=True))
    return F.pad(x, (0, columns, 0, rows, 0, channels)) if channels + rows + columns else x


def _weights() -> dict[str, Tensor]:
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingError("the package onnx is missing", "pip install 'mien[train]'") from error
    with as_file(files("mien.models").joinpath(_NAME)) as path:
        graph = onnx.load(str(path)).graph
    stored = {item.name: torch.tensor(numpy_helper.to_array(item)) for item in graph.initializer}
    stored |= {
        node.output[0]: stored[node.input[0]].float()
        for node in graph.node
        if node.op_type == "Cast" and node.input[0] in stored
    }
    weights: dict[str, Tensor] = {}
    try:
        for node in graph.node:
            if node.op_type == "Conv":
                place = sum(name.startswith("kernel") for name in weights)
                weights[f"kernel{place}"] = stored[node.input[1]]
                weights[f"bias{place}"] = stored[node.input[2]]
            elif node.op_type in _SINGLE:
                weights[_SINGLE[node.op_type]] = stored[node.input[1]]
    except (KeyError, IndexError) as error:
        raise _odd() from error
    if len(weights) != 2 * (1 + 2 * len(_BLOCKS)) + len(_SINGLE):
        raise _odd()
    return weights


_SINGLE = {"Sub": "mean", "Div": "scale", "MatMul": "projection"}


def _odd() -> ModelError:
    return ModelError(f"{_NAME} is not the network that it should be", "reinstall mien")
