"""Photos as the rest of mien wants them: upright, 8-bit BGR, not larger than needed."""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from mien.errors import PersonaError, PhotoError
from mien.types import U8Array

logger = logging.getLogger(__name__)

# JPEG stands for MPO too, the JPEG with several pictures that some phones write.
PHOTO_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
PHOTO_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
MAX_SIDE_PX = 4096
MAX_PIXELS = 150_000_000
MAX_PHOTO_BYTES = 512 * 1024 * 1024
MAX_PREVIEW_PX = 1024
# Behind transparent pixels; a mid grey pulls a texture neither way.
BACKDROP_GREY = 128

_SAVE_AS = "save it as PNG, JPEG, WebP, TIFF or BMP and try again"
_REDUCIBLE_MODES = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
# How to turn a picture upright, by its EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders raise on broken data, beside UnidentifiedImageError (an OSError).
_DECODER_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    AttributeError,
    ZeroDivisionError,
    struct.error,
    Image.DecompressionBombError,
)


def read_photo(path: str | Path, *, max_side_px: int = MAX_SIDE_PX) -> U8Array:
    """A photo as (H, W, 3) uint8 BGR, turned upright, in sRGB where it says what it is in.

    Grey, palette, 16-bit, float and CMYK pictures are converted; transparent ones are laid
    on mid grey; those larger than ``max_side_px`` are shrunk while they are read.

    Args:
        path: PNG, JPEG, WebP, TIFF or BMP file.
        max_side_px: longest side of the result.

    Raises:
        PhotoError: when the file is missing, empty, cut short, not a picture or absurdly
            large.
    """
    path = Path(path)
    _check_file(path)
    try:
        with _quiet_decoder(), Image.open(path, formats=PHOTO_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PhotoError(
                    f"{path.name} has {width}x{height} pixels", "shrink it to 8000 pixels a side"
                )
            return _decode(image, max_side_px)
    except UnidentifiedImageError as error:
        raise PhotoError(f"{path.name} is not a picture that mien reads", _SAVE_AS) from error
    except Image.DecompressionBombError as error:
        raise PhotoError(
            f"{path.name} is larger than {MAX_PIXELS // 1_000_000} megapixels",
            "shrink it to 8000 pixels a side",
        ) from error
    except MemoryError as error:
        raise PhotoError(
            f"{path.name} does not fit into memory", "shrink it to 8000 pixels a side"
        ) from error
    except _DECODER_FAULTS as error:
        logger.debug("decoding %s failed", path, exc_info=True)
        raise PhotoError(
            f"{path.name} is damaged or cut short", "copy it again from where it came"
        ) from error


def is_photo_path(path: str | Path) -> bool:
    """Whether the name ends like that of a picture."""
    return Path(path).suffix.lower() in PHOTO_SUFFIXES


def check_preview(jpeg: bytes) -> None:
    """Pass a small JPEG that decodes in full.

    Raises:
        PersonaError: for anything else.
    """
    hint = "get the persona file again, or create the persona anew from its photos"
    try:
        with _quiet_decoder(), Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            if max(image.size) > MAX_PREVIEW_PX:
                raise PersonaError(
                    f"the persona's preview has {image.size[0]}x{image.size[1]} pixels", hint
                )
            image.load()
    except (*_DECODER_FAULTS, MemoryError) as error:
        raise PersonaError("the persona's preview is not a JPEG picture", hint) from error


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            raise PhotoError(f"there is no photo {path}", "check the path")
        if not path.is_file():
            raise PhotoError(f"{path} is not a file", "give the path of a picture")
        size = path.stat().st_size
    except OSError as error:
        raise PhotoError(
            f"cannot read {path}: {error.strerror or error}", "check the path and its permissions"
        ) from error
    if size == 0:
        raise PhotoError(f"{path.name} is empty", "copy it again from where it came")
    if size > MAX_PHOTO_BYTES:
        raise PhotoError(f"{path.name} has {size >> 20} MB", _SAVE_AS)


@contextmanager
def _quiet_decoder() -> Iterator[None]:
    """Pillow warns about large or odd files that are dealt with here; keep that off the screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decode(image: Image.Image, max_side_px: int) -> U8Array:
    if image.format in ("JPEG", "MPO"):
        # The JPEG decoder shrinks by 2, 4 or 8 for free; it never goes below this size.
        image.draft(None, (max_side_px, max_side_px))
    image.load()
    # After loading: TIFF turns itself and drops the tag, PNG may store it behind the pixels.
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    small = image
    factor = max(image.size) // max_side_px
    if factor > 1 and image.mode in _REDUCIBLE_MODES:
        small = image.reduce(factor)
        small.info = image.info
    rgb = _to_rgb(small)
    if max(rgb.size) > max_side_px:
        rgb.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    if turn is not None:
        rgb = rgb.transpose(turn)
    return np.ascontiguousarray(np.asarray(rgb, dtype=np.uint8)[:, :, ::-1])


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _stretch_grey(image)
    if image.mode == "P" or "transparency" in image.info or image.has_transparency_data:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        rgba = image.convert("RGBA")
        backdrop = Image.new("RGBA", rgba.size, (BACKDROP_GREY,) * 3 + (255,))
        flat = Image.alpha_composite(backdrop, rgba).convert("RGB")
        return _to_srgb(flat, image.info.get("icc_profile"))
    return _to_srgb(image, image.info.get("icc_profile"))


def _stretch_grey(image: Image.Image) -> Image.Image:
    """8-bit grey from 16-bit, 32-bit or float grey, by the range that the values live in."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    top = float(values.max(initial=0.0))
    if image.mode.startswith("I;16") or (image.mode == "I" and top > 255):
        white = 65535.0 if top <= 65535.0 else top
    elif image.mode == "F" and top <= 1.0:
        white = 1.0
    else:
        white = max(255.0, top)
    grey = np.clip(values * (255.0 / white) + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """The picture in sRGB by its embedded colour profile; as it is when that is unusable."""
    if isinstance(profile, bytes) and profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            logger.debug("colour profile not usable", exc_info=True)
        else:
            if converted is not None:
                return converted
    return image.convert("RGB")
