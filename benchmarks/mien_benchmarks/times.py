"""Times as results hold them, and what was timed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np


def spread(times_ms: list[float]) -> dict[str, float]:
    """Percentiles and the largest of some times, in milliseconds; p10 is the quiet moments."""
    values = np.asarray(times_ms)
    p10, p50, p95, p99 = np.percentile(values, (10, 50, 95, 99))
    largest = values.max()
    return {
        name: round(float(value), 3)
        for name, value in zip(
            ("p10", "p50", "p95", "p99", "max"), (p10, p50, p95, p99, largest), strict=True
        )
    }


def commit_of_checkout() -> str | None:
    """The commit of the checkout that this runs from, with a mark if it was changed."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
