"""Photos of every kind come in upright, in 8-bit BGR; what is no photo is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from mien.errors import PhotoError
from mien.personas import is_photo_path, read_photo

ORIENTATION = 0x0112
RED, GREEN = (200, 30, 40), (20, 180, 60)


def two_colours(width: int = 40, height: int = 20) -> Image.Image:
    """Left half red, right half green."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height))
    return image


def write_png(path: Path, header: bytes, pixels: bytes) -> None:
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )


def assert_bgr(pixel: np.ndarray, rgb: tuple[int, int, int], tolerance: int = 0) -> None:
    np.testing.assert_allclose(pixel[::-1].astype(int), rgb, atol=tolerance)


# JPEG and lossy WebP round colours; the lossless formats do not.
@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [(".png", 0), (".bmp", 0), (".tiff", 0), (".jpg", 6), (".webp", 8), (".tif", 0)],
)
def test_every_format_gives_the_same_picture(tmp_path: Path, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"photo{suffix}"
    two_colours().save(path)
    photo = read_photo(path)
    assert photo.shape == (20, 40, 3)
    assert photo.dtype == np.uint8
    assert photo.flags.c_contiguous
    assert_bgr(photo[10, 4], RED, tolerance)
    assert_bgr(photo[10, 36], GREEN, tolerance)


def test_format_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    two_colours().save(path, format="PNG")
    assert_bgr(read_photo(path)[0, 0], RED)


# Where the stored picture's left half ends up once it is turned upright.
@pytest.mark.parametrize(
    ("orientation", "red_at"),
    [
        (1, "left"), (2, "right"), (3, "right"), (4, "left"),
        (5, "top"), (6, "top"), (7, "bottom"), (8, "bottom"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".webp"])
def test_exif_rotation_is_undone(
    tmp_path: Path, orientation: int, red_at: str, suffix: str
) -> None:
    path = tmp_path / f"photo{suffix}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    two_colours().save(path, exif=exif)
    photo = read_photo(path)
    assert photo.shape == ((20, 40, 3) if red_at in ("left", "right") else (40, 20, 3))
    height, width = photo.shape[:2]
    spot = {
        "left": (height // 2, 2),
        "right": (height // 2, width - 3),
        "top": (2, width // 2),
        "bottom": (height - 3, width // 2),
    }[red_at]
    assert_bgr(photo[spot], RED, 12)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.new("L", (8, 8), 77).save(path)
    np.testing.assert_array_equal(read_photo(path), 77)


def test_black_and_white_keeps_its_two_tones(tmp_path: Path) -> None:
    path = tmp_path / "bw.png"
    image = Image.new("1", (8, 8), 0)
    image.putpixel((3, 2), 1)
    image.save(path)
    photo = read_photo(path)
    assert photo[2, 3].tolist() == [255, 255, 255]
    assert photo.sum() == 3 * 255


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_grey_is_scaled_down(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep{suffix}"
    values = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(values).save(path)
    assert read_photo(path)[0, :, 0].tolist() == [0, 100, 255]


def test_16_bit_colour_is_scaled_down(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    # Pillow cannot write 16-bit colour; these are the bytes of a one-pixel PNG.
    row = b"\0" + struct.pack(">3H", 257 * 200, 257 * 30, 257 * 40)
    write_png(path, struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0), zlib.compress(row))
    assert_bgr(read_photo(path)[0, 0], RED)


@pytest.mark.parametrize(("top", "expected"), [(1.0, 128), (255.0, 128), (4000.0, 128)])
def test_float_grey_is_scaled_by_its_range(tmp_path: Path, top: float, expected: int) -> None:
    path = tmp_path / "float.tiff"
    Image.fromarray(np.array([[0.5 * top, top, np.nan]], np.float32)).save(path)
    photo = read_photo(path)
    assert photo[0, 0, 0] == expected
    assert photo[0, 1, 0] == 255
    assert photo[0, 2, 0] == 0


@pytest.mark.parametrize("suffix", [".jpg", ".tiff"])
def test_cmyk_is_converted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"print{suffix}"
    Image.new("CMYK", (16, 16), (0, 200, 200, 20)).save(path)
    blue, green, red = read_photo(path)[8, 8].astype(int)
    assert red > 200
    assert abs(blue - green) < 8
    assert green < 90


def test_transparent_pixels_become_mid_grey(tmp_path: Path) -> None:
    path = tmp_path / "cutout.png"
    image = Image.new("RGBA", (4, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 0))
    image.putpixel((2, 0), (255, 0, 0, 128))
    image.save(path)
    photo = read_photo(path)
    assert_bgr(photo[0, 0], (255, 0, 0))
    assert_bgr(photo[0, 1], (128, 128, 128))
    assert_bgr(photo[0, 2], (192, 64, 64), 1)


def test_grey_with_alpha_and_palette_with_transparency_are_read(tmp_path: Path) -> None:
    Image.new("LA", (2, 2), (200, 0)).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "la.png"), 128)
    palette = two_colours().quantize(4)
    palette.save(tmp_path / "p.png")
    assert_bgr(read_photo(tmp_path / "p.png")[0, 0], RED, 2)
    index = palette.getpixel((0, 0))
    palette.save(tmp_path / "pt.png", transparency=index)
    assert_bgr(read_photo(tmp_path / "pt.png")[0, 0], (128, 128, 128))


def test_embedded_colour_profile_is_honoured(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    two_colours().save(tmp_path / "srgb.png", icc_profile=lab)
    assert_bgr(read_photo(tmp_path / "srgb.png")[0, 0], RED, 2)
    two_colours().save(tmp_path / "odd.png", icc_profile=b"no profile at all")
    assert_bgr(read_photo(tmp_path / "odd.png")[0, 0], RED)


@pytest.mark.parametrize(
    ("size", "limit"), [((400, 300), 100), ((300, 400), 64), ((101, 7), 100), ((5000, 3), 100)]
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_large_pictures_are_shrunk_to_the_limit(
    tmp_path: Path, size: tuple[int, int], limit: int, suffix: str
) -> None:
    path = tmp_path / f"large{suffix}"
    two_colours(*size).save(path)
    photo = read_photo(path, max_side_px=limit)
    assert max(photo.shape[:2]) == limit
    scale = limit / max(size)
    assert photo.shape[1] == pytest.approx(size[0] * scale, abs=1)
    assert photo.shape[0] == pytest.approx(size[1] * scale, abs=1)
    assert_bgr(photo[photo.shape[0] // 2, 1], RED, 12)


@pytest.mark.slow
def test_a_photo_of_100_megapixels_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    Image.new("L", (11600, 8700), 90).save(path, quality=50)
    photo = read_photo(path)
    assert photo.shape == (3072, 4096, 3)


def test_more_than_150_megapixels_are_refused_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "vast.png"
    header = struct.pack(">2I5B", 60000, 60000, 8, 2, 0, 0, 0)
    write_png(path, header, b"")
    with pytest.raises(PhotoError, match="megapixels"):
        read_photo(path)


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), RED).save(path)
    assert read_photo(path).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"hello", "not a picture"), (b"GIF89a" + bytes(50), "not a picture")],
)
def test_what_is_no_photo_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=message) as caught:
        read_photo(path)
    assert caught.value.hint


def test_missing_photo_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="there is no photo"):
        read_photo(tmp_path / "photo.jpg")
    with pytest.raises(PhotoError, match="is not a file"):
        read_photo(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_photos_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"photo{suffix}"
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(PhotoError):
        read_photo(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp", ".bmp"])
@settings(max_examples=60, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=5))
def test_damaged_photos_give_a_picture_or_a_photo_error(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, flips: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("damaged") / f"photo{suffix}"
    two_colours().save(path)
    data = bytearray(path.read_bytes())
    for position, mask in flips:
        data[position % len(data)] ^= mask
    path.write_bytes(bytes(data))
    try:
        photo = read_photo(path)
    except PhotoError:
        return
    assert photo.ndim == 3
    assert photo.shape[2] == 3


def test_names_of_pictures_are_told_from_others() -> None:
    assert is_photo_path("a/B.JPG")
    assert not is_photo_path("kim.persona")
    assert not is_photo_path("kim")
