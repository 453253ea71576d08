"""The report of a run, as JSON, and the facts about the machine that it carries."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

from mien.marking.metadata import tool_version
from mien.pipeline import Outcome
from mien.types import Frame
from mien_streamer.run_stats import RunStats
from mien_streamer.sinks.partial import PartialFile, write_error

_PACKAGES = ("numpy", "onnxruntime", "av", "opencv-python-headless")


class ReportFile:
    """A report that is promised before a run and written after it.

    The place is claimed at once, so that a run of an hour does not end in a folder that
    cannot be written; without :meth:`write` nothing is left there.
    """

    def __init__(self, path: Path | None) -> None:
        self._part = PartialFile(path) if path is not None else None

    def __enter__(self) -> ReportFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._part is not None:
            self._part.discard()

    def write(self, report: dict[str, Any]) -> None:
        """Writes the report under its name."""
        if self._part is None:
            return
        text = json.dumps(report, indent=2) + "\n"
        try:
            self._part.path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise write_error(self._part.target, error) from error
        self._part.commit()
        self._part = None


class Tally:
    """Counts why frames were not swapped, while they pass."""

    def __init__(self, process: Callable[[Frame], Outcome]) -> None:
        self._process = process
        self.reasons: Counter[str] = Counter()
        self.swapped_frames = 0

    def __call__(self, frame: Frame) -> Outcome:
        """What the pipeline makes of the frame."""
        outcome = self._process(frame)
        if outcome.swapped:
            self.swapped_frames += 1
        else:
            self.reasons[outcome.reason] += 1
        return outcome

    def explain(self) -> str:
        """``12 performer lost, 3 face uncertain``."""
        return ", ".join(f"{count} {reason}" for reason, count in self.reasons.most_common())


def build_report(stats: RunStats, settings: dict[str, Any]) -> dict[str, Any]:
    """Counts, times, settings, versions and device of a run."""
    return {
        "frames": stats.frames,
        "dropped": stats.dropped,
        "faces_found": stats.faces_found,
        "swapped": stats.swapped,
        "guarded": stats.guarded,
        "fps": round(stats.fps, 3),
        "latency_ms": {
            "total": stats.total.summary(),
            "stages": {name: times.summary() for name, times in stats.stages.items()},
        },
        "settings": settings,
        "versions": versions(),
        "device": device(),
    }


def versions() -> dict[str, str]:
    """Versions of mien, Python and the libraries that do the work."""
    found = {"mien": tool_version(), "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def device() -> str:
    """The processor and its cores, in words."""
    return f"{cpu_name()}, {usable_cores()} cores, {platform.system()}"


def cpu_name() -> str:
    """The processor's own name for itself."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown processor"


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
