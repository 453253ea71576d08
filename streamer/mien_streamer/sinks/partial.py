"""Files that appear under their name only once they are whole."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from mien.errors import OutputError, UsageError


class PartialFile:
    """A hidden sibling of the target that takes its place on success.

    What already lies under the target's name stays until :meth:`commit`.

    Attributes:
        target: the final path.
        path: where to write meanwhile; same folder, same suffix.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        token = uuid.uuid4().hex[:8]
        self.path = target.with_name(f".{target.stem[:80]}.{token}.part{target.suffix}")
        if target.is_dir():
            raise OutputError(f"{target} is a folder", "name a file inside it")
        if not target.parent.is_dir():
            raise OutputError(
                f"the folder {target.parent} does not exist", "create it, or choose another output"
            )
        try:
            self.path.touch(exist_ok=False)
        except OSError as error:
            raise write_error(target, error) from error

    def commit(self) -> None:
        """Move the finished file to its final name, replacing what was there."""
        try:
            os.replace(self.path, self.target)
        except OSError as error:
            self.discard()
            raise write_error(self.target, error) from error

    def discard(self) -> None:
        """Remove the unfinished file."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def write_error(target: Path, error: Exception) -> OutputError:
    """One clear line for whatever kept ``target`` from being written."""
    if isinstance(error, PermissionError):
        return OutputError(
            f"{target} may not be written", "choose another folder or change its permissions"
        )
    number = getattr(error, "errno", None)
    if number == 28:  # ENOSPC, the same on all systems that mien runs on
        return OutputError(
            f"the disk is full: {target} was not written", "free some space, or choose another disk"
        )
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"cannot write {target}: {reason}", "check the folder and the free space")


def refuse_same_file(media: str | None, target: Path) -> None:
    """Raise if the output would replace the input.

    Raises:
        UsageError: both are the same file.
    """
    if media is None or "://" in media:
        return
    source = Path(media)
    same = source.exists() and target.exists() and os.path.samefile(source, target)
    if same or source.resolve() == target.resolve():
        raise UsageError(f"input and output are the same file: {target}", "name another output")
