"""Warnings of the frame loop, kept from filling the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

_LOG_PERIOD_S = 1.0


class Complaints:
    """Equal warnings are counted and reported once a second. One thread."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float]) -> None:
        self._logger = logger
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._next_s = 0.0

    def add(self, text: str) -> None:
        """Counts one, and reports all when it is time."""
        self._counts[text] = self._counts.get(text, 0) + 1
        now_s = self._clock()
        if now_s < self._next_s:
            return
        for known, count in self._counts.items():
            self._logger.warning("%s (%d times in the last second)", known, count)
        self._counts.clear()
        self._next_s = now_s + _LOG_PERIOD_S
