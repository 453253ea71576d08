"""Winograd's filtering is a convolution, rounding aside."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import helper

from mien.networks import GeneratorConfig, random_generator
from mien.networks._onnx_graph import Graph
from mien.networks._onnx_winograd import TAPS, TILE, add_winograd, transforms
from mien.networks.export import ExportOptions, build_model


def test_transforms_make_an_exact_correlation() -> None:
    output, taps, source = transforms()
    rng = np.random.default_rng(0)
    signal, kernel = rng.standard_normal(TILE + TAPS - 1), rng.standard_normal(TAPS)
    found = output @ ((taps @ kernel) * (source @ signal))
    np.testing.assert_allclose(found, np.correlate(signal, kernel, "valid"), atol=1e-14)


@pytest.mark.parametrize("size", [6, 7, 9, 16, 21])
@pytest.mark.parametrize("pads", [(2, 2), (0, 0), (1, 2), (2, 0)])
def test_every_size_and_border_agrees_with_torch(size: int, pads: tuple[int, int]) -> None:
    rng = np.random.default_rng(size)
    weight = rng.standard_normal((5, 3, 3, 3))
    x = rng.standard_normal((1, 3, size, size)).astype(np.float32)
    before, after = pads
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (before, after), (before, after)))
    expected = torch.nn.functional.conv2d(torch.from_numpy(padded), torch.from_numpy(weight))
    graph = Graph("fp32")
    add_winograd(graph, "x", weight, size, pads)
    graph.nodes[-1].output[0] = "y"
    element = onnx.TensorProto.FLOAT
    proto = helper.make_graph(
        graph.nodes,
        "winograd",
        [helper.make_tensor_value_info("x", element, list(x.shape))],
        [helper.make_tensor_value_info("y", element, list(expected.shape))],
        graph.constants,
    )
    imports = [helper.make_opsetid("", graph.opset)]
    model = helper.make_model(proto, opset_imports=imports, ir_version=graph.ir_version)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": x})[0]
    # 27 products of unit variance; the transforms enlarge float32's rounding about fivefold.
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5)


def test_wide_layers_use_it_and_draw_the_same() -> None:
    config = GeneratorConfig(
        z_dim=8, w_dim=8, img_resolution=32, channel_base=2048, channel_max=64, num_layers=6
    )
    generator = random_generator(config, seed=1)
    checkpoint = generator.checkpoint()
    model = build_model(checkpoint, ExportOptions(form="polyphase"))
    assert sum(node.op_type == "SpaceToDepth" for node in model.graph.node) == config.num_layers
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ws = generator.mapping(torch.randn(1, 8, generator=torch.Generator().manual_seed(0)))
    inputs = {"ws": ws.numpy(), "transform": np.eye(3, dtype=np.float32)[None]}
    expected = generator.synthesis(ws).numpy()
    # Measured: 5e-6 of the picture's largest value.
    assert np.abs(session.run(None, inputs)[0] - expected).max() <= 2e-5 * np.abs(expected).max()
