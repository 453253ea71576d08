"""``mien bench leaderboard``: results of strangers, checked before they are believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mien.errors import MediaError
from mien_benchmarks.kernels import FORMAT as KERNELS_FORMAT
from mien_benchmarks.leaderboard import read_result, swap_table, tables
from mien_benchmarks.swap_speed import FORMAT
from mien_streamer.cli import run

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def result(**changes: Any) -> dict[str, Any]:
    """A result that is in order."""
    times = {"p10": 4.0, "p50": 5.0, "p95": 6.0, "p99": 7.0, "max": 8.0}
    made: dict[str, Any] = {
        "format": FORMAT,
        "commit": "abc1234",
        "device": "a machine",
        "load_average": [0.5, 0.4, 0.3],
        "settings": {"size": [1280, 720], "swapper": "mesh", "device": "cpu"},
        "persona": "ada",
        "size": "1280x720",
        "frames": 300,
        "swapped": 297,
        "face_px": 325.0,
        "stages_ms": {"track": times, "swap": times},
        "total_ms": dict(times),
        "gpu_ms": None,
        "gpu_frame_path": None,
        "fps": 200.0,
        "peak_rss_mb": 400.0,
    }
    return {**made, **changes}


def on_gpu(p50: float = 2.0, **changes: Any) -> dict[str, Any]:
    total = {"p50": p50, "p95": p50 + 1, "p99": p50 + 2, "max": p50 + 3}
    return result(
        total_ms=total,
        gpu_ms={"p50": 0.4, "busy_share": 0.21},
        gpu_frame_path={"gpu": {"name": "NVIDIA | H100"}},
        **changes,
    )


def write(folder: Path, name: str, value: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_the_quickest_of_each_size_comes_first() -> None:
    large = result(size="1920x1080", settings={"size": [1920, 1080], "swapper": "stylegan3"})
    lines = swap_table([large, result(), on_gpu()]).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == ["1280x720", "1280x720", "1920x1080"]
    assert lines[2] == (
        "| NVIDIA / H100; a machine | 1280x720 | mesh | 2.00 | 3.00 | 4.00 | 200.0 | 99% | 325 "
        "| 0.40 | 21% | 400 | 0.5 | abc1234 |"
    )
    assert "| 5.00 | 6.00 | 7.00 | 200.0 | 99% | 325 | - | - | 400 |" in lines[3]
    assert len({line.count("|") for line in lines}) == 1


def test_both_kinds_get_a_table_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernels = {
        "format": KERNELS_FORMAT,
        "device": "a machine",
        "settings": {"size": [64, 48]},
        "kernels": [{"kernel": "blend", "by": "mien", "ms": {"p50": 0.1}}],
    }
    write(tmp_path / "kernels", "one", kernels)
    write(tmp_path / "swap", "two", result())
    code = run(["bench", "leaderboard", str(tmp_path / "kernels"), str(tmp_path / "swap")])
    out = capsys.readouterr().out
    assert code == 0
    assert out.index("### Kernels, median ms") < out.index("### The swap, ms a frame")
    assert "| a machine | 64x48 | 0.100 |" in out
    assert tables([result()]).startswith("### The swap")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": None}, "device is None, not text"),
        ({"settings": {"size": [1280, 720]}}, "settings.swapper is missing"),
        ({"settings": {"size": "720p", "swapper": "mesh"}}, "settings.size is '720p', not a list"),
        ({"size": "640x360"}, r"size '640x360' and settings.size \[1280, 720\] do not agree"),
        ({"frames": 0}, "frames is 0, less than 1"),
        ({"swapped": 301}, "swapped is 301, of 300 frames"),
        ({"fps": float("nan")}, "fps is nan, not a number"),
        ({"fps": True}, "fps is True, not a number"),
        ({"face_px": -3}, "face_px is -3, less than 0"),
        ({"load_average": []}, r"load_average is \[\]"),
        ({"total_ms": {"p50": 5.0, "p95": 6.0, "max": 8.0}}, "total_ms.p99 is missing"),
        (
            {"total_ms": {"p50": 5.0, "p95": 4.0, "p99": 7.0, "max": 8.0}},
            "total_ms falls: p50 5, p95 4, p99 7, max 8",
        ),
        ({"total_ms": dict.fromkeys(("p50", "p95", "p99", "max"), 0)}, "total_ms.p50 is 0"),
        ({"stages_ms": {"swap": 3}}, "stages_ms.swap is 3, not times"),
        ({"stages_ms": {"swap": {}}}, "stages_ms.swap.p50 is missing"),
        ({"gpu_ms": {"p50": 1.0, "busy_share": 1.2}}, "busy_share is 1.2, more than all"),
        ({"gpu_ms": {"p50": 1.0, "busy_share": 0.2}}, "gpu_frame_path is None, not an object"),
    ],
)
def test_a_figure_that_cannot_be_true_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, "bad", result(**changes))
    with pytest.raises(MediaError, match=message) as caught:
        read_result(path)
    assert str(path) in caught.value.what
    assert "mien bench swap --json" in caught.value.hint


def test_every_field_that_is_asked_for_is_missed_by_its_name(tmp_path: Path) -> None:
    for name in result():
        if name in ("format", "commit", "gpu_ms", "gpu_frame_path"):
            continue
        lacking = result()
        del lacking[name]
        with pytest.raises(MediaError, match=f"{name} is missing"):
            read_result(write(tmp_path, "lacking", lacking))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "no result of mien bench kernels or mien bench swap"),
        ('{"format": "mien-swap-2"}', "no result of"),
    ],
)
def test_other_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        read_result(write(tmp_path, "bad", text))


def test_nothing_there_says_how_to_make_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "leaderboard", str(tmp_path)]) == 3
    assert "mien bench swap --json FILE" in capsys.readouterr().err
    with pytest.raises(MediaError, match="cannot read"):
        read_result(tmp_path / "nowhere.json")


def test_the_results_that_are_published_pass() -> None:
    found = [read_result(path) for path in sorted((RESULTS / "swap").glob("*.json"))]
    assert found
    assert tables(found)
