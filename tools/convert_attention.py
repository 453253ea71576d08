"""The attention mesh's custom operators in plain ONNX, and its 478 landmarks in one output.

The model refines lips, eyes and irises in windows cut from its feature map along the
first landmarks. MediaPipe's three custom operators do that; here they are lowered to
Gather, ReduceMin and ReduceMax, GridSample and MatMul.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from convert_onnx_graph import OnnxGraph
from onnx import TensorProto

if TYPE_CHECKING:
    from convert_tflite import TfliteGraph

MESH_POINTS = 468


def landmarks_to_matrix(graph: OnnxGraph, landmarks: str, settings: dict[str, Any]) -> str:
    """(1, 4, 4): from window pixels to feature-map pixels.

    The window is the box of some landmarks in axes turned with the eye line, enlarged.
    """
    node, constant = graph.node, graph.constant
    left, right = settings["left_rotation_idx"], settings["right_rotation_idx"]
    width, height = settings["output_width"], settings["output_height"]
    xy = graph.slice(landmarks, [0], [2], [2])
    ends = [node("Gather", [xy, constant([i])], axis=1) for i in (right, left)]
    along = node("Sub", ends)
    squared = node("ReduceSum", [node("Mul", [along, along]), constant([2])], keepdims=1)
    direction = node("Div", [along, node("Sqrt", [squared])])
    cosine = graph.slice(direction, [0], [1], [2])
    sine = graph.slice(direction, [1], [2], [2])
    first_row = node("Concat", [cosine, node("Neg", [sine])], axis=2)
    turn = node("Concat", [first_row, node("Concat", [sine, cosine], axis=2)], axis=1)

    subset = node("Gather", [xy, constant(list(settings["subset_idxs"]))], axis=1)
    turned = node("MatMul", [subset, turn])
    high = node("ReduceMax", [turned, constant([1])], keepdims=1)
    low = node("ReduceMin", [turned, constant([1])], keepdims=1)
    middle = node("Mul", [node("Add", [high, low]), constant(0.5)])
    centre = node("MatMul", [middle, node("Transpose", [turn], perm=[0, 2, 1])])
    enlarge = np.array([[[settings["scale_x"] / width, settings["scale_y"] / height]]])
    scale = node("Mul", [node("Sub", [high, low]), constant(enlarge)])
    matrix = node("Mul", [turn, scale])
    to_corner = constant(np.array([[[-width / 2], [-height / 2]]]))
    shift = node(
        "Add",
        [node("Transpose", [centre], perm=[0, 2, 1]), node("MatMul", [matrix, to_corner])],
    )
    top = node("Concat", [matrix, constant(np.zeros((1, 2, 1))), shift], axis=2)
    bottom = constant(np.array([[[0.0, 0, 1, 0], [0.0, 0, 0, 1]]]))
    return node("Concat", [top, bottom], axis=1)


def sample_bilinear(
    graph: OnnxGraph, source: str, matrix: str, size: list[int], target: list[int]
) -> str:
    """A (target) window of a (size) map, bilinear.

    Unlike GridSample's own zero padding, the original gives zero wherever the sample
    point leaves the centres of the outermost pixels; hence the mask.
    """
    node, constant = graph.node, graph.constant
    (height, width), (rows, columns) = size, target
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    grid = np.stack([x.ravel(), y.ravel()], axis=-1)[None]
    where = transform_landmarks(graph, constant(grid), matrix)
    unit = node("Mul", [where, constant(np.array([2 / width, 2 / height]))])
    unit = graph.reshape(node("Sub", [unit, constant(1.0)]), [1, rows, columns, 2])
    sampled = node(
        "GridSample", [source, unit], mode="bilinear", padding_mode="zeros", align_corners=0
    )
    off_centre = node("Abs", [node("Sub", [where, constant(np.array([width / 2, height / 2]))])])
    beyond = node("Sub", [off_centre, constant(np.array([width / 2 - 0.5, height / 2 - 0.5]))])
    worst = node("ReduceMax", [beyond, constant([2])], keepdims=0)
    inside = node("Cast", [node("LessOrEqual", [worst, constant(0.0)])], to=TensorProto.FLOAT)
    return node("Mul", [sampled, graph.reshape(inside, [1, 1, rows, columns])])


def transform_landmarks(graph: OnnxGraph, points: str, matrix: str) -> str:
    """(1, N, 2) points through the planar part of a (1, 4, 4) matrix."""
    linear = graph.slice(matrix, [0, 0], [2, 2], [1, 2])
    shift = graph.slice(matrix, [0, 3], [2, 4], [1, 2])
    turned = graph.node("MatMul", [points, graph.node("Transpose", [linear], perm=[0, 2, 1])])
    return graph.node("Add", [turned, graph.node("Transpose", [shift], perm=[0, 2, 1])])


def merge_landmarks(source: TfliteGraph, name: str) -> onnx.ModelProto:
    """The attention model with outputs ``landmarks`` (1, 478, 3) and ``face_flag`` (1, 1).

    Refined points replace the mesh's own, irises are appended. The refined points have
    no depth: they keep the mesh's, and an iris takes the mean depth of its eye's rim.
    """
    graph, outputs = source.graph, source.outputs()
    sizes = {"lips": 80, "left_eye": 71, "right_eye": 71, "left_iris": 5, "right_iris": 5}
    mesh = graph.reshape(outputs["output_mesh_identity"], [1, MESH_POINTS, 3])
    parts = [graph.slice(mesh, [0], [2], [2])]
    parts += [graph.reshape(outputs[f"output_{k}"], [1, n, 2]) for k, n in sizes.items()]
    index = list(range(MESH_POINTS + 10))
    offset = MESH_POINTS
    for subset in source.subsets:
        for position, point in enumerate(subset):
            index[point] = offset + position
        offset += len(subset)
    index[MESH_POINTS:] = range(offset, offset + 10)
    xy = graph.node("Gather", [graph.node("Concat", parts, axis=1), graph.constant(index)], axis=1)
    depth = graph.slice(mesh, [2], [3], [2])
    depths = [depth]
    for subset in source.subsets[1:]:
        rim = graph.node("Gather", [depth, graph.constant(subset[:16])], axis=1)
        mean = graph.node("ReduceMean", [rim, graph.constant([1])], keepdims=1)
        depths.append(graph.node("Expand", [mean, graph.constant([1, 5, 1])]))
    graph.node("Concat", [xy, graph.node("Concat", depths, axis=1)], "landmarks", axis=2)
    flag = graph.constant([1, 1])
    graph.node("Reshape", [outputs["conv_faceflag"], flag], "face_flag")
    shapes = [("landmarks", [1, MESH_POINTS + 10, 3]), ("face_flag", [1, 1])]
    height, width = source.shape(source.input_index)[1:3]
    return graph.model(name, [1, 3, height, width], shapes)
