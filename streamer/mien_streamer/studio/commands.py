"""Commands of the page and of scripts: JSON in, checked, done, answered."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from mien.errors import MienError, UsageError
from mien_streamer.studio.stage import Stage

Values = Mapping[str, Any]
Handler = Callable[[Values], None]
MOST_COMMAND_BYTES = 8 * 1024


class Commands:
    """The commands that a studio understands; more can be added (cues come from shows).

    A handler may take its time: call :meth:`answer` off the event loop.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._handlers: dict[str, Handler] = {
            "persona": lambda v: stage.wear(_text(v, "name")),
            "likeness": lambda v: stage.set_likeness(_unit(v, "value")),
            "pass_through": self._pass_through,
            "panic": lambda v: stage.panic(_switch(v)),
            "source": lambda v: stage.pick_source(_text(v, "key")),
            "virtual_camera": lambda v: stage.switch_camera(_switch(v)),
            "record": lambda v: stage.record(_switch(v)),
        }

    def add(self, name: str, handler: Handler) -> None:
        """Teaches another command."""
        if name in self._handlers:
            raise ValueError(f"there is a command {name!r} already")
        self._handlers[name] = handler

    def answer(self, text: str) -> dict[str, Any]:
        """Does what a message asks for; the reply says how that went. Raises nothing."""
        number: Any = None
        try:
            message = _parse(text)
            number = message.get("id")
            handler = self._handlers.get(_text(message, "do"))
            if handler is None:
                raise UsageError("there is no such command", "known: " + ", ".join(self._handlers))
            handler(message)
        except MienError as error:
            return _reply(number, {"what": error.what, "hint": error.hint})
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            return _reply(number, {"what": what, "hint": "see the log of mien studio"})
        return _reply(number, None)

    def _pass_through(self, values: Values) -> None:
        on = _switch(values)
        if on and values.get("confirm") is not True:
            raise UsageError("the bare face is shown only if confirmed", 'send "confirm": true')
        self._stage.set_pass_through(on)


def is_panic(text: str) -> bool:
    """Whether a message is the one that must not wait."""
    try:
        return _parse(text).get("do") == "panic"
    except UsageError:
        return False


def _reply(number: Any, error: dict[str, str] | None) -> dict[str, Any]:
    known = number if isinstance(number, int | str) else None
    return {"type": "reply", "id": known, "ok": error is None, "error": error}


def _parse(text: str) -> dict[str, Any]:
    if len(text) > MOST_COMMAND_BYTES:
        raise UsageError("the message is too long", f"{MOST_COMMAND_BYTES} bytes at most")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("the message is not JSON", "see docs/studio.md") from error
    if not isinstance(message, dict):
        raise UsageError("the message is not a JSON object", "see docs/studio.md")
    return message


def _text(values: Values, name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value or len(value) > 200:
        raise UsageError(f"{name!r} must be a text", "see docs/studio.md")
    return value


def _switch(values: Values) -> bool:
    value = values.get("on")
    if not isinstance(value, bool):
        raise UsageError("'on' must be true or false", "see docs/studio.md")
    return value


def _unit(values: Values, name: str) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{name!r} must be a number", "see docs/studio.md")
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"{name!r} must lie in 0..1, got {value}", "see docs/studio.md")
    return float(value)
