"""Perception: where the faces are, how they move, and who they are."""

from mien.perception._engines import NETWORKS, engine_runner
from mien.perception.descriptor import SAME_PERSON, FaceDescriptor, distance
from mien.perception.pose import estimate_pose
from mien.perception.tracker import FaceTracker

__all__ = [
    "NETWORKS",
    "SAME_PERSON",
    "FaceDescriptor",
    "FaceTracker",
    "distance",
    "engine_runner",
    "estimate_pose",
]
