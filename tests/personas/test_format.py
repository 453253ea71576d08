"""The .persona file: what is written comes back, and nothing hostile gets in."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as pack_tensors
from tests.personas.fakes import assert_same, make_persona, preview_jpeg

from mien.errors import OutputError, PersonaError
from mien.personas import Consent, load_persona, read_persona_file, save_persona
from mien.personas.format import pack_persona, unpack_persona
from mien.personas.signing import new_private_key

VALID = pack_persona(make_persona())


def parts_of(data: bytes = VALID) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rebuild(parts: dict[str, bytes], *, fix_hashes: bool = True) -> bytes:
    """An archive of the parts, with the manifest's hashes made to fit them."""
    parts = dict(parts)
    if fix_hashes and "manifest.json" in parts:
        manifest = json.loads(parts["manifest.json"])
        for name in ("arrays.safetensors", "preview.jpg"):
            if name in parts:
                manifest["parts"][name] = sha256(parts[name]).hexdigest()
        parts["manifest.json"] = json.dumps(manifest).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_manifest(change: Callable[[dict[str, Any]], object]) -> bytes:
    parts = parts_of()
    manifest = json.loads(parts["manifest.json"])
    change(manifest)
    return rebuild({**parts, "manifest.json": json.dumps(manifest).encode()})


def with_arrays(**arrays: Any) -> bytes:
    model = make_persona()
    fields = ("texture", "coverage", "shape", "iris_bgr", "skin_bgr", "descriptor")
    tensors = {field: getattr(model, field) for field in fields}
    tensors |= {key.replace("__", "."): value for key, value in arrays.items()}
    packed = pack_tensors({k: v for k, v in tensors.items() if v is not None})
    return rebuild({**parts_of(), "arrays.safetensors": packed})


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    persona = make_persona()
    save_persona(persona, tmp_path / "kim.persona")
    assert_same(load_persona(tmp_path / "kim.persona"), persona)


def test_text_in_any_script_comes_back() -> None:
    consent = Consent(statement="同意します ✓ \u202e", given_by="Žofie", until="2031-01-02")
    persona = make_persona(consent=consent)
    assert unpack_persona(pack_persona(persona)).persona.consent == consent


def test_same_persona_gives_same_bytes() -> None:
    assert pack_persona(make_persona()) == VALID


def test_file_holds_exactly_the_three_parts() -> None:
    assert list(parts_of()) == ["manifest.json", "arrays.safetensors", "preview.jpg"]


def test_existing_file_is_kept_unless_overwriting_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "kim.persona"
    path.write_bytes(b"precious")
    with pytest.raises(PersonaError, match="already there"):
        save_persona(make_persona(), path)
    assert path.read_bytes() == b"precious"
    save_persona(make_persona(), path, overwrite=True)
    assert path.read_bytes() == VALID


def test_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kim.persona"
    path.write_bytes(b"precious")

    def disk_full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OutputError, match="No space left"):
        save_persona(make_persona(), path, overwrite=True)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        save_persona(make_persona(), tmp_path / "nowhere" / "kim.persona")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../kim"}, "cannot be the name"),
        ({"name": "a" * 41}, "cannot be the name"),
        ({"name": "com1"}, "reserves"),
        ({"created": "yesterday"}, "creation time"),
        ({"consent": Consent(statement="  ", given_by="Kim")}, "no statement"),
        ({"consent": Consent(statement="yes", given_by="")}, "no giver"),
        ({"consent": Consent(statement="yes" * 1000, given_by="Kim")}, "characters"),
        ({"consent": Consent(statement="yes", given_by="Kim", until="soon")}, "not a date"),
        ({"texture": np.zeros((32, 31, 3), np.uint8)}, "not a square"),
        ({"texture": np.zeros((8, 8, 3), np.uint8)}, "not a square"),
        ({"coverage": np.zeros((16, 16), np.uint8)}, "coverage"),
        ({"shape": np.full((468, 3), np.nan, np.float32)}, "not finite"),
        ({"shape": np.full((468, 3), 1e6, np.float32)}, "outside"),
        ({"shape": np.zeros((467, 3), np.float32)}, "shape is"),
        ({"descriptor": np.zeros(128, np.float64)}, "descriptor is"),
        ({"iris_bgr": np.full(3, 300, np.float32)}, "outside"),
        ({"latents": {"x/y": np.zeros((2, 2), np.float32)}}, "cannot be the name"),
        ({"latents": {"big": np.zeros((65, 2), np.float32)}}, "latent"),
        ({"tunings": {"x/y": np.zeros(2, np.float32)}}, "cannot be the name"),
        ({"tunings": {"flat": np.zeros((2, 2), np.float32)}}, "not a list of numbers"),
        ({"tunings": {"big": np.zeros((1 << 20) + 1, np.float32)}}, "not a list of numbers"),
        ({"tunings": {"odd": np.full(3, np.inf, np.float32)}}, "not finite"),
        ({"tunings": {f"g{n}": np.zeros(2, np.float32) for n in range(5)}}, "at most 4"),
        ({"preview_jpeg": b"not a jpeg"}, "not a JPEG"),
        ({"preview_jpeg": b""}, "preview"),
        ({"preview_jpeg": preview_jpeg(1025)}, "1025x1025"),
    ],
)
def test_unsound_personas_are_not_written(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PersonaError, match=message):
        pack_persona(replace(make_persona(), **changes))


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(PersonaError, match="no persona file"):
        load_persona(tmp_path / "kim.persona")
    with pytest.raises(PersonaError, match="no persona file"):
        load_persona(tmp_path)


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo pickled",)


