"""How a head that turns is seen by a camera."""

from __future__ import annotations

import numpy as np

from mien.types import F32Array, HeadPose


def pose_seen(angles_deg: F32Array, axes: F32Array) -> F32Array:
    """(3,) yaw, pitch and roll of a head as the camera sees it, degrees.

    Args:
        angles_deg: the head's own yaw, pitch and roll; roll is applied first.
        axes: (3, 3), rows are the camera's right, up and backward directions.
    """
    yaw, pitch, roll = np.radians(angles_deg)
    about_z = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    pose = HeadPose(
        rotation=np.asarray(axes @ about_y @ about_x @ about_z, np.float32),
        scale=1.0,
        translation=np.zeros(3, np.float32),
    )
    return np.array([pose.yaw_deg, pose.pitch_deg, pose.roll_deg], np.float32)
