"""Files that lie, are cut off or try to run something: one clear error, nothing else happens."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mien.errors import ModelError
from mien.networks import GeneratorConfig, random_generator, read_checkpoint
from mien.networks._pickle_machine import Global, PickleMachine, Stub
from mien.networks._torch_storage import LazyStorage, LazyTensor
from tests.networks.snapshot_writer import write_snapshot

_TINY = GeneratorConfig(
    z_dim=4, w_dim=4, img_resolution=16, channel_base=32, channel_max=4, num_layers=4
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    checkpoint = random_generator(_TINY).checkpoint()
    path = tmp_path_factory.mktemp("tiny") / "tiny.pkl"
    return write_snapshot(path, checkpoint.init_kwargs, checkpoint.tensors).read_bytes()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A snapshot of nothing but the averaged generator, so that every tensor in it counts."""
    checkpoint = random_generator(_TINY).checkpoint()
    path = tmp_path_factory.mktemp("bare") / "bare.pkl"
    kwargs, tensors = checkpoint.init_kwargs, checkpoint.tensors
    return write_snapshot(path, kwargs, tensors, extras=False).read_bytes()


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], object]:
    def reader(content: bytes) -> object:
        path = tmp_path / "hostile.pkl"
        path.write_bytes(content)
        return read_checkpoint(path)

    return reader


