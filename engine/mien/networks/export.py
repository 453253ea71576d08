"""The synthesis network as one ONNX file with static shapes and constant weights.

Inputs: ``ws`` (1, num_ws, w_dim) and ``transform`` (1, 3, 3), float32. Output: ``image``
(1, 3, size, size) float32, raw. The transform turns and shifts the picture without aliasing;
the identity leaves it alone. A network that was trained on warped inputs has ``grid``
(1, S, S, 2) in its place, S samples a side of the first layer. Precision is written into the
graph, as strongly typed engines (TensorRT 11) want it: features in half precision, plane
waves and styles in float32.

The graph is written straight from the weights; PyTorch is not involved.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from mien.errors import MissingError, OutputError
from mien.networks.checkpoint import Checkpoint, check_tensors
from mien.networks.stylegan3.schedule import design_schedule

if TYPE_CHECKING:
    import onnx

    from mien.networks._onnx_graph import Graph, Precision

_LANES = 16  # channels of ONNX Runtime's blocked layout with AVX-512; 8 with AVX2 divides it

Form = Literal["depthwise", "polyphase"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How the graph is written.

    Attributes:
        precision: element type of features and convolution weights.
        form: ``depthwise`` (few nodes, for graphics cards) or ``polyphase`` (filters without
            arithmetic on inserted zeros, 3x3 convolutions by Winograd's method in float32;
            for ONNX Runtime on processors); both give the same picture.
        warped: whether the input is ``grid`` rather than ``transform``.
        filtered: False for the decoder without alias-free filters.
    """

    precision: Precision = "fp32"
    form: Form = "depthwise"
    warped: bool = False
    filtered: bool = True

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "fp16", "bf16"):
            raise ValueError(f"precision must be fp32, fp16 or bf16, got {self.precision!r}")
        if self.form not in ("depthwise", "polyphase"):
            raise ValueError(f"form must be depthwise or polyphase, got {self.form!r}")


def export_onnx(
    checkpoint: Checkpoint, path: str | Path, *, precision: str = "fp32", form: str = "depthwise"
) -> Path:
    """Writes a generator's synthesis network to ``path``; returns the path.

    Args:
        checkpoint: settings and weights.
        path: the .onnx file; replaced only once the new one is whole.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        form: ``depthwise`` or ``polyphase``, see :class:`ExportOptions`.

    Raises:
        ValueError: an option is unknown.
        MissingError: the onnx package is not installed.
        OutputError: the file cannot be written.
    """
    options = ExportOptions(precision=cast("Precision", precision), form=cast("Form", form))
    content = build_model(checkpoint, options).SerializeToString()
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error}", "check the folder and space") from error
    return path


def build_model(checkpoint: Checkpoint, options: ExportOptions) -> onnx.ModelProto:
    """The ONNX model, checked, with shapes inferred.

    Raises:
        MissingError: the onnx package is not installed.
        ModelError: the checkpoint is incomplete.
    """
    try:
        import onnx
        from onnx import helper

        from mien.networks._onnx_graph import Graph
    except ImportError as error:
        raise MissingError(
            "the onnx package is not installed, and exporting needs it",
            'pip install "mien[neural]"',
        ) from error
    config = checkpoint.config
    check_tensors(config, checkpoint.tensors)
    graph = Graph(options.precision)
    _add_network(graph, checkpoint, options)
    graph.nodes[-1].output[0] = "image"
    single = onnx.TensorProto.FLOAT
    samples = design_schedule(config).input.size
    motion = [1, samples, samples, 2] if options.warped else [1, 3, 3]
    size, channels = config.img_resolution, config.img_channels
    proto = helper.make_graph(
        graph.nodes,
        "stylegan3_synthesis",
        [
            helper.make_tensor_value_info("ws", single, [1, config.num_ws, config.w_dim]),
            helper.make_tensor_value_info(_motion_name(options), single, motion),
        ],
        [helper.make_tensor_value_info("image", single, [1, channels, size, size])],
        graph.constants,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=graph.ir_version,
        producer_name="mien",
        producer_version=_version(),
    )
    helper.set_model_props(
        model,
        {
            "mien.version": _version(),
            "mien.network": "stylegan3",
            "mien.config": json.dumps(config.to_init_kwargs(), sort_keys=True),
            "mien.weights_sha256": checkpoint.sha256(),
            "mien.precision": options.precision,
            "mien.form": options.form,
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def _add_network(graph: Graph, checkpoint: Checkpoint, options: ExportOptions) -> None:
    from mien.networks._onnx_layers import Weights, add_input_layer, add_layer

    config = checkpoint.config
    schedule = design_schedule(config)
    polyphase = options.form == "polyphase"
    lanes = _LANES if polyphase else 1
    flat = graph.op("Reshape", "ws", graph.integers([config.num_ws, config.w_dim]))
    ones = graph.integers([1] * config.num_ws)
    latents = graph.op("Split", flat, ones, outputs=config.num_ws, axis=0, name="w")
    graph.scope("input")
    width = -(-schedule.input.channels // lanes) * lanes
    weights = Weights(tensors=checkpoint.tensors, prefix="synthesis.input")
    x = add_input_layer(
        graph, weights, schedule.input, latents[0], _motion_name(options), width,
        warped=options.warped,
    )  # fmt: skip
    for spec, w in zip(schedule.layers, latents[1:], strict=True):
        graph.scope(spec.name)
        out = spec.out_channels if spec.is_torgb else -(-spec.out_channels // lanes) * lanes
        weights = Weights(tensors=checkpoint.tensors, prefix=f"synthesis.{spec.name}")
        x = add_layer(
            graph, config, weights, spec, x, w, channels=(width, out), polyphase=polyphase,
            filtered=options.filtered,
        )  # fmt: skip
        width = out


def _motion_name(options: ExportOptions) -> str:
    return "grid" if options.warped else "transform"


def _version() -> str:
    try:
        return metadata.version("mien")
    except metadata.PackageNotFoundError:
        return "0+unknown"
