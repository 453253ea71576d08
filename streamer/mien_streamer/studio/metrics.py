"""The stage's figures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien_streamer.studio.stage import Stage


def prometheus(stage: Stage, peers: Mapping[str, Any]) -> str:
    """One page of metrics, every name beginning with ``mien_``."""
    totals = stage.measures.totals()
    state = stage.state()
    lines: list[str] = []

    def add(name: str, kind: str, text: str, value: float, labels: str = "") -> None:
        if not any(line.startswith(f"# TYPE mien_{name} ") for line in lines):
            lines.extend((f"# HELP mien_{name} {text}", f"# TYPE mien_{name} {kind}"))
        lines.append(f"mien_{name}{labels} {value:g}")

    add("frames_total", "counter", "Frames that went through the pipeline.", totals["frames"])
    add("frames_dropped_total", "counter", "Frames replaced by newer ones.", stage.dropped)
    add("frames_guarded_total", "counter", "Frames the guard chose.", totals["guarded"])
    add("faces_swapped_total", "counter", "Faces swapped.", totals["swapped"])
    add("fps", "gauge", "Frames sent in the last second.", stage.stats()["fps"])
    add("panic", "gauge", "1 while the slate is forced.", float(state["panic"]))
    add("pass_through", "gauge", "1 while the bare face is shown.", float(state["pass_through"]))
    add("guard_acting", "gauge", "1 while the guard covers.", float(state["guard"]["acting"]))
    add("recording", "gauge", "1 while a recording runs.", float(state["recording"]["on"]))
    add("performers", "gauge", "Performers connected by WebRTC.", float(peers["performer"]))
    add("viewers", "gauge", "Viewers connected by WebRTC.", peers["viewers"])
    add("connections_total", "counter", "WebRTC connections made.", peers["connections"])
    add("connections_failed_total", "counter", "Those that never came up.", peers["failed"])
    _add_stages(lines, totals["stages"])
    return "\n".join(lines) + "\n"


def _add_stages(lines: list[str], stages: Mapping[str, Mapping[str, float]]) -> None:
    name = "mien_stage_seconds"
    lines.extend((f"# HELP {name} Time of each stage of a frame.", f"# TYPE {name} summary"))
    for stage, times in sorted(stages.items()):
        for quantile in ("50", "95", "99"):
            labels = f'{{stage="{stage}",quantile="0.{quantile.rstrip("0")}"}}'
            lines.append(f"{name}{labels} {times[f'p{quantile}'] / 1e3:.6f}")
        lines.append(f'{name}_sum{{stage="{stage}"}} {times["sum_ms"] / 1e3:.6f}')
        lines.append(f'{name}_count{{stage="{stage}"}} {times["count"]:g}')