class _Call:
    """Pickled as a call of any function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


class _WithState:
    def __reduce__(self) -> tuple[Any, ...]:
        return Exception, ("x",), {"__class__": "nothing", "args": 3}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_named_functions_are_never_called(
    protocol: int, read: Callable[[bytes], object], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    payloads: list[object] = [
        _Call(os.system, f"echo x > {trace}"),
        _Call(eval, f"open({str(trace)!r}, 'w')"),
        _Call(exec, f"open({str(trace)!r}, 'w')"),
        _Call(open, str(trace), "w"),
        _Call(subprocess.Popen, ["touch", str(trace)]),
        _Call(pickle.loads, pickle.dumps(_Call(os.system, f"echo x > {trace}"))),
        _Call(getattr, os, "system"),
        _WithState(),
    ]
    for payload in payloads:
        for root in (payload, {"G_ema": payload}, [payload], {"x": {"y": (payload,)}}):
            with pytest.raises(ModelError):
                read(_pickled(root, protocol))
    assert not trace.exists()


def _pickled(value: object, protocol: int) -> bytes:
    if any(isinstance(part, _Call) and os in part.arguments for part in _parts(value)):
        # Modules cannot be pickled; a hand-written stream can name one all the same.
        return b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\nX\x06\x00\x00\x00system\x86R."
    return pickle.dumps(value, protocol=protocol)


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return [p for v in value.values() for p in _parts(v)]
    if isinstance(value, (list, tuple)):
        return [p for v in value for p in _parts(v)]
    return [value]


def test_unknown_globals_become_inert() -> None:
    stream = pickle.dumps(_Call(os.system, "echo"), protocol=4)
    value = PickleMachine(memoryview(stream), {}).run()
    assert isinstance(value, Stub)
    assert value.kind.name == "system"
    assert value.arguments == ("echo",)


def test_values_read_as_python_reads_them() -> None:
    value = {
        "a": [1, -1, 255, 65535, -(2**31), 2**70, 1.5, None, True, False],
        "b": ("x", ("y", "z", 1), (), (1, 2, 3, 4)),
        3: {"nested": {}, "text": "a" * 300, "unicode": "ä\U0001f600"},
    }
    for protocol in (2, 3, 4, 5):
        stream = memoryview(pickle.dumps(value, protocol=protocol))
        assert PickleMachine(stream, {}).run() == value
    data = memoryview(pickle.dumps(b"\x00\xff" * 300, protocol=4))
    found = PickleMachine(data, {}).run()
    assert isinstance(found, memoryview)
    assert bytes(found) == b"\x00\xff" * 300


def test_arguments_of_a_call_reach_only_known_constructors() -> None:
    stream = memoryview(pickle.dumps(_Call(np.float64, 3), protocol=4))
    kind = Global("numpy", "float64")
    assert PickleMachine(stream, {kind: lambda a: ("made", a)}).run() == ("made", (3,))


_GIANTS = {
    "bytes8": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x" * 32,
    "bytes4": b"\x80\x04B" + struct.pack("<I", 0xFFFFFFFF) + b"x" * 32,
    "text8": b"\x80\x04\x8d" + struct.pack("<Q", (1 << 64) - 1) + b"x" * 32,
    "text4": b"\x80\x04X" + struct.pack("<I", 0xFFFFFFFF) + b"x" * 32,
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x" * 32,
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 63) + b"N." + b"x" * 32,
    "long": b"\x80\x04\x8a\xff" + b"\x7f" * 255 + b".",
    "long4": b"\x80\x04\x8b" + struct.pack("<I", 0x7FFFFFFF) + b"\x01" * 32,
    "memo": b"\x80\x02}r" + struct.pack("<I", 0xFFFFFFFF) + b"." + b"x" * 32,
    "extension": b"\x80\x02\x84" + struct.pack("<I", 0x7FFFFFFF) + b"." + b"x" * 32,
    "text protocol": b"\x80\x02cos\nsystem\n(S'echo'\ntR." + b"x" * 32,
    "instance": b"\x80\x02(S'echo'\nios\nsystem\n." + b"x" * 32,
    "endless name": b"\x80\x02c" + b"a" * 5000 + b"\n" + b"b\n." + b"x" * 32,
    "no stack": b"\x80\x02" + b"R" * 32,
    "no mark": b"\x80\x02" + b"t" * 32,
    "marks only": b"\x80\x02" + b"(" * 64 + b".",
    "self": b"\x80\x02]q\x00h\x00a." + b"x" * 32,
    "dangling": b"\x80\x02h\x07." + b"x" * 32,
    "outside": b"\x80\x02X\x01\x00\x00\x00aQ." + b"x" * 32,
    "newer protocol": b"\x80\x06N." + b"x" * 32,
    "empty dict": b"\x80\x02}." + b"x" * 32,
    "just bytes": bytes(range(256)) * 4,
    "zeros": bytes(4096),
    "html": b"<!DOCTYPE html><html>not found</html>" * 10,
    "gzip": b"\x1f\x8b\x08" + bytes(64),
}


@pytest.mark.parametrize("name", sorted(_GIANTS))
def test_lies_about_size_fail_before_anything_is_allocated(
    name: str, read: Callable[[bytes], object]
) -> None:
    with pytest.raises(ModelError) as caught:
        read(_GIANTS[name])
    assert caught.value.hint


def test_endless_streams_are_cut_short(read: Callable[[bytes], object]) -> None:
    for filler in (b"}", b"N", b"(", b"]", b")"):
        with pytest.raises(ModelError, match=r"opcodes|ends early"):
            read(b"\x80\x04" + filler * 1_200_000)


def test_deep_nesting_needs_no_recursion(read: Callable[[bytes], object]) -> None:
    depth = 200_000
    with pytest.raises(ModelError, match="no generator"):
        read(b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b".")
    with pytest.raises(ModelError, match="no generator"):
        read(b"\x80\x04)" + b"\x85" * depth + b".")


def test_shared_keys_cannot_be_hashed_forever(read: Callable[[bytes], object]) -> None:
    # A tuple of two references to a tuple of two references ...: 2^60 leaves.
    stream = b"\x80\x04}N" + b"2\x86" * 60 + b"Ns." + b"x" * 16
    with pytest.raises(ModelError):
        read(stream)


def _module(state: bytes, name: bytes = b"Generator") -> bytes:
    """A module whose state is what the opcodes ``state`` leave on the stack."""
    meta = b"}(" + _text(b"type") + _text(b"class") + _text(b"class_name") + _text(name)
    meta += _text(b"state") + state + b"u"
    return b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n" + meta + b"\x85R"


def _text(value: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value


def test_modules_that_contain_themselves_end(read: Callable[[bytes], object]) -> None:
    # state = {"_init_kwargs": {}, "_modules": M} with M = {"mapping": module of state}
    state = b"}q\x01(" + _text(b"_init_kwargs") + b"}" + _text(b"_modules") + b"}q\x02u"
    stream = b"\x80\x02" + _module(state) + b"h\x02" + _text(b"a") + _module(b"h\x01") + b"s0."
    with pytest.raises(ModelError, match="nest without end"):
        read(stream)


@pytest.mark.parametrize(
    "state",
    [
        b"]",
        b"}",
        b"N",
        b"}" + _text(b"_init_kwargs") + b"Ns",
        b"}" + _text(b"_init_kwargs") + b"}s",
    ],
)
def test_modules_without_content_are_refused(state: bytes, read: Callable[[bytes], object]) -> None:
    with pytest.raises(ModelError):
        read(b"\x80\x02" + _module(state) + b"." + b"x" * 16)


def test_stylegan2_is_called_by_its_name(tmp_path: Path) -> None:
    checkpoint = random_generator(_TINY).checkpoint()
    tensors = {"mapping.w_avg": np.ones(4), "synthesis.b4.const": np.ones((4, 4, 4))}
    path = tmp_path / "s2.pkl"
    write_snapshot(path, checkpoint.init_kwargs, tensors, classes={"b4": "SynthesisBlock"})
    with pytest.raises(ModelError, match="SynthesisBlock") as caught:
        read_checkpoint(path)
    assert "StyleGAN2" in caught.value.hint


def test_tensors_reaching_beyond_their_storage_are_refused(
    bare: bytes, read: Callable[[bytes], object]
) -> None:
    # A tensor's arguments: the storage just made (R, memoised), offset 0, shape (4,).
    place = b"R\x94K\x00K\x04\x85"
    assert place in bare
    for lie in (b"R\x94K\x01K\x04\x85", b"R\x94K\xffK\x04\x85", b"R\x94NK\x04\x85"):
        with pytest.raises(ModelError):
            read(bare.replace(place, lie, 1))


def test_tensors_may_not_grow_beyond_their_storage() -> None:
    storage = LazyStorage(memoryview(_storage_bytes(8)))
    np.testing.assert_array_equal(
        LazyTensor(storage, 2, (2, 3), (3, 1)).read(), [[2, 3, 4], [5, 6, 7]]
    )
    np.testing.assert_array_equal(LazyTensor(storage, 0, (2, 2), (1, 4)).read(), [[0, 4], [1, 5]])
    np.testing.assert_array_equal(LazyTensor(storage, 7, (), ()).read(), 7)
    for offset, shape, strides in (
        (0, (1 << 30, 1 << 30), (0, 0)),
        (0, (9,), (1,)),
        (0, (2, 5), (0, 1)),
        (8, (1,), (1,)),
        (0, (2,), (1 << 39,)),
        (1 << 50, (1,), (1,)),
    ):
        with pytest.raises(ModelError, match="beyond its storage"):
            LazyTensor(storage, offset, shape, strides).read()


def _storage_bytes(count: int) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = torch.arange(count, dtype=torch.float32).storage()  # type: ignore[no-untyped-call]
        torch.save(storage, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def test_storages_with_another_count_are_refused(
    bare: bytes, read: Callable[[bytes], object]
) -> None:
    # The count stands behind the list of keys that ends a storage's last pickle.
    start = bare.index(struct.pack("<q", 4), bare.index(b"storage"))
    assert bare[start - 1 : start] == b"."
    for lie in (0, 5, 1 << 40, -1):
        with pytest.raises(ModelError):
            read(bare[:start] + struct.pack("<q", lie) + bare[start + 8 :])


def test_storage_types_outside_torch_are_refused(
    bare: bytes, read: Callable[[bytes], object]
) -> None:
    with pytest.raises(ModelError, match="unknown type"):
        read(bare.replace(b"ctorch\nFloatStorage", b"cposix\nFloatStorage"))
    with pytest.raises(ModelError, match="unknown type"):
        read(bare.replace(b"ctorch\nFloatStorage", b"ctorch\nBloatStorage"))


def test_truncated_files_are_refused_at_every_length(
    tiny: bytes, read: Callable[[bytes], object]
) -> None:
    for length in [*range(0, 600, 7), *range(600, len(tiny) - 1, max(1, len(tiny) // 150))]:
        with pytest.raises(ModelError):
            read(tiny[:length])


def test_archives_are_refused_unopened(read: Callable[[bytes], object]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 << 20))
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(ModelError, match="zip archive"):
        read(buffer.getvalue())


def test_missing_file_folder_and_empty_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pkl"
    empty.touch()
    for path in (tmp_path / "none.pkl", tmp_path, empty):
        with pytest.raises(ModelError):
            read_checkpoint(path)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_bytes_give_a_generator_or_a_clear_error(tiny: bytes, data: st.DataObject) -> None:
    content = bytearray(tiny)
    # Half of the flips go where structure is, half anywhere.
    structure = [i for i in range(len(tiny)) if tiny[i : i + 1] in b"(}uRbsKMXB\x8c\x85\x86\x94"]
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.one_of(st.sampled_from(structure), st.integers(0, len(tiny) - 1)))
        content[position] = data.draw(st.integers(0, 255))
    _read_in_memory(bytes(content))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
@example(b"\x80\x04}.")
def test_arbitrary_streams_give_a_value_or_a_clear_error(content: bytes) -> None:
    _read_in_memory(b"\x80\x04" + content)


def _read_in_memory(content: bytes) -> None:
    from mien.networks.checkpoint import _read

    with contextlib.suppress(ModelError):
        _read(Path("fuzzed.pkl"), memoryview(content))


# Safetensors and its settings ------------------------------------------------------------


def _safetensors(table: object, body: bytes = b"") -> bytes:
    header = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(header)) + header + body


def _entry(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


_TABLES = {
    "beyond": _safetensors(_entry(data_offsets=[0, 1 << 40])),
    "backwards": _safetensors(_entry(data_offsets=[8, 0]), bytes(8)),
    "negative": _safetensors(_entry(shape=[-2]), bytes(8)),
    "giant": _safetensors(_entry(shape=[1 << 40, 1 << 40]), bytes(8)),
    "dimensions": _safetensors(_entry(shape=[1] * 99 + [2]), bytes(8)),
    "type": _safetensors(_entry(dtype="PY"), bytes(8)),
    "no list": _safetensors({"a": 3}),
    "floats": _safetensors(_entry(shape=[2.0]), bytes(8)),
    "not json": _safetensors(b"{" + b"\xff" * 40),
    "deep": _safetensors(b'{"a":' * 100_000),
    "unexpected": _safetensors(_entry(), bytes(8)),
}


@pytest.mark.parametrize("name", sorted(_TABLES))
def test_safetensors_that_lie_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(_TABLES[name])
    (tmp_path / "m.json").write_text(json.dumps({"init_kwargs": _TINY.to_init_kwargs()}))
    with pytest.raises(ModelError):
        read_checkpoint(tmp_path / "m.safetensors")


_NO_SETTINGS = {
    "empty": "",
    "list": "[]",
    "nothing": "{}",
    "number": '{"init_kwargs": 3}',
    "deep": "[" * 100_000,
    "zero": "\x00",
    "other": '{"init_kwargs": {}, "class_name": "Discriminator"}',
}


@pytest.mark.parametrize("name", sorted(_NO_SETTINGS))
def test_settings_that_are_none_are_refused(name: str, t64_path: Path, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(t64_path.read_bytes())
    (tmp_path / "m.json").write_text(_NO_SETTINGS[name])
    with pytest.raises(ModelError):
        read_checkpoint(tmp_path / "m.safetensors")


_BOUNDED = """
import resource, sys
from mien.errors import ModelError
from mien.networks import read_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_checkpoint(sys.argv[1])
except ModelError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs getrusage")
def test_millions_of_objects_are_refused_while_small(tmp_path: Path) -> None:
    path = tmp_path / "objects.pkl"
    path.write_bytes(b"\x80\x04" + b"}" * 10_000_000)
    result = subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(path)], capture_output=True, text=True, check=True
    )
    # A million tables of 64 bytes, their places on the stack, and the mapped file.
    assert float(result.stdout) < 200e6
