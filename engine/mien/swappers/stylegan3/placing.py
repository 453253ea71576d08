"""From the generator's picture to a patch of the frame."""

from __future__ import annotations

import cv2
import numpy as np

from mien.types import F32Array, Frame, Patch, U8Array

# Colours are carried so many pixels beyond the matte, which is farther than its slope.
_BLEED = (15, 15)
_NOBODY = np.float32(1e-4)

# The square's border fades over so many pixels: a head may go on beyond it, and a straight
# edge would show.
_EDGE_PX = 5

# A face so near that its square has more pixels than this is enlarged in two steps.
_LARGEST_SIDE = 2048


class Placer:
    """Puts generated pictures into frames. Reuses its buffers; belongs to one thread.

    Args:
        size: side of the generator's pictures.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._bgra = np.empty((size, size, 4), np.uint8)
        self._edge = _edge(size)
        self._scaled = np.empty(0, np.uint8)
        self._warped = np.empty(0, np.uint8)
        self._bgr = np.empty(0, np.uint8)
        self._matte = np.empty(0, np.uint8)

    def picture(self, image: F32Array, gain: F32Array, opacity: float = 1.0) -> U8Array:
        """(S, S, 4) uint8 BGRA, straight; colours go on beyond the matte.

        Args:
            image: (4, S, S) float32, BGR and matte.
            gain: (3,) float32, BGR factors.
            opacity: 0..1, how much of it may show.
        """
        matte = np.clip(image[3], 0.0, 1.0)
        bgr = np.clip(cv2.merge([image[0], image[1], image[2]]), 0.0, 1.0)
        # What the network paints where nothing of it shows is anything at all; the slope of
        # the matte and every resampling would mix it in. Colours that do show take its place,
        # by normalised averaging.
        weight = cv2.merge([matte * matte] * 3)
        near = cv2.blur(bgr * weight, _BLEED)
        near /= cv2.blur(weight, _BLEED) + _NOBODY
        bgr -= near
        bgr *= cv2.merge([matte] * 3)
        bgr += near
        bgr *= np.asarray(gain, np.float32) * np.float32(255.0)
        matte *= self._edge
        matte *= np.float32(255.0 * opacity)
        picture = cv2.merge([bgr, matte])
        picture += np.float32(0.5)
        np.copyto(self._bgra, np.clip(picture, 0.0, 255.0, out=picture), casting="unsafe")
        return self._bgra

    def place(self, picture: U8Array, frame_from_crop: F32Array, frame: Frame) -> Patch:
        """The patch that shows the picture in its square of the frame.

        Made smaller by averaging and larger by cubic interpolation; then it is turned. Views
        of buffers that the next call overwrites.

        Args:
            picture: (S, S, 4) uint8 BGRA, what ``picture`` returned.
            frame_from_crop: (2, 3) float32, a rotation and a scale.
            frame: where to.
        """
        left, top, right, bottom = _shown(picture, frame_from_crop, frame.size)
        rows, columns = bottom - top, right - left
        if rows <= 0 or columns <= 0:
            nothing = np.zeros((0, 0, 3), np.uint8)
            return Patch(left=0, top=0, bgr=nothing, matte=np.zeros((0, 0), np.uint8))
        side = scaled_side(self._size, frame_from_crop)
        how = cv2.INTER_AREA if side < self._size else cv2.INTER_CUBIC
        scaled = self._room("_scaled", (side, side, 4))
        cv2.resize(picture, (side, side), dst=scaled, interpolation=how)
        # Pixel centre i of the scaled picture lies at (i + 0.5) * step - 0.5 of the crop.
        step = self._size / side
        linear = frame_from_crop[:, :2].astype(np.float64)
        shift = frame_from_crop[:, 2] + linear @ np.full(2, 0.5 * step - 0.5) - (left, top)
        transform = np.concatenate([linear * step, shift[:, None]], axis=1)
        warped = self._room("_warped", (rows, columns, 4))
        cv2.warpAffine(
            scaled,
            transform,
            (columns, rows),
            dst=warped,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        bgr = self._room("_bgr", (rows, columns, 3))
        matte = self._room("_matte", (rows, columns, 1))
        cv2.mixChannels([warped], [bgr, matte], [0, 0, 1, 1, 2, 2, 3, 3])
        return Patch(left=left, top=top, bgr=bgr, matte=matte[..., 0])

    def _room(self, name: str, shape: tuple[int, ...]) -> U8Array:
        wanted = int(np.prod(shape))
        buffer: U8Array = getattr(self, name)
        if buffer.size < wanted:
            buffer = np.empty(wanted + wanted // 4, np.uint8)
            setattr(self, name, buffer)
        return buffer[:wanted].reshape(shape)


def scaled_side(size: int, frame_from_crop: F32Array) -> int:
    """Side in pixels of a picture that is made as large as it is in the frame, then turned."""
    scale = float(np.hypot(*frame_from_crop[:, 0]))
    return min(max(round(size * scale), 2), _LARGEST_SIDE)


def _shown(
    picture: U8Array, frame_from_crop: F32Array, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in the frame of all that shows."""
    x, y, width, height = cv2.boundingRect(picture[..., 3])
    if width == 0:
        return 0, 0, 0, 0
    return part_in_frame((x, y, width, height), frame_from_crop, size)


def part_in_frame(
    part: tuple[int, int, int, int], frame_from_crop: F32Array, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in the frame of a part of the picture.

    Args:
        part: left, top, width and height in pixels of the picture.
        frame_from_crop: (2, 3).
        size: (height, width) of the frame.
    """
    x, y, width, height = part
    # One pixel more on each side: the slope between a shown pixel and its neighbour.
    corners = np.array(
        [(x + across, y + down) for across in (-1, width) for down in (-1, height)],
        np.float32,
    )
    where = corners @ frame_from_crop[:, :2].T + frame_from_crop[:, 2]
    low, high = np.floor(where.min(axis=0)), np.ceil(where.max(axis=0)) + 1
    rows, columns = size
    left, right = (int(min(max(edge, 0), columns)) for edge in (low[0], high[0]))
    top, bottom = (int(min(max(edge, 0), rows)) for edge in (low[1], high[1]))
    return left, top, right, bottom


def _edge(size: int) -> F32Array:
    """(S, S) float32: 0 on the border, 1 inside."""
    away = np.minimum(np.arange(size), np.arange(size)[::-1]).astype(np.float32)
    rise = np.clip(away / np.float32(_EDGE_PX), 0.0, 1.0)
    smooth = rise * rise * (3.0 - 2.0 * rise)
    return np.asarray(np.minimum.outer(smooth, smooth), np.float32)
