"""What docs/shows.md and the examples write can be played."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mien.shows import parse_show, read_show

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "shows.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
KEYS = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_show_on_the_page_can_be_played(block: str, tmp_path: Path) -> None:
    for name in ("heart.wav", "alice.jpg"):
        (tmp_path / name).touch()
    show, problems = parse_show(block, tmp_path)
    assert show is not None, problems
    assert [problem for problem in problems if problem.fatal] == []


def test_the_page_names_every_key_of_a_cue() -> None:
    named = {key for row in KEYS for key in re.findall(r"\w+", row)}
    _, problems = parse_show('[[cue]]\nto = "ada"\nnobody = 1\n')
    assert "a cue has no 'nobody'" in problems[0].what
    for key in named - {"music"}:
        _, problems = parse_show(f'[[cue]]\nto = "ada"\n{key} = []\n')
        assert not any(f"has no {key!r}" in problem.what for problem in problems), key
    assert {"at", "after", "timecode", "onset", "layers", "mouth", "priority"} <= named


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_the_examples_are_shows(path: Path) -> None:
    show, problems = read_show(path)
    assert show is not None, problems
    assert show.cues
