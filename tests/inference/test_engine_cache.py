"""Engines on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import OutputError
from mien.inference.engine_cache import EngineCache, EngineKey, StaleEngineError

KEY = EngineKey(
    model_sha256="a" * 64,
    precision="fp16",
    gpu="NVIDIA H100 80GB HBM3",
    compute_capability="9.0",
    tensorrt="11.4.0.106",
    optimisation_level=3,
)
ENGINE = bytes(range(256)) * 40


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "made" / "when needed")
    assert cache.load(KEY) is None
    path = cache.store(KEY, ENGINE, 12.5)
    assert cache.load(KEY) == ENGINE
    assert path == cache.path(KEY)
    assert [item.name for item in path.parent.iterdir()] == [path.name], "no partial file is left"


def test_every_part_of_the_key_matters(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.store(KEY, ENGINE, 1.0)
    names = {cache.path(KEY).name}
    for field in dataclasses.fields(KEY):
        other = dataclasses.replace(KEY, **{field.name: 1 if field.type == "int" else "other"})
        assert cache.load(other) is None
        names.add(cache.path(other).name)
    assert len(names) == 1 + len(dataclasses.fields(KEY))


def test_an_engine_under_anothers_name_is_refused(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    other = dataclasses.replace(KEY, gpu="NVIDIA A10", tensorrt="10.0.1")
    os.replace(cache.store(KEY, ENGINE, 1.0), cache.path(other))
    with pytest.raises(StaleEngineError, match="another gpu, tensorrt"):
        cache.load(other)


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_no_damage_goes_unseen(
    tmp_path_factory: pytest.TempPathFactory, at: float, bit: int, cut: bool
) -> None:
    cache = EngineCache(tmp_path_factory.mktemp("cache"))
    path = cache.store(KEY, ENGINE, 1.0)
    data = bytearray(path.read_bytes())
    position = int(at * len(data))
    if cut:
        data = data[:position]
    else:
        data[position] ^= 1 << bit
    path.write_bytes(data)
    with contextlib.suppress(StaleEngineError):
        assert cache.load(KEY) == ENGINE  # a flip in build_s harms nothing


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OutputError, match="cannot write"):
        EngineCache(blocked / "engines").store(KEY, ENGINE, 1.0)
