"""Shows: files of cues that say which persona is worn when, and the player of them."""

from mien.shows.director import ShowDirector, stream_clock
from mien.shows.player import ShowPlayer
from mien.shows.show import Cue, Show
from mien.shows.show_file import load_show, parse_show, read_show
from mien.shows.state import Event, PlayerState

__all__ = [
    "Cue",
    "Event",
    "PlayerState",
    "Show",
    "ShowDirector",
    "ShowPlayer",
    "load_show",
    "parse_show",
    "read_show",
    "stream_clock",
]
