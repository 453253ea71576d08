"""``mien persona create`` before and after the work of making one; ``mien models list``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.personas import load_persona
from mien_streamer.cli.models import _size
from tests.cli.conftest import PERSONA, Mien, sound_persona


def test_a_name_that_is_taken_is_said_before_any_work(
    mien: Mien, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mien.personas.create.create_persona", lambda *a, **k: pytest.fail("work was done")
    )
    refused = mien("persona", "create", PERSONA.upper(), tmp_path / "p.png", "--consent", "yes")
    assert refused.code == 3
    assert "there is already a persona 'tess'" in refused.err
    odd = mien("persona", "create", "Zoë", tmp_path / "p.png", "--consent", "yes")
    assert odd.code == 3
    assert "letters a to z" in odd.err


def test_one_that_hides_a_face_of_the_cast_says_so(
    mien: Mien, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mien.personas.create.create_persona", lambda name, *a, **k: sound_persona(name)
    )
    made = mien("persona", "create", "ada", tmp_path / "p.png", "--consent", "yes")
    assert made.code == 0, made.err
    assert "in place of the cast's" in made.err
    assert load_persona(home / "personas" / "ada.persona").name == "ada"
    other = mien("persona", "create", "kim", tmp_path / "p.png", "--consent", "yes")
    assert "cast" not in other.err


def test_small_models_have_a_size(tmp_path: Path) -> None:
    path = tmp_path / "model"
    assert _size(path) == "gone"
    for count, text in ((34_100, "34.1 kB"), (2_100_000, "2.1 MB")):
        path.write_bytes(b"x" * count)
        assert _size(path) == text
