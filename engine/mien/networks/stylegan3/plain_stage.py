"""Sizes between one convolution and the next in the decoder without alias-free filters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainStage:
    """Along one axis; the same before and after, so that centres stay where they are.

    Attributes:
        crop: samples of the convolution's output that nothing needs, on either side.
        size: samples that stay.
        factor: how many times as many they become.
        trim: of those, how many go again on either side: an enlarged signal repeats its border.
    """

    crop: int
    size: int
    factor: int
    trim: int


def plan_plain(size: int, out: int, up: int, down: int) -> PlainStage:
    """What to do between ``size`` samples and ``out`` of them.

    Args:
        size: of the convolution's full output.
        out: of the layer.
        up, down: of the alias-free layer; their ratio is the enlargement.

    Raises:
        ValueError: no such layer: it shrinks, or its centre would move.
    """
    factor, left = divmod(up, down)
    if left or not factor:
        raise ValueError(f"a plain layer cannot go by {up}/{down}")
    border = factor // 2
    needed = -(-(out + 2 * border) // factor)
    needed += (size - needed) % 2
    if needed > size or (needed * factor - out) % 2:
        raise ValueError(f"no plain layer makes {out} samples of {size} by {up}/{down}")
    return PlainStage(
        crop=(size - needed) // 2,
        size=needed,
        factor=factor,
        trim=(needed * factor - out) // 2,
    )
