"""The net that ships: a microphone survives the swap, a bare face loses nothing."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="draws a microphone; needs the extra 'train'")

from mien.config import GuardConfig, MarkConfig, OcclusionConfig, PipelineConfig
from mien.perception import FaceTracker
from mien.personas.library import Library
from mien.pipeline import Pipeline
from mien.training.occlusion_covering import Place, cover
from mien.training.occlusion_shards import BareFace
from mien.training.occlusion_sprites import KINDS, Sprite
from mien.training.synthetic.occluder_drawing import draw_mesh
from mien.training.synthetic.occluder_things import lathe
from mien.types import F32Array, Frame, U8Array
from tests.cli.conftest import demo_frames as demo_frames

_LIGHT = np.array([0.2, 0.5, 0.8, 0.7, 0.7, 0.7, 0.4, 0.4, 0.4], np.float32)


@pytest.fixture(scope="module")
def microphone() -> Sprite:
    """A dark ball on a dark stem."""
    arc = np.linspace(0, 0.85 * np.pi, 24)
    ball = np.stack([0.3 * np.sin(arc), 0.36 * np.cos(arc)], axis=1)
    profile = np.concatenate([ball, [[0.16, -0.5], [0.13, -2.4], [0.0, -2.4]]])
    mesh = lathe(profile, np.full((len(profile), 3), 0.04))
    return Sprite(planes=draw_mesh(mesh, distance=10.0), kind=KINDS.index("microphone"), shine=0.3)


def _opened(mode: str) -> Pipeline:
    config = PipelineConfig(
        occlusion=OcclusionConfig(mode=mode),  # type: ignore[arg-type]
        guard=GuardConfig(mode="hold"),
        mark=MarkConfig(badge=False, metadata=False),
    )
    pipeline = Pipeline.create(config, "mesh")
    pipeline.set_persona(Library(None).resolve("ada"), wait=True)
    return pipeline


def _swapped(frames: list[U8Array], mode: str) -> list[U8Array]:
    with _opened(mode) as pipeline:
        return [
            pipeline.process(
                Frame(index=i, bgr=bgr.copy(), capture_ns=i * 41_666_666, pts_ns=i * 41_666_666)
            ).frame.bgr
            for i, bgr in enumerate(frames)
        ]


@pytest.fixture(scope="module")
def covered(demo_frames: list[U8Array], microphone: Sprite) -> tuple[list[U8Array], list[F32Array]]:
    """The clip with a microphone before the mouth from the fourth picture on."""
    frames, masks = [], []
    with FaceTracker() as tracker:
        for i, bgr in enumerate(demo_frames[:12]):
            frame = Frame(index=i, bgr=bgr.copy(), capture_ns=i, pts_ns=i * 41_666_666)
            track = tracker.track(frame)[0]
            face = BareFace(picture=bgr, landmarks=track.landmarks, light=_LIGHT)
            mouth = track.landmarks[13, :2]
            scale = float(np.ptp(track.landmarks[:, 1])) / 1.75 / 60
            place = Place(
                anchor=(112.0, 112.0),
                target=(float(mouth[0]) + 8 * scale, float(mouth[1]) + 14 * scale),
                turn_deg=-15.0,
                scale=scale,
            )
            random = np.random.default_rng(4)
            picture, alpha = cover(bgr, face, microphone, place, random)
            frames.append(picture if i >= 3 else bgr)
            masks.append(alpha if i >= 3 else np.zeros_like(alpha))
    return frames, masks


def test_a_microphone_stays_before_the_persona(
    covered: tuple[list[U8Array], list[F32Array]],
) -> None:
    frames, masks = covered
    without, with_net = _swapped(frames, "off"), _swapped(frames, "on")
    kept = []
    for i in range(7, len(frames)):
        painted = np.abs(without[i].astype(int) - frames[i]).max(axis=2) > 24
        # Where the persona was painted over the microphone.
        lost = painted & (masks[i] > 0.9)
        assert lost.sum() > 50
        left = np.abs(with_net[i].astype(int) - frames[i]).max(axis=2) < 12
        kept.append(float((left & lost).sum() / lost.sum()))
    assert np.mean(kept) > 0.7


def test_a_bare_face_loses_nothing(demo_frames: list[U8Array]) -> None:
    frames = demo_frames[:12]
    without, with_net = _swapped(frames, "off"), _swapped(frames, "on")
    for one, other in zip(without, with_net, strict=True):
        changed = np.abs(one.astype(int) - other).max(axis=2) > 8
        assert changed.mean() < 0.0005
