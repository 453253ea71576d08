"""Keeps two trainers out of one folder: each would overwrite what the other saved."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mien.closing import Closing
from mien.errors import OutputError

_NAME = "lock"


class RunLock(Closing):
    """Held by whoever trains in a folder; the system lets go when the process ends.

    Args:
        folder: the run.

    Raises:
        OutputError: another process trains here.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT)
        try:
            _lock(self._file)
        except OSError as error:
            os.close(self._file)
            raise OutputError(
                f"another process trains in {folder}", "wait for it, stop it, or choose a folder"
            ) from error

    def close(self) -> None:
        """Lets others in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
