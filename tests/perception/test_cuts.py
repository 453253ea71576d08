"""Cuts are noticed; motion, noise and light are not cuts."""

from __future__ import annotations

import numpy as np
import pytest

from mien.perception.cuts import CutDetector
from mien.types import U8Array
from tests.perception.stage import Actor, backdrop, clip, compose


def is_cut(first: U8Array, second: U8Array) -> bool:
    detector = CutDetector()
    assert not detector.is_cut(first)
    return detector.is_cut(second)


def test_another_scene_is_a_cut() -> None:
    assert is_cut(clip("clip1")[0], clip("clip2")[0])
    assert is_cut(backdrop(1), backdrop(2))


def test_another_size_is_a_cut() -> None:
    assert is_cut(backdrop(), np.ascontiguousarray(backdrop()[::2, ::2]))


@pytest.mark.parametrize("name", ["clip1", "clip2"])
def test_a_shot_holds_no_cut(name: str) -> None:
    detector = CutDetector()
    assert not any(detector.is_cut(frame) for frame in clip(name))


def test_a_flash_and_a_darkened_room_are_no_cuts() -> None:
    scene = backdrop()
    brighter = np.clip(scene.astype(int) * 1.3 + 40, 0, 255).astype(np.uint8)
    assert not is_cut(scene, brighter)
    assert not is_cut(scene, scene // 3)


def test_noise_in_the_dark_is_no_cut() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 12, (2, 360, 640, 3), dtype=np.uint8)
    assert not is_cut(first, second)


def test_a_face_that_walks_in_is_no_cut() -> None:
    assert not is_cut(backdrop(), compose([Actor("b", 320, size=300)], backdrop()))


def test_after_a_reset_the_next_frame_is_no_cut() -> None:
    detector = CutDetector()
    detector.is_cut(backdrop(1))
    detector.reset()
    assert not detector.is_cut(backdrop(2))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (37, 2, 3)])
def test_slivers_do_no_harm(shape: tuple[int, int, int]) -> None:
    assert not is_cut(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
