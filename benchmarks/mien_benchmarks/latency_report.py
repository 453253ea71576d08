"""The latency figures as one self-contained HTML page with plots."""

from __future__ import annotations

from html import escape
from typing import Any

_COLOURS = {"stock": "#e5484d", "mien": "#e8b04b", "floor": "#63c08b"}
_WIDTH, _HEIGHT = 760, 300
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; background: #0b0c0f; color: #eceae4;
  max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse }
td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #2a2e38 }
td:first-child, th:first-child { text-align: left }
svg { background: #14161b; border-radius: 10px }
text { fill: #9a9faa; font: 12px system-ui }
"""


def html_report(result: dict[str, Any]) -> str:
    """The page for a result of ``mien bench latency``."""
    ways, samples = result["ways"], result["samples"]
    stages = result["server"]["stages_ms"]
    facts = ", ".join(f"{key} {value}" for key, value in result["settings"].items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>mien: latency</title><style>{_STYLE}</style>
<h1>Lens to screen</h1>
<p>{escape(facts)}<br>{escape(result["device"])}, load {result["load_average"][0]:.1f}</p>
{_table(ways, ("p50", "p95", "p99", "max", "pictures", "sent"))}
<h2>How many pictures took at most so long</h2>
{_distribution(samples)}
<h2>One after another</h2>
{_course(samples)}
<h2>The server's stages, ms</h2>
{_table(stages, ("p50", "p95", "p99", "max"))}
</html>
"""


def _table(rows: dict[str, Any], columns: tuple[str, ...]) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f"<td>{values[column]:g}</td>" for column in columns)
        + "</tr>"
        for name, values in rows.items()
    )
    return f"<table><tr><th></th>{head}</tr>{body}</table>"


def _colour(name: str) -> str:
    return _COLOURS.get(name, "#e8b04b")


def _distribution(samples: dict[str, list[float]]) -> str:
    top = max((max(times) for times in samples.values() if times), default=1.0)
    marks = []
    for name, times in samples.items():
        ordered = sorted(times)
        points = " ".join(
            f"{40 + (_WIDTH - 100) * ms / top:.1f},"
            f"{_HEIGHT - 30 - (_HEIGHT - 50) * (place + 1) / len(ordered):.1f}"
            for place, ms in enumerate(ordered)
        )
        marks.append(_line(name, points))
    ticks = "".join(
        f'<text x="{40 + (_WIDTH - 100) * part / 5:.0f}" y="{_HEIGHT - 10}" '
        f'text-anchor="middle">{top * part / 5:.0f} ms</text>'
        for part in range(6)
    )
    return _picture([*marks, ticks, _legend(samples)])


def _course(samples: dict[str, list[float]]) -> str:
    top = max((max(times) for times in samples.values() if times), default=1.0)
    longest = max((len(times) for times in samples.values()), default=1)
    marks = [
        _line(
            name,
            " ".join(
                f"{40 + (_WIDTH - 100) * place / max(longest - 1, 1):.1f},"
                f"{_HEIGHT - 30 - (_HEIGHT - 50) * ms / top:.1f}"
                for place, ms in enumerate(times)
            ),
        )
        for name, times in samples.items()
    ]
    ticks = "".join(
        f'<text x="2" y="{_HEIGHT - 30 - (_HEIGHT - 50) * part / 4:.0f}">{top * part / 4:.0f}'
        "</text>"
        for part in range(5)
    )
    return _picture([*marks, ticks, _legend(samples)])


def _line(name: str, points: str) -> str:
    return f'<polyline fill="none" stroke="{_colour(name)}" stroke-width="1.6" points="{points}"/>'


def _legend(samples: dict[str, list[float]]) -> str:
    return "".join(
        f'<text x="{60 + 120 * place}" y="18" style="fill:{_colour(name)}">{escape(name)}</text>'
        for place, name in enumerate(samples)
    )


def _picture(parts: list[str]) -> str:
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        + "".join(parts)
        + "</svg>"
    )
