"""Plots as SVG inside a page: nothing is fetched, colours follow the page's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

_WIDTH, _LEFT, _RIGHT = 880, 170, 70
_ROW = 26
_TOP = 10

STYLE = """svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:currentColor}
.grid{stroke:currentColor;opacity:.15}.curve{fill:none;stroke:#3b6ea5;stroke-width:1.3}
.bar{fill:#3b6ea5}.reach{stroke:#c2662d;stroke-width:2}.level{stroke:#c2662d;stroke-dasharray:5 4}
"""


def bars(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A bar a row as long as its ``p50``, and a line on to its ``p99``; milliseconds."""
    most = max([times["p99"] for times in rows.values()] + [1e-6])
    ticks = _ticks(most)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(ticks[-1], most)
    height = _TOP + _ROW * len(rows) + 24
    parts = _grid(ticks, scale, height)
    for number, (name, times) in enumerate(rows.items()):
        y = _TOP + _ROW * number
        middle = y + _ROW / 2
        end, far = (_LEFT + times[key] * scale for key in ("p50", "p99"))
        parts.append(
            f'<text x="{_LEFT - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="{_LEFT}" y="{y + 5}" width="{max(end - _LEFT, 1):.1f}" '
            f'height="{_ROW - 10}"/>'
            f'<line class="reach" x1="{end:.1f}" x2="{max(far, end):.1f}" y1="{middle}" '
            f'y2="{middle}"/>'
            f'<text x="{max(far, end) + 6:.1f}" y="{middle + 4:.0f}">{times["p50"]:.3g}</text>'
        )
    return _svg(height, parts, "milliseconds: bar to the median, line to p99")


def curve(values: Sequence[float], levels: Mapping[str, float]) -> str:
    """Values one after another, and named levels across; milliseconds."""
    height, bottom = 240, 30
    most = max([*values, *levels.values(), 1e-6])
    ticks = _ticks(most)
    room = height - _TOP - bottom
    left, right = 50, 90

    def y_of(value: float) -> float:
        return _TOP + room * (1 - value / max(ticks[-1], most))

    step = (_WIDTH - left - right) / max(len(values) - 1, 1)
    parts = []
    for tick in ticks:
        y = y_of(tick)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{_WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    points = " ".join(f"{left + i * step:.1f},{y_of(v):.1f}" for i, v in enumerate(values))
    parts.append(f'<polyline class="curve" points="{points}"/>')
    taken: list[float] = []
    for name, value in sorted(levels.items(), key=lambda item: -item[1]):
        y = y_of(value)
        label = max([y, *(other + 14 for other in taken[-1:])])  # labels do not overlap
        taken.append(label)
        parts.append(
            f'<line class="level" x1="{left}" x2="{_WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_WIDTH - right + 6}" y="{label + 4:.1f}">{escape(name)} {value:.3g}</text>'
        )
    parts.append(
        f'<text x="{left}" y="{height - 8}">frame 0</text>'
        f'<text x="{_WIDTH - right}" y="{height - 8}" text-anchor="end">{len(values) - 1}</text>'
    )
    return _svg(height, parts, "milliseconds of every frame")


def _svg(height: int, parts: list[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(ticks: list[float], scale: float, height: int) -> list[str]:
    return [
        f'<line class="grid" x1="{_LEFT + tick * scale:.1f}" x2="{_LEFT + tick * scale:.1f}" '
        f'y1="{_TOP}" y2="{height - 20}"/><text x="{_LEFT + tick * scale:.1f}" y="{height - 6}" '
        f'text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    ]


def _ticks(most: float) -> list[float]:
    """Round values from 0 to at least ``most``, four to eight of them."""
    rough = most / 5
    size = 10.0 ** np.floor(np.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough)
    return [round(float(step * n), 9) for n in range(int(np.ceil(most / step)) + 1)]
