"""The keys of the preview window in a show: cues, GO, back, hold."""

from __future__ import annotations

from mien.shows import ShowPlayer
from mien_streamer.controls.hotkeys import Action

_KEYS = {"return": "go", "enter": "go", "backspace": "back", "pause": "hold"}


class ShowKeys:
    """Turns keys and actions of the window into orders for the player."""

    def __init__(self, player: ShowPlayer) -> None:
        self._player = player

    def press(self, key: str) -> bool:
        """True when the key meant something to the show."""
        key = key.lower()
        if self._player.trigger("key", key):
            return True
        order = _KEYS.get(key)
        if order == "go":
            self._player.go()
        elif order == "back":
            self._player.back()
        elif order == "hold":
            self._player.hold()
        return order is not None

    def act(self, action: Action) -> bool:
        """True for the actions that mean something else in a show."""
        if action is Action.NEXT_PERSONA:
            self._player.go()
        elif action is Action.PREVIOUS_PERSONA:
            self._player.back()
        else:
            return False
        return True
