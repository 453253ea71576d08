"""Who draws what the studio shoots: Numba on a processor, PyTorch on a graphics card.

Both draw the same pictures to within rounding. Everything random about a take is drawn before
either is asked, so who acts, how, in which light and with what noise does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from mien.errors import DeviceError, MissingError, UsageError

from .figure.anatomy import F32
from .stage import Costumed, Look
from .worn_face import FaceShot

DEVICES = ("auto", "cpu", "cuda")


class Drawer(Protocol):
    """Draws people in costume; pictures come in the order they are asked for.

    Attributes:
        name: what draws, for people to read.
    """

    name: str

    def draw(self, costumed: Costumed, looks: Sequence[Look]) -> Iterable[tuple[F32, F32]]:
        """What :meth:`.stage.Costumed.draw` gives, of each look; backdrops of one size."""

    def draw_faces(self, shots: Sequence[FaceShot], frame_size: int) -> Iterable[tuple[F32, F32]]:
        """What :meth:`.worn_face.WornFace.draw_face` gives, of faces on one performer."""


class NumbaDrawer:
    """One picture after the other on the processor, when it is taken."""

    name = "Numba"

    def draw(self, costumed: Costumed, looks: Sequence[Look]) -> Iterator[tuple[F32, F32]]:
        """See :class:`Drawer`."""
        for look in looks:
            yield costumed.draw(look)

    def draw_faces(self, shots: Sequence[FaceShot], frame_size: int) -> Iterator[tuple[F32, F32]]:
        """See :class:`Drawer`."""
        for shot in shots:
            yield shot.worn.draw_face(shot.look, shot.crop, frame_size)


def open_drawer(device: str = "auto") -> Drawer:
    """The drawer for a device.

    Args:
        device: ``cpu`` is Numba, ``cuda`` PyTorch on a card, ``auto`` the card if there is one.

    Raises:
        UsageError: there is no such choice.
        MissingError: ``cuda`` without PyTorch.
        DeviceError: ``cuda`` without a card that PyTorch can use.
    """
    if device not in DEVICES:
        raise UsageError(f"no device {device!r} to render on", f"one of {', '.join(DEVICES)}")
    if device == "cpu":
        return NumbaDrawer()
    try:
        import torch
    except ImportError as error:
        if device == "auto":
            return NumbaDrawer()
        raise MissingError(
            "rendering on a GPU needs PyTorch, which is not installed", "pip install 'mien[train]'"
        ) from error
    if not torch.cuda.is_available():
        if device == "auto":
            return NumbaDrawer()
        raise DeviceError(
            "PyTorch finds no CUDA device to render on", "use --device cpu, which needs none"
        )
    from .batch_drawing import BatchDrawer

    return BatchDrawer("cuda")
