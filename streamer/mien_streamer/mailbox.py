"""A box for one thing: whoever looks gets the newest, what was not taken is dropped."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """One slot between two threads; ``put`` never waits and never queues.

    Attributes:
        dropped: items that were replaced before anyone took them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Leave an item, replacing one that still lies there; ignored once closed."""
        with self._changed:
            if self._closed:
                return
            if self._item is not None:
                self.dropped += 1
            self._item = item
            self._changed.notify()

    def get(self, timeout_s: float | None = None) -> Item | None:
        """Wait for an item and take it; None when time is up or the box is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Let nothing more in; an item that lies there can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Closed and empty: nothing will ever come again."""
        with self._changed:
            return self._closed and self._item is None

    def __len__(self) -> int:
        with self._changed:
            return 0 if self._item is None else 1
