"""Everything mien raises on purpose.

::

    MienError                 exit code 1
    |- UsageError             2   wrong use: options that contradict each other
    |- InputError             3   what was handed in cannot be used
    |  |- MediaError              a video, image or stream is missing, broken or not media
    |  |- PhotoError              a photo cannot become a persona
    |  |- PersonaError            a .persona file is corrupt, hostile or unknown
    |  `- ShowError               a show file does not check out
    |- MissingError           4   something this machine lacks
    |  |- DeviceError             a camera, GPU, virtual camera or MIDI port
    |  |  `- GpuLostError            the GPU failed in the middle and cannot be used again
    |  `- ModelError              a model file is missing, corrupt or does not fit
    `- OutputError            1   the result cannot be written

``what`` says what is wrong in one line, ``hint`` what to do about it in another.
"""

from __future__ import annotations


class MienError(Exception):
    """Base of every error that mien raises on purpose.

    Args:
        what: one line that says what is wrong.
        hint: one line that says what to do; may be empty.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what if not hint else f"{what} ({hint})")
        self.what = what
        self.hint = hint


class UsageError(MienError):
    """Options or arguments that cannot be meant."""

    exit_code = 2


class InputError(MienError):
    """What was handed in cannot be used."""

    exit_code = 3


class MediaError(InputError):
    """A video, image or stream is missing, broken or not media at all."""


class PhotoError(InputError):
    """A photo cannot become a persona."""


class PersonaError(InputError):
    """A .persona file is corrupt, hostile or of an unknown version."""


class ShowError(InputError):
    """A show file does not check out."""


class MissingError(MienError):
    """Something that this machine lacks."""

    exit_code = 4


class DeviceError(MissingError):
    """A camera, GPU, virtual camera or MIDI port is missing or failed."""


class GpuLostError(DeviceError):
    """The GPU failed in the middle; nothing on it can be used again."""


class ModelError(MissingError):
    """A model file is missing, corrupt or does not fit its use."""


class OutputError(MienError):
    """The result cannot be written."""
