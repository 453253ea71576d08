"""The two loops: every frame as fast as it goes, or the newest frame and nothing else."""

from mien_streamer.live_loop import LiveStatus, run_live
from mien_streamer.offline_loop import run_offline
from mien_streamer.run_stats import LatencyHistogram, OutcomeLike, RunStats

__all__ = [
    "LatencyHistogram",
    "LiveStatus",
    "OutcomeLike",
    "RunStats",
    "run_live",
    "run_offline",
]
