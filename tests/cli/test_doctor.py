"""``mien doctor`` and the small commands: plain words, JSON, the right exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mien.errors import ModelError
from mien_streamer.cli import checks
from mien_streamer.cli.checks import examine
from mien_streamer.cli.findings import State
from tests.cli.conftest import PERSONA, Mien


def test_every_finding_that_is_not_well_says_what_to_do(home: Path) -> None:
    for finding in examine():
        assert finding.says
        if finding.state is State.BROKEN:
            assert finding.hint, finding.subject


def test_the_parts_that_ship_work_here(home: Path) -> None:
    found = {finding.subject: finding for finding in examine()}
    for subject in ("versions", "processor", "models", "kernels", "library", "video"):
        assert found[subject].state is State.WORKS, found[subject]


def test_doctor_speaks_json(mien: Mien, home: Path) -> None:
    result = mien("doctor", "--json")
    found = json.loads(result.out)
    assert {finding["subject"] for finding in found["findings"]} >= {"GPU", "virtual camera"}
    assert result.code == (0 if found["ok"] else 4)


def test_a_broken_model_is_named_and_exits_4(
    mien: Mien, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ModelError("model 'x' is corrupt", "reinstall mien")

    monkeypatch.setattr("mien.models.catalogue.verify", broken)
    result = mien("doctor")
    assert result.code == 4
    assert "model 'x' is corrupt" in result.out
    assert "reinstall mien" in result.out


def test_an_examination_that_falls_over_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> checks.Finding:
        raise OSError("no such device")

    monkeypatch.setattr(checks, "look_at_cameras", broken)
    camera = next(finding for finding in examine() if finding.subject == "camera")
    assert camera.state is State.BROKEN
    assert "no such device" in camera.says


def test_the_webrtc_extra_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
    pytest.importorskip("aiohttp", reason="the extra 'webrtc' is not installed")
    here = next(finding for finding in examine() if finding.subject == "WebRTC")
    assert here.state is State.WORKS
    assert "aiortc 1." in here.says
    monkeypatch.setattr("mien_streamer.webrtc.find_spec", lambda name: None)
    absent = next(finding for finding in examine() if finding.subject == "WebRTC")
    assert absent.state is State.OPTIONAL
    assert "aiortc and aiohttp" in absent.says
    assert absent.hint == "pip install 'mien[webrtc]'"


def test_an_unwritable_library_says_how_to_move_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("MIEN_HOME", str(blocker / "home"))
    library = next(finding for finding in examine() if finding.subject == "library")
    assert library.state is State.BROKEN
    assert "MIEN_HOME" in library.hint


def test_models_are_listed_and_whole(mien: Mien) -> None:
    listed = json.loads(mien("models", "list", "--json").out)
    assert all({"name", "licence", "sha256", "origin"} <= set(model) for model in listed)
    name = listed[0]["name"]
    assert listed[0]["licence"] in mien("models", "info", name).out
    verified = mien("models", "verify")
    assert verified.code == 0
    assert f"{name}: whole" in verified.out


def test_personas_are_listed_and_shown(mien: Mien, home: Path) -> None:
    listed = json.loads(mien("persona", "list", "--json").out)
    assert PERSONA in [entry["name"] for entry in listed if entry["from"] == "library"]
    facts = json.loads(mien("persona", "info", PERSONA, "--json").out)
    assert facts["consent"] == "fictional"
    assert PERSONA in mien("persona", "list").out
    path = home / "personas" / f"{PERSONA}.persona"
    assert json.loads(mien("persona", "info", path, "--json").out) == facts


def test_help_and_version(mien: Mien) -> None:
    for command in ("demo", "swap", "live", "persona create", "bench swap", "verify", "doctor"):
        result = mien(*command.split(), "--help")
        assert result.code == 0
        assert "mien " in result.out
        if command != "doctor":
            assert "Example" in result.out
    assert mien("--version").out.startswith("mien ")
