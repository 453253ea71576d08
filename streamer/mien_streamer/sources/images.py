"""Pictures as sources: one image, or a folder of them as a sequence."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mien.errors import MediaError
from mien.personas.photos import read_photo
from mien.types import Frame, U8Array
from mien_streamer.sources.source import ClosingSource, SourceInfo, ns_from_ticks

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
FOLDER_FPS = Fraction(25)
"""Rate of an image sequence, as it says none itself."""


def read_image(path: Path) -> U8Array:
    """(H, W, 3) uint8 BGR, upright by its EXIF tag; what is transparent is mid grey.

    Raises:
        MediaError: the file is missing, empty or not a picture.
    """
    try:
        data = np.fromfile(path, np.uint8)  # unlike imread, takes any path on Windows
    except FileNotFoundError as error:
        raise MediaError(f"no such file: {path}", "check the path") from error
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror}", "check the file") from error
    if data.size == 0:
        raise MediaError(f"{path} is empty (0 bytes)", "copy or export the file again")
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise MediaError(
            f"{path} cannot be read as a picture: {error.err}", "export it as PNG or JPEG"
        ) from error
    if picture is None:
        raise MediaError(f"{path} is not a picture, or it is damaged", "export it as PNG or JPEG")
    if _is_transparent(data):
        # OpenCV drops the alpha, and what was cut out comes to light.
        picture = read_photo(path, max_side_px=max(picture.shape))
    return np.ascontiguousarray(picture, np.uint8)


def _is_transparent(data: U8Array) -> bool:
    """Whether the file says that its pixels are; reads its header alone."""
    try:
        with Image.open(io.BytesIO(data.data), formats=("PNG", "WEBP", "TIFF")) as image:
            return bool(image.has_transparency_data)
    except (OSError, ValueError):  # a format without transparency, or one of OpenCV's own
        return False


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Sort key under which ``frame10`` comes after ``frame9``."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def images_in(folder: Path) -> list[Path]:
    """Pictures of a folder in natural order; hidden files are left out."""
    found = (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    return sorted(found, key=natural_key)


class ImageSource(ClosingSource):
    """One picture or a sequence of equally large ones; each is read when its turn comes."""

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        *,
        fps: Fraction = FOLDER_FPS,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._paths = list(paths)
        self._clock_ns = clock_ns
        self._closing = False
        first = read_image(self._paths[0])
        self.info = SourceInfo(
            name=name,
            width=first.shape[1],
            height=first.shape[0],
            fps=fps,
            frame_count=len(self._paths),
            time_base=1 / fps,
            duration_s=len(self._paths) / fps,
        )

    @classmethod
    def from_folder(cls, folder: Path, *, fps: Fraction | None = None) -> ImageSource:
        """The pictures of a folder in natural order.

        Raises:
            MediaError: the folder holds no picture.
        """
        paths = images_in(folder)
        if not paths:
            known = " ".join(sorted(IMAGE_SUFFIXES))
            raise MediaError(f"no picture in the folder {folder}", f"it may hold {known}")
        return cls(str(folder), paths, fps=fps or FOLDER_FPS)

    @property
    def paths(self) -> list[Path]:
        """The files in order."""
        return list(self._paths)

    def frames(self) -> Iterator[Frame]:
        """The pictures in order.

        Raises:
            MediaError: one is broken, or not as large as the first.
        """
        self._closing = False
        for index, path in enumerate(self._paths):
            if self._closing:
                return
            picture = read_image(path)
            if picture.shape != (self.info.height, self.info.width, 3):
                raise MediaError(
                    f"{path.name} is {picture.shape[1]}x{picture.shape[0]}, "
                    f"{self._paths[0].name} is {self.info.width}x{self.info.height}",
                    "make all pictures of a folder the same size",
                )
            yield Frame(
                index=index,
                bgr=picture,
                capture_ns=self._clock_ns(),
                pts_ns=ns_from_ticks(index, self.info.time_base),
            )

    def close(self) -> None:
        """End :meth:`frames` at the next picture."""
        self._closing = True
