"""A result of ``mien bench swap`` as a page that needs nothing but itself."""

from __future__ import annotations

from html import escape
from typing import Any

from mien_benchmarks.plots import STYLE as PLOT_STYLE
from mien_benchmarks.plots import bars, curve

STYLE = (
    """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#222;background:#fff}h2{font-size:1.05rem;margin:1.6rem 0 .3rem}p{margin:.3rem 0}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}
"""
    + PLOT_STYLE
)


def page(result: dict[str, Any]) -> str:
    """The page: every frame, every stage, and the GPU's steps where there was one."""
    total, jitter = result["total_ms"], result["jitter"]
    facts = [
        f"{result['frames']} frames of {result['size']}, {result['swapped']} swapped, face "
        f"{result['face_px']:.0f} px high, {result['fps']:.1f} frames a second",
        f"{result['device']}, load {result['load_average'][0]:.1f}, commit {result['commit']}",
        f"neighbouring frames differ by {jitter['mean_step_ms']:.2f} ms; p99 is "
        f"{jitter['p99_over_p50']:.2f} times p50",
        *result["where"],
    ]
    parts = [
        *(f"<p>{escape(fact)}</p>" for fact in facts),
        "<h2>Every frame, ms</h2>",
        curve(result["series_ms"]["total"], {key: total[key] for key in ("p50", "p95", "p99")}),
        "<h2>Stages, ms: median, and on to p99</h2>",
        bars({**result["stages_ms"], "whole loop": total, **result["yardstick_ms"]}),
        *_gpu(result),
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>mien: the swap</title><style>{STYLE}</style><h1>The swap, frame by frame</h1>"
        f"{''.join(parts)}</html>\n"
    )


def _gpu(result: dict[str, Any]) -> list[str]:
    path = result["gpu_frame_path"]
    if path is None:
        return [f"<p>No GPU: {escape(result['no_gpu_because'])}.</p>"]
    parts = [f"<h2>The GPU's part alone: {escape(path['gpu']['name'])}</h2>"]
    if result["gpu_ms"] is not None:
        parts.append(
            f"<p>In the loop it worked {result['gpu_ms']['p50']:.2f} ms a frame, "
            f"{result['gpu_ms']['busy_share']:.0%} of the time.</p>"
        )
    for form, name in (("bgr", "BGR frames"), ("nv12", "4:2:0 frames")):
        one = path[form]
        rows = {
            **one["steps_ms"],
            "whole graph": one["gpu_ms"],
            "host gap": one["host_gap_ms"],
        }
        moved = f"{one['bytes_up'] / 1e6:.2f} MB up, {one['bytes_down'] / 1e6:.2f} MB down"
        parts += [f"<h2>{name}, ms ({moved})</h2>", bars(rows)]
    return parts
