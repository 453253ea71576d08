"""``mien bench show`` runs, and its figures say what happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Mien
from tests.cli.conftest import home as home
from tests.cli.conftest import mien as mien
from tests.cli.conftest import quick as quick
from tests.pipeline.fakes import FakeSwapper

from mien.shows import Event
from mien_benchmarks.show import _Log, _note, figures
from mien_streamer.run_stats import RunStats


def fired(at_s: float) -> Event:
    return Event(at_s, 0.0, "fired", "one", "osc")


def test_frames_are_counted_from_the_message_to_the_change() -> None:
    log = _Log()
    # Begun at 0.0, 0.1, ...; the first message falls between the second frame and the third.
    for frame, changed in enumerate((False, False, True, False, False, True)):
        log.begun_s.append(frame / 10)
        log.done_s.append(frame / 10 + 0.05)
        log.indices.append(frame)
        events = {2: [fired(0.15)], 4: [fired(0.31)]}.get(frame, [])
        _note(log, events, changed=changed)
    assert log.changed == [1, 2], "the second was late by a frame"
    result = figures(RunStats(frames=6, seconds=0.6), log, [0.14, 0.30])
    assert result["frames_to_change"] == {"p50": 1.5, "p99": pytest.approx(1.99), "max": 2}
    assert result["cues"] == {"sent": 2, "seen": 2}
    assert result["received_to_drawn_ms"]["max"] == pytest.approx(240.0)


def test_losses_near_cues_are_told_from_others() -> None:
    log = _Log(
        begun_s=[0.0, 0.1, 0.5, 2.0, 2.1],
        done_s=[0.05, 0.15, 0.55, 2.05, 2.15],
        indices=[0, 1, 5, 20, 21],
    )
    drops = figures(RunStats(frames=5, seconds=2.2), log, [0.2])["drops"]
    assert drops == {
        "near_cues": 3,
        "frames_near_cues": 1,
        "elsewhere": 14,
        "frames_elsewhere": 4,
    }


def test_a_short_show_is_measured(
    mien: Mien, home: Path, quick: FakeSwapper, tmp_path: Path
) -> None:
    del home, quick
    file = tmp_path / "show.json"
    short = ("--minutes", "0.1", "--every", "0.5", "--size", "320x180")
    result = mien("bench", "show", *short, "--json", file)
    assert result.code == 0, result.err
    found = json.loads(file.read_text())
    assert found["cues"]["sent"] >= found["cues"]["seen"] >= 3
    assert found["frames_to_change"]["p50"] >= 1
    assert (
        found["frames"] == found["drops"]["frames_near_cues"] + found["drops"]["frames_elsewhere"]
    )
    assert "to the first changed frame" in result.out
    assert mien("bench", "show", "--minutes", "nan").code == 2
    assert mien("bench", "show", "--clip", tmp_path / "no.mp4", *short, "--json", file).code == 3
