"""Latents are found beside the show: told of, given up, and never in its way."""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mien.errors import MienError
from mien.personas import Library, Persona
from mien_streamer.studio.fitting import Find, Fitting
from tests.studio import finders


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def kim(library: Library) -> Persona:
    template = library.resolve("ada")
    made = replace(template, name="kim", latents={})
    library.add(made)
    return made


def _ended(fitting: Fitting) -> dict[str, object]:
    facts = fitting.facts()
    while facts is None or facts["running"]:
        time.sleep(0.01)
        facts = fitting.facts()
    return facts


def test_a_latent_comes_to_the_persona_as_it_is_by_then(library: Library, kim: Persona) -> None:
    fitting = Fitting(library, finders.quick)
    told = threading.Event()
    fitting.on_done = lambda name: told.set() if name == "kim" else None
    assert fitting.facts() is None
    fitting.start(kim, [b"12345", b"678"])
    changed = replace(kim, consent=replace(kim.consent, statement="I agree to more"))
    library.add(changed, overwrite=True)
    assert _ended(fitting) == {"name": "kim", "share": 0.5, "running": False, "problem": ""}
    assert told.wait(10.0)
    kept = library.resolve("kim")
    assert (kept.latents["live-test"] == 8).all()
    assert kept.consent.statement == "I agree to more"


@pytest.mark.parametrize(
    ("find", "says"),
    [(finders.in_vain, "no face in sight: turn on the light"), (finders.broken, "out of order")],
)
def test_what_goes_wrong_is_said_and_leaves_the_persona(
    library: Library, kim: Persona, find: Find, says: str
) -> None:
    fitting = Fitting(library, find)
    fitting.on_done = lambda name: pytest.fail("nothing was found")
    fitting.start(kim, [b"1"])
    assert says in str(_ended(fitting)["problem"])
    assert library.resolve("kim").latents == {}


def test_it_is_given_up_at_once_and_one_at_a_time(
    library: Library, kim: Persona, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    fitting = Fitting(library, finders.endless)
    fitting.start(kim, [b"1"])
    while (fitting.facts() or {})["share"] != 0.25:
        time.sleep(0.01)
    with pytest.raises(MienError, match="latent of kim is being looked for"):
        fitting.start(kim, [b"1"])
    fitting.stop()
    assert fitting.facts() == {"name": "kim", "share": 0.25, "running": False, "problem": "stopped"}
    assert library.resolve("kim").latents == {}
    assert list(folders.iterdir()) == []
    fitting.stop()  # nothing is on: nothing happens


def test_without_room_for_the_photos_it_does_not_begin(
    library: Library, kim: Persona, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    fitting = Fitting(library, finders.quick)
    fitting.start(kim, [b"1"])
    facts = fitting.facts()
    assert facts is not None
    assert not facts["running"]
    assert "No space left" in str(facts["problem"])


def test_a_persona_that_was_removed_meanwhile_stays_removed(library: Library, kim: Persona) -> None:
    fitting = Fitting(library, finders.quick)
    fitting.start(kim, [b"1"])
    library.remove("kim")
    assert "kim" in str(_ended(fitting)["problem"])
    assert not list(library.root.glob("*.persona"))
