"""Hands on the show: keys, and whatever else gives orders while it runs."""

from mien_streamer.controls.hotkeys import HELP_LINES, Action, HotKeys

__all__ = ["HELP_LINES", "Action", "HotKeys"]
