"""Samples come back as they were written, and nothing else is taken for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mien.errors import MediaError
from mien.training.shards import find_shards, read_shard, write_shard

from .conftest import draw_sample

FIELDS = ("performer", "composite", "truth", "matte", "swapped", "landmarks", "tags")


def test_samples_come_back_bit_for_bit(tmp_path: Path) -> None:
    samples = [draw_sample(1), draw_sample(2)]
    write_shard(tmp_path / "a.safetensors", samples)
    back = read_shard(tmp_path / "a.safetensors")
    assert len(back) == 2
    for before, after in zip(samples, back, strict=True):
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_no_unfinished_file_is_left(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.safetensors", [draw_sample(1)])
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_an_empty_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        write_shard(tmp_path / "a.safetensors", [])


def test_a_folder_without_shards_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="train takes"):
        find_shards(tmp_path)


def test_broken_and_foreign_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a shard")
    with pytest.raises(MediaError, match=r"broken\.safetensors"):
        read_shard(broken)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, foreign)
    with pytest.raises(MediaError, match="does not hold mien-refiner-1"):
        read_shard(foreign)
