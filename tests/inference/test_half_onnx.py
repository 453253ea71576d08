"""Networks of perception in half precision: what changes in the file, and in what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.errors import MissingError, ModelError
from mien.inference.half_onnx import write_half
from mien.models.catalogue import model_path
from mien.perception import NETWORKS
from mien.perception._engines import _HALF_TOLERANCE

PORTRAITS = sorted((Path(__file__).parents[1] / "perception" / "data").glob("face_*.jpg"))


def run(path: Path, picture: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    [source] = session.get_inputs()
    results: list[Any] = session.run(None, {source.name: picture})
    return results


@pytest.mark.parametrize("name", NETWORKS)
def test_portraits_are_seen_alike(name: str, tmp_path: Path) -> None:
    """Landmarks differ by 0.03 px of the crop, the others by a fifth of their bounds at most."""
    path = tmp_path / "half.onnx"
    assert write_half(model_path(name), path) > 50
    assert path.stat().st_size <= model_path(name).stat().st_size
    side, scale, shift = {
        NETWORKS[0]: (192, 1 / 255, 0.0),
        NETWORKS[1]: (128, 2 / 255, -1.0),
        NETWORKS[2]: (192, 2 / 255, -1.0),
        NETWORKS[3]: (150, 1.0, 0.0),
    }[name]
    for portrait in PORTRAITS[::2]:
        image = cv2.resize(cv2.imread(str(portrait)), (side, side), interpolation=cv2.INTER_AREA)
        picture = (image[..., ::-1].transpose(2, 0, 1)[None] * scale + shift).astype(np.float32)
        wanted, got = run(model_path(name), picture), run(path, picture)
        for one, other in zip(got, wanted, strict=True):
            assert one.dtype == np.float32
            assert 0.0 < np.abs(one - other).max() < _HALF_TOLERANCE[name] / 3


def small(path: Path, weight: float = 1.3) -> None:
    """Two convolutions with a rectifier between, and a sum of the second's."""
    weights = np.full((1, 1, 1, 1), weight, np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w"], ["c"]),
        helper.make_node("Add", ["c", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 4, 4))],
        [numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))


def test_what_follows_the_last_convolution_stays_as_it_is(tmp_path: Path) -> None:
    small(tmp_path / "one.onnx")
    assert write_half(tmp_path / "one.onnx", tmp_path / "half.onnx") == 2  # a, b
    model = onnx.load(str(tmp_path / "half.onnx"))
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {one.name: one.type.tensor_type.elem_type for one in inferred.graph.value_info}
    assert kinds["a/half"] == kinds["b/half"] == TensorProto.FLOAT16
    assert kinds["c"] == TensorProto.FLOAT
    assert {one.name for one in model.graph.initializer} == {"w", "w/half"}
    x = np.linspace(0.1, 2.0, 16, dtype=np.float32).reshape(1, 1, 4, 4)
    [got], [wanted] = run(tmp_path / "half.onnx", x), run(tmp_path / "one.onnx", x)
    np.testing.assert_allclose(got, wanted, rtol=2e-3)
    assert (got != wanted).any()


def test_weights_too_large_and_files_that_are_none_are_refused(tmp_path: Path) -> None:
    small(tmp_path / "large.onnx", 7e4)
    with pytest.raises(ModelError, match="weights w do not fit into half precision"):
        write_half(tmp_path / "large.onnx", tmp_path / "half.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"broken\.onnx cannot be read"):
        write_half(tmp_path / "broken.onnx", tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()


def test_the_package_onnx_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # type: ignore[arg-type]
    with pytest.raises(MissingError, match="package onnx") as caught:
        write_half(tmp_path / "one.onnx", tmp_path / "half.onnx")
    assert caught.value.hint == "pip install onnx"
