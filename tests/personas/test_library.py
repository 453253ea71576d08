"""Personas are found by path, by name in the library and by name in the cast."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from tests.personas.fakes import assert_same, make_persona

from mien.errors import OutputError, PersonaError
from mien.personas import (
    Consent,
    Library,
    Persona,
    cast_names,
    load_persona,
    new_private_key,
    read_persona_file,
    save_persona,
)
from mien.personas.library import default_root


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "personas", today=lambda: date(2025, 6, 1))


def test_what_is_added_is_found_by_name(library: Library) -> None:
    path = library.add(make_persona())
    assert path == library.root / "kim.persona"
    assert_same(library.resolve("kim"), make_persona())
    assert_same(library.resolve("KIM"), make_persona())


def test_paths_of_personas_are_read(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "other.persona"
    save_persona(make_persona(), path)
    assert_same(library.resolve(path), make_persona())
    assert_same(library.resolve(str(path)), make_persona())


def test_portraits_are_handed_to_the_reader(library: Library, tmp_path: Path) -> None:
    seen: list[Path] = []

    def read_portrait(path: Path) -> Persona:
        seen.append(path)
        return make_persona(name="portrait")

    assert library.resolve(tmp_path / "kim.PNG", read_portrait=read_portrait).name == "portrait"
    odd = tmp_path / "kim.heic"
    odd.write_bytes(b"x")
    library.resolve(odd, read_portrait=read_portrait)
    assert seen == [tmp_path / "kim.PNG", odd]


def test_portraits_are_refused_where_only_personas_fit(library: Library) -> None:
    with pytest.raises(PersonaError, match="is a portrait") as caught:
        library.resolve("kim.png")
    assert "mien persona create" in caught.value.hint


def test_library_goes_before_the_cast(library: Library) -> None:
    own = make_persona(name="ada")
    library.add(own)
    assert_same(library.resolve("ada"), own)
    origins = [entry.origin for entry in library.list() if entry.name == "ada"]
    assert origins == ["library"]


def test_unknown_name_suggests_close_ones(library: Library) -> None:
    library.add(make_persona())
    with pytest.raises(PersonaError, match="no persona 'kin'") as caught:
        library.resolve("kin")
    assert "kim" in caught.value.hint


def test_unknown_name_without_close_ones_lists_all(library: Library) -> None:
    library.add(make_persona())
    with pytest.raises(PersonaError) as caught:
        library.resolve("zzzzzzzz")
    assert "kim" in caught.value.hint
    assert "ada" in caught.value.hint


@pytest.mark.parametrize("text", ["", "  "])
def test_blank_name_is_refused(library: Library, text: str) -> None:
    with pytest.raises(PersonaError, match="no persona was named"):
        library.resolve(text)


@pytest.mark.parametrize("text", ["../kim", "a/b", "kim\0", "x" * 5000, "..", "C:\\kim"])
def test_odd_names_are_unknown_and_touch_nothing(library: Library, text: str) -> None:
    with pytest.raises(PersonaError, match="there is no persona"):
        library.resolve(text, read_portrait=lambda path: make_persona())


def test_missing_persona_file_is_named(library: Library) -> None:
    with pytest.raises(PersonaError, match="no persona file"):
        library.resolve("nowhere/kim.persona")


def test_name_taken_is_refused_in_any_case(library: Library) -> None:
    library.add(make_persona())
    with pytest.raises(PersonaError, match="already a persona"):
        library.add(make_persona(name="Kim"))
    library.add(make_persona(created="2025-01-01T00:00:00+00:00"), overwrite=True)
    assert library.resolve("kim").created.startswith("2025")


def test_consent_holds_to_its_last_day_and_not_longer(tmp_path: Path) -> None:
    persona = make_persona(consent=Consent(statement="yes", given_by="Kim", until="2025-06-01"))
    last_day = Library(tmp_path, today=lambda: date(2025, 6, 1))
    next_day = Library(tmp_path, today=lambda: date(2025, 6, 2))
    path = last_day.add(persona)
    assert last_day.resolve("kim").name == "kim"
    with pytest.raises(PersonaError, match="ran out on 2025-06-01") as caught:
        next_day.resolve("kim")
    assert "Kim" in caught.value.hint
    with pytest.raises(PersonaError, match="ran out"):
        next_day.resolve(path)
    assert next_day.find("kim").persona.consent.until == "2025-06-01"
    assert "ran out" in next_day.list()[0].problem


def test_list_shows_damaged_files_with_what_is_wrong(library: Library) -> None:
    library.add(make_persona())
    (library.root / "broken.persona").write_bytes(b"junk")
    (library.root / "notes.txt").write_text("not a persona")
    own = [entry for entry in library.list() if entry.origin == "library"]
    assert [entry.name for entry in own] == ["broken", "kim"]
    assert "not a ZIP" in own[0].problem or "cut short" in own[0].problem
    assert own[0].file is None
    assert own[1].problem == ""
    assert own[1].file is not None


def test_empty_library_lists_the_cast_and_makes_no_folder(library: Library) -> None:
    assert {entry.origin for entry in library.list()} == {"cast"}
    assert not library.root.exists()


def test_removing_deletes_only_that_file(library: Library) -> None:
    library.add(make_persona())
    library.add(make_persona(name="lee"))
    library.remove("kim")
    assert [path.name for path in library.root.iterdir()] == ["lee.persona"]
    with pytest.raises(PersonaError, match="no persona 'kim'"):
        library.remove("kim")


def test_cast_cannot_be_removed(library: Library) -> None:
    with pytest.raises(PersonaError, match="belongs to the cast"):
        library.remove("ada")


def test_files_are_added_under_their_own_name_with_their_signature(
    library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "from-a-friend.persona"
    save_persona(make_persona(), path, private_key=new_private_key())
    kept = library.add_file(path)
    assert kept == library.root / "kim.persona"
    assert read_persona_file(kept).signature.state == "valid"
    with pytest.raises(PersonaError, match="already a persona"):
        library.add_file(path)


def test_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot make the folder"):
        Library(tmp_path / "file" / "personas").add(make_persona())


def test_default_folder_is_the_users() -> None:
    assert default_root().name == "personas"
    assert default_root().is_absolute()


def test_cast_has_at_least_six_sound_and_small_members(library: Library) -> None:
    names = cast_names()
    assert "ada" in names
    assert len(names) >= 6
    for entry in library.list():
        assert entry.problem == ""
        assert entry.file is not None
        assert entry.file.persona.name == entry.name
        assert entry.file.persona.consent.given_by == "fictional"
        assert entry.file.size_bytes < 1_500_000
        assert load_persona(entry.path).name == entry.name
        assert_same(library.resolve(entry.name), entry.file.persona)
