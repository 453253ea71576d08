"""The canonical face of MediaPipe's npm package, as safetensors."""

from __future__ import annotations

import json
import re

import numpy as np
from convert_onnx_graph import Array

_ASSET = "geometry_pipeline_metadata_landmarks.binarypb"


def asset_of(loader: str, packed: bytes) -> bytes:
    """The face geometry inside the packed assets, found by the loader script's table."""
    for entry in re.findall(r"\{[^{}]*\"filename\"[^{}]*\}", loader):
        record = json.loads(entry)
        if record["filename"].endswith(_ASSET):
            return packed[record["start"] : record["end"]]
    raise ValueError(f"{_ASSET} is not in the packed assets")


def convert_canonical_face(content: bytes) -> dict[str, Array]:
    """Vertices, UV layout, triangles and pose weights of the canonical face.

    Args:
        content: the ``GeometryPipelineMetadata`` message.

    Returns:
        vertices (468, 3), uv (468, 2), procrustes_weights (468,) float32, and
        triangles (898, 3) int32.
    """
    from mediapipe.modules.face_geometry.protos import geometry_pipeline_metadata_pb2

    message = geometry_pipeline_metadata_pb2.GeometryPipelineMetadata.FromString(content)
    mesh = message.canonical_mesh
    vertices = np.array(mesh.vertex_buffer, np.float32).reshape(-1, 5)
    weights = np.zeros(len(vertices), np.float32)
    for entry in message.procrustes_landmark_basis:
        weights[entry.landmark_id] = entry.weight
    return {
        "vertices": np.ascontiguousarray(vertices[:, :3]),
        "uv": np.ascontiguousarray(vertices[:, 3:]),
        "triangles": np.array(mesh.index_buffer, np.int32).reshape(-1, 3),
        "procrustes_weights": weights,
    }
