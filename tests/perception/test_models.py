"""The catalogue lists what ships, and nothing else is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.errors import ModelError
from mien.models import catalogue as module
from mien.models.catalogue import catalogue, model_bytes, model_path, verify


def test_every_listed_file_has_its_hash() -> None:
    assert [model.name for model in verify()] == list(catalogue())


def test_every_model_file_of_the_package_is_listed() -> None:
    folder = model_path("canonical_face").parent
    folders = {(folder / model.file).parent for model in catalogue().values()}
    shipped = {
        path.relative_to(folder).as_posix()
        for one in folders
        for path in one.iterdir()
        if path.suffix in {".onnx", ".safetensors"}
    }
    assert shipped == {model.file for model in catalogue().values()}


def test_every_model_names_licence_origin_and_purpose() -> None:
    for model in catalogue().values():
        assert model.licence in {"Apache-2.0", "CC0-1.0"}
        assert len(model.origin) > 20
        assert len(model.purpose) > 20


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="dlib_face128"):
        model_path("arcface")


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    catalogue()  # cached from the real folder
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    return tmp_path


def test_a_missing_file_is_refused_with_what_to_do(empty_folder: Path) -> None:
    with pytest.raises(ModelError, match="missing") as caught:
        model_bytes("canonical_face")
    assert "reinstall" in caught.value.hint
    assert caught.value.exit_code == 4


def test_a_changed_byte_is_noticed(empty_folder: Path) -> None:
    for model in catalogue().values():
        (empty_folder / model.file).parent.mkdir(exist_ok=True)
        (empty_folder / model.file).write_bytes(b"not a face")
    with pytest.raises(ModelError, match="corrupt"):
        model_bytes("canonical_face")
    with pytest.raises(ModelError, match="face_detection_short_range"):
        verify()
