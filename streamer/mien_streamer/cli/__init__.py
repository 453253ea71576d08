"""The command line: ``mien``."""

from mien_streamer.cli.main import main, run

__all__ = ["main", "run"]
