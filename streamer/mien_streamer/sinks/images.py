"""Pictures as sinks: one image file, or a folder of them."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from mien.errors import OutputError
from mien.types import Frame, U8Array
from mien_streamer.sinks.partial import PartialFile, refuse_same_file, write_error
from mien_streamer.sinks.sink import ClosingSink
from mien_streamer.sources.source import SourceInfo

JPEG_QUALITY = 95

Embed = Callable[[bytes], bytes]
"""Puts a statement into an encoded picture."""


def _as_it_is(image: bytes) -> bytes:
    return image


def encode_image(frame_bgr: U8Array, suffix: str) -> bytes:
    """The picture as a file of the kind that ``suffix`` names."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix in (".jpg", ".jpeg") else []
    done, data = cv2.imencode(suffix, frame_bgr, options)
    if not done:
        raise OutputError(f"cannot encode a {suffix} picture", "use .png or .jpg")
    return data.tobytes()


class ImageFileSink(ClosingSink):
    """One picture; every further frame replaces the one before it."""

    def __init__(self, path: Path, info: SourceInfo, *, embed: Embed = _as_it_is) -> None:
        refuse_same_file(info.media or info.name, path)
        self._embed = embed
        self._part = PartialFile(path)
        self._written = False
        self._done = False

    def write(self, frame: Frame) -> None:
        """Write the picture under its temporary name."""
        try:
            encoded = encode_image(frame.bgr, self._part.target.suffix.lower())
            self._part.path.write_bytes(self._embed(encoded))
        except OSError as error:
            self.abort()
            raise write_error(self._part.target, error) from error
        self._written = True

    def close(self) -> None:
        """Give the picture its final name."""
        if self._done:
            return
        if not self._written:
            self.abort()
            raise OutputError(
                f"no frame reached {self._part.target.name}, so nothing was written",
                "check that the input has frames",
            )
        self._done = True
        self._part.commit()

    def abort(self) -> None:
        """Remove the unfinished picture."""
        if not self._done:
            self._done = True
            self._part.discard()


class ImageFolderSink(ClosingSink):
    """A folder of pictures, named like the input's where it was a folder too.

    Pictures are written to a hidden sibling folder and moved in at the end; pictures of
    the same name are replaced, others in the folder stay.
    """

    def __init__(
        self,
        folder: Path,
        info: SourceInfo,
        names: Sequence[str] = (),
        *,
        embed: Embed = _as_it_is,
    ) -> None:
        refuse_same_file(info.media or info.name, folder)
        self._embed = embed
        self._folder = folder
        self._names = list(names)
        self._done = False
        self.frames = 0
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file, not a folder", "name another folder")
        self._part = folder.with_name(f".{folder.name[:80]}.{uuid.uuid4().hex[:8]}.part")
        try:
            self._part.mkdir(parents=True)
        except OSError as error:
            raise write_error(folder, error) from error

    def write(self, frame: Frame) -> None:
        """Write one picture."""
        known = frame.index < len(self._names)
        name = self._names[frame.index] if known else f"frame_{frame.index:06d}.png"
        path = self._part / name
        try:
            path.write_bytes(self._embed(encode_image(frame.bgr, path.suffix.lower())))
        except OSError as error:
            self.abort()
            raise write_error(self._folder / name, error) from error
        self.frames += 1

    def close(self) -> None:
        """Move the pictures to their folder."""
        if self._done:
            return
        if self.frames == 0:
            self.abort()
            raise OutputError(
                f"no frame reached {self._folder}, so nothing was written",
                "check that the input has frames",
            )
        self._done = True
        try:
            if self._folder.exists():
                for path in self._part.iterdir():
                    path.replace(self._folder / path.name)
                self._part.rmdir()
            else:
                self._part.rename(self._folder)
        except OSError as error:
            shutil.rmtree(self._part, ignore_errors=True)
            raise write_error(self._folder, error) from error

    def abort(self) -> None:
        """Remove what was written."""
        if not self._done:
            self._done = True
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._part)
