"""From names typed on the command line to personas and performers."""

from __future__ import annotations

import os
from pathlib import Path

from mien.errors import DeviceError, PersonaError
from mien.inference.cuda_driver import load_driver
from mien.personas.library import Library, default_root
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.types import F32Array
from mien_streamer.cli.console import say_warning
from mien_streamer.cli.values import parse_face

HOME_VARIABLE = "MIEN_HOME"


def open_library() -> Library:
    """The user's library: under MIEN_HOME if that is set, else where the system keeps data."""
    home = os.environ.get(HOME_VARIABLE)
    return Library(Path(home).expanduser() / "personas" if home else default_root())


def tell_where(pipeline: Pipeline, device: str) -> None:
    """Notes what runs where, unless a machine without a GPU was left to choose: it had no choice.

    Args:
        pipeline: has chosen.
        device: what it was asked for.
    """
    if device == "auto":
        try:
            load_driver()
        except DeviceError:
            return
    for line in pipeline.where:
        say_warning(line)


def find_persona(name_or_path: str, face: str | None = None) -> Persona:
    """The persona that was named; a portrait becomes one for this run."""
    which = parse_face(face)

    def read_portrait(path: Path) -> Persona:
        from mien.perception import FaceDescriptor, FaceTracker
        from mien.personas.create import create_ad_hoc

        with FaceTracker() as finder:
            descriptor = FaceDescriptor()
            try:
                return create_ad_hoc(path, finder=finder, descriptor=descriptor, choose=which)
            finally:
                descriptor.close()

    return open_library().resolve(name_or_path, read_portrait=read_portrait)


def find_performer(photo_or_persona: str) -> F32Array:
    """The descriptor of the person who is to be swapped."""
    from mien.personas.photos import is_photo_path

    if not is_photo_path(photo_or_persona):
        try:
            return open_library().resolve(photo_or_persona).descriptor
        except PersonaError as error:
            raise PersonaError(
                f"--performer: {error.what}", error.hint or "name a photo or a persona"
            ) from error
    return _describe_photo(Path(photo_or_persona))


def _describe_photo(path: Path) -> F32Array:
    from mien.perception import FaceDescriptor, FaceTracker
    from mien.personas.create import choose_face
    from mien.personas.photos import read_photo

    image = read_photo(path)
    with FaceTracker() as finder:
        face = choose_face(finder.find(image), path.name)
    descriptor = FaceDescriptor()
    try:
        return descriptor.describe(image, face.landmarks)
    finally:
        descriptor.close()
