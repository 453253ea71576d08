"""Weight files of both formats give the same generator."""

from __future__ import annotations

import json
import pickletools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from mien.errors import ModelError, OutputError
from mien.networks import (
    Checkpoint,
    GeneratorConfig,
    load_generator,
    random_generator,
    read_checkpoint,
    save_checkpoint,
)
from tests.networks.golden import Golden
from tests.networks.snapshot_writer import TRACE, write_snapshot


@pytest.fixture
def snapshot(golden: Golden, tmp_path: Path) -> Path:
    checkpoint = read_checkpoint(golden.weights)
    kwargs = golden.description["init_kwargs"]
    return write_snapshot(tmp_path / "snapshot.pkl", kwargs, checkpoint.tensors)


def _same(a: Checkpoint, b: Checkpoint) -> None:
    assert a.config == b.config
    assert a.tensors.keys() == b.tensors.keys()
    for name, values in a.tensors.items():
        np.testing.assert_array_equal(values, b.tensors[name], err_msg=name)


def test_snapshot_holds_what_the_reader_must_cope_with(snapshot: Path) -> None:
    found = {a for op, a, _ in pickletools.genops(snapshot.read_bytes()) if isinstance(a, str)}
    for name in (
        "_reconstruct_persistent_obj",
        "OrderedDict",
        "_rebuild_parameter",
        "_rebuild_tensor_v2",
        "_load_from_bytes",
        "scalar",
        "_reconstruct",
        "dtype",
        "ndarray",
        "EasyDict",
        TRACE,
    ):
        assert name in found


def test_snapshot_and_safetensors_hold_the_same(snapshot: Path, golden: Golden) -> None:
    _same(read_checkpoint(snapshot), read_checkpoint(golden.weights))


def test_conversion_loses_nothing(snapshot: Path, tmp_path: Path) -> None:
    original = read_checkpoint(snapshot)
    path = save_checkpoint(original, tmp_path / "model.safetensors")
    _same(original, read_checkpoint(path))
    settings = json.loads((tmp_path / "model.json").read_text())
    assert settings["weights_sha256"] == original.sha256() == read_checkpoint(path).sha256()
    assert not list(tmp_path.glob(".*"))


def test_loaded_generator_draws_from_the_snapshot(snapshot: Path, golden: Golden) -> None:
    generator = load_generator(snapshot)
    ws = torch.from_numpy(golden.stacked(1))
    expected = load_generator(golden.weights).synthesis(ws)
    assert torch.equal(generator.synthesis(ws), expected)
    assert generator.num_ws == golden.description["num_ws"]
    assert (generator.z_dim, generator.w_dim, generator.img_resolution) == (64, 64, 64)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # Relative rounding of each format: half a unit in its last place.
    [(torch.float16, 2**-11), (torch.bfloat16, 2**-8), (torch.float64, 0.0)],
)
def test_other_precisions_become_float32(
    dtype: torch.dtype, tolerance: float, golden: Golden, tmp_path: Path
) -> None:
    checkpoint = read_checkpoint(golden.weights)
    kwargs = golden.description["init_kwargs"]
    path = write_snapshot(tmp_path / "s.pkl", kwargs, checkpoint.tensors, dtype=dtype)
    for name, values in read_checkpoint(path).tensors.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, checkpoint.tensors[name], rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_safetensors_become_float32(
    dtype: type, golden: Golden, tmp_path: Path
) -> None:
    checkpoint = read_checkpoint(golden.weights)
    lowered: dict[str, Any] = {k: v.astype(dtype) for k, v in checkpoint.tensors.items()}
    save_file(lowered, tmp_path / "half.safetensors")
    shutil.copy(golden.weights.with_suffix(".json"), tmp_path / "half.json")
    loaded = read_checkpoint(tmp_path / "half.safetensors")
    for name, values in lowered.items():
        np.testing.assert_array_equal(loaded.tensors[name], values.astype(np.float32))


def test_filters_that_a_file_leaves_out_are_designed(golden: Golden, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(golden.weights)
    kept = {k: v for k, v in checkpoint.tensors.items() if not k.endswith("_filter")}
    save_file(kept, tmp_path / "bare.safetensors")
    shutil.copy(golden.weights.with_suffix(".json"), tmp_path / "bare.json")
    loaded = read_checkpoint(tmp_path / "bare.safetensors")
    for name, values in checkpoint.tensors.items():
        np.testing.assert_allclose(loaded.tensors[name], values, rtol=2e-7, atol=1e-9)


def test_conditional_generator_survives_the_round_trip(tmp_path: Path) -> None:
    config = GeneratorConfig(
        z_dim=8, w_dim=8, c_dim=3, img_resolution=16, channel_base=128, channel_max=8, num_layers=4
    )
    generator = random_generator(config, seed=3)
    path = save_checkpoint(generator.checkpoint(), tmp_path / "c.safetensors")
    loaded = load_generator(path)
    z, c = torch.ones(2, 8), torch.eye(3)[:2]
    assert torch.equal(generator(z, c=c), loaded(z, c=c))
    with pytest.raises(ValueError, match="label"):
        loaded.mapping(z)


def test_missing_settings_are_named(golden: Golden, tmp_path: Path) -> None:
    shutil.copy(golden.weights, tmp_path / "alone.safetensors")
    with pytest.raises(ModelError, match=r"alone\.json is missing"):
        read_checkpoint(tmp_path / "alone.safetensors")


def test_weights_of_another_size_are_refused(golden: Golden, tmp_path: Path) -> None:
    shutil.copy(golden.weights, tmp_path / "m.safetensors")
    settings = {**golden.description, "init_kwargs": {"z_dim": 64, "w_dim": 64}}
    (tmp_path / "m.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="lacks tensors"):
        read_checkpoint(tmp_path / "m.safetensors")


def test_broken_numbers_are_refused(golden: Golden, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(golden.weights)
    tensors = dict(checkpoint.tensors)
    tensors["mapping.w_avg"] = np.full(64, np.nan, dtype=np.float32)
    save_file(tensors, tmp_path / "nan.safetensors")
    shutil.copy(golden.weights.with_suffix(".json"), tmp_path / "nan.json")
    with pytest.raises(ModelError, match=r"mapping\.w_avg are not finite"):
        read_checkpoint(tmp_path / "nan.safetensors")


def test_saving_into_nowhere_is_an_output_error(golden: Golden, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(golden.weights)
    with pytest.raises(OutputError):
        save_checkpoint(checkpoint, tmp_path / "missing" / "m.safetensors")
    with pytest.raises(ValueError, match="safetensors"):
        save_checkpoint(checkpoint, tmp_path / "m.bin")


_LOAD = """
import resource, sys, time
import numpy, torch
from mien.networks import load_generator
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
generator = load_generator(sys.argv[1])
print(time.process_time() - start)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs getrusage")
def test_large_snapshot_loads_fast_and_small(tmp_path: Path) -> None:
    generator = random_generator(GeneratorConfig(img_resolution=256))
    path = tmp_path / "large.pkl"
    checkpoint = generator.checkpoint()
    write_snapshot(path, checkpoint.init_kwargs, checkpoint.tensors, extras=False)
    size = path.stat().st_size
    assert size > 110e6
    result = subprocess.run(
        [sys.executable, "-c", _LOAD, str(path)], capture_output=True, text=True, check=True
    )
    seconds, grown = map(float, result.stdout.split())
    # Measured: 1.3 s and 1.93 times the file, the mapped file itself included.
    assert seconds < 5.0
    assert grown < 2.5 * size