def zip_with(name: str, content: bytes, **attributes: Any) -> bytes:
    buffer = io.BytesIO(VALID)
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo(name)
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        archive.writestr(info, content)
    return buffer.getvalue()


def lie_about_size(name: str, claimed: int) -> bytes:
    """VALID with another inflated size in the directory's entry of a part."""
    data = bytearray(VALID)
    entry = data.rindex(name.encode()) - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    data[entry + 24 : entry + 28] = struct.pack("<I", claimed)
    return bytes(data)


def deep_json() -> bytes:
    return rebuild({**parts_of(), "manifest.json": b"[" * 15000}, fix_hashes=False)


def tensor_header(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return rebuild(
        {**parts_of(), "arrays.safetensors": len(text).to_bytes(8, "little") + text + body}
    )


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty or cut short"),
    "text": (b"hello, this is no persona at all", "not a ZIP"),
    "pickle": (pickle.dumps(Bomb()) + b"." * 40, "not a ZIP"),
    "cut short": (VALID[: len(VALID) // 2], "cut short"),
    "prefix": (b"#!/bin/sh\n" + VALID, "directory"),
    "trailing bytes": (VALID + b"x", "ZIP"),
    "pickle inside": (zip_with("data.pkl", pickle.dumps(Bomb())), "no part of a persona"),
    "path trick": (zip_with("../../evil.sh", b"x"), "no part of a persona"),
    "absolute path": (zip_with("/etc/passwd", b"x"), "no part of a persona"),
    "part missing": (rebuild({k: v for k, v in parts_of().items() if "jpg" not in k}), "lacks"),
    "bomb": (rebuild({**parts_of(), "preview.jpg": bytes(60_000_000)}), "at most"),
    "lying size": (lie_about_size("preview.jpg", 10), "cut short|damaged"),
    "huge size": (lie_about_size("preview.jpg", 2**31), "at most"),
    "wrong hash": (rebuild({**parts_of(), "preview.jpg": preview_jpeg(64)}, fix_hashes=False),
                   "hash"),
    "preview is code": (rebuild({**parts_of(), "preview.jpg": b"MZ" * 200}), "not a JPEG"),
    "big preview": (rebuild({**parts_of(), "preview.jpg": preview_jpeg(1100)}), "1100x1100"),
    "deep json": (deep_json(), "JSON"),
    "json list": (rebuild({**parts_of(), "manifest.json": b"[]"}, fix_hashes=False), "manifest"),
    "json nan": (rebuild({**parts_of(), "manifest.json": b'{"version": NaN}'}, fix_hashes=False),
                 "JSON"),
    "next version": (with_manifest(lambda m: m.update(version=2)), "version 2"),
    "odd version": (with_manifest(lambda m: m.update(version=True)), "version True"),
    "other format": (with_manifest(lambda m: m.update(format="zip")), "not that of a persona"),
    "no name": (with_manifest(lambda m: m.pop("name")), "lacks 'name'"),
    "number as name": (with_manifest(lambda m: m.update(name=5)), "wrong type"),
    "evil name": (with_manifest(lambda m: m.update(name="../../x")), "cannot be the name"),
    "no consent": (with_manifest(lambda m: m.pop("consent")), "lacks 'consent'"),
    "blank consent": (with_manifest(lambda m: m["consent"].update(statement=" ")), "statement"),
    "extra field": (with_manifest(lambda m: m.update(run="rm")), "unknown field"),
    "extra part": (with_manifest(lambda m: m["parts"].update(x="y")), "unknown field"),
    "bad signature": (
        with_manifest(lambda m: m.update(signature={
            "algorithm": "ed25519", "public_key": "00" * 32, "signature": "00" * 64})),
        "signature is wrong"),
    "odd signature": (
        with_manifest(lambda m: m.update(signature={
            "algorithm": "ed25519", "public_key": "zz", "signature": ""})), "damaged"),
    "other algorithm": (
        with_manifest(lambda m: m.update(signature={
            "algorithm": "none", "public_key": "", "signature": ""})), "does not know"),
    "nan in arrays": (with_arrays(shape=np.full((468, 3), np.inf, np.float32)), "not finite"),
    "huge texture": (with_arrays(texture=np.zeros((2100, 2100, 3), np.uint8)), "not a square"),
    "float texture": (with_arrays(texture=np.zeros((32, 32, 3), np.float32)), "texture is"),
    "unknown array": (with_arrays(weights=np.zeros(3, np.float32)), "unknown array"),
    "integer latent": (with_arrays(latents__x=np.zeros((2, 2), np.uint8)), "unknown array"),
    "double array": (with_arrays(descriptor=np.zeros(128, np.float64)), "not allowed"),
    "missing array": (with_arrays(texture=None), "lacks the array"),
    "tensor header": (tensor_header(b"{"), "JSON"),
    "tensor overlap": (
        tensor_header({k: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for k in "ab"},
                      b"1234"), "overlap"),
    "tensor beyond": (
        tensor_header({"a": {"dtype": "U8", "shape": [2**30], "data_offsets": [0, 2**30]}}),
        "does not fit"),
    "tensor negative": (
        tensor_header({"a": {"dtype": "U8", "shape": [-1], "data_offsets": [0, 1]}}, b"1"),
        "impossible shape"),
    "tensor tail": (
        tensor_header({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"12"),
        "after its last"),
    "tensor header length": (
        rebuild({**parts_of(), "arrays.safetensors": b"\xff" * 16}), "claims"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_damaged_and_hostile_files_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.persona"
    path.write_bytes(data)
    with pytest.raises(PersonaError, match=message) as caught:
        load_persona(path)
    assert caught.value.what.startswith("odd.persona: ")
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_duplicate_parts_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zip_with("preview.jpg", b"second")
    with pytest.raises(PersonaError, match="twice"):
        unpack_persona(data)


def test_encrypted_parts_are_refused() -> None:
    data = bytearray(VALID)
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    with pytest.raises(PersonaError, match="encrypted"):
        unpack_persona(bytes(data))


def test_bomb_is_refused_without_inflating_it() -> None:
    data = rebuild({**parts_of(), "arrays.safetensors": bytes(200_000_000)})
    tracemalloc.start()
    try:
        with pytest.raises(PersonaError, match="at most"):
            unpack_persona(data)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_many_directory_entries_are_refused_before_they_are_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(2000):
            archive.writestr(f"{number}", b"")
    with pytest.raises(PersonaError, match="directory"):
        unpack_persona(buffer.getvalue())


@settings(max_examples=400, deadline=None)
@given(
    flips=st.lists(
        st.tuples(st.integers(0, len(VALID) - 1), st.integers(1, 255)), min_size=1, max_size=8
    ),
    cut=st.one_of(st.none(), st.integers(0, len(VALID))),
)
def test_random_damage_is_refused_or_harmless(
    flips: list[tuple[int, int]], cut: int | None
) -> None:
    data = bytearray(VALID)
    for position, mask in flips:
        data[position] ^= mask
    try:
        content = unpack_persona(bytes(data[:cut]))
    except PersonaError:
        return
    # Bytes that mean nothing (times, permissions in the ZIP) may differ; the persona may not.
    assert_same(content.persona, make_persona())


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PersonaError):
        unpack_persona(data)


@settings(max_examples=200, deadline=None)
@given(header=st.binary(max_size=120), body=st.binary(max_size=60))
def test_random_tensor_headers_are_refused(header: bytes, body: bytes) -> None:
    with pytest.raises(PersonaError):
        unpack_persona(tensor_header(header, body))


def test_signature_is_checked_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "kim.persona"
    save_persona(make_persona(), path, private_key=new_private_key())
    signature = read_persona_file(path).signature
    assert signature.state == "valid"
    assert len(signature.key_fingerprint) == 16


def test_unsigned_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "kim.persona"
    save_persona(make_persona(), path)
    assert read_persona_file(path).signature.state == "unsigned"


def test_changing_a_signed_manifest_breaks_its_signature() -> None:
    signed = parts_of(pack_persona(make_persona(), private_key=new_private_key()))
    manifest = json.loads(signed["manifest.json"])
    manifest["consent"]["statement"] = "I agree to everything."
    forged = rebuild({**signed, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(PersonaError, match="signature is wrong"):
        unpack_persona(forged)


def test_lone_surrogates_in_a_signed_manifest_are_refused() -> None:
    signed = parts_of(pack_persona(make_persona(), private_key=new_private_key()))
    manifest = json.loads(signed["manifest.json"])
    manifest["consent"]["statement"] = "\ud800"
    forged = rebuild({**signed, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(PersonaError):
        unpack_persona(forged)
