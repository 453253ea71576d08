"""From photos to a persona: find the one face in each, check that they fit, enrol them.

The stages that find and describe faces come in as arguments, so this module depends on
what they do and not on how.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

from mien.errors import PersonaError, PhotoError
from mien.personas.enrolment import EnrolledFace, enrol
from mien.personas.persona import Consent, Persona
from mien.personas.photos import read_photo
from mien.personas.validation import check_consent, check_name, check_persona
from mien.types import F32Array, FaceTrack, U8Array

logger = logging.getLogger(__name__)

Choice = int | Literal["largest", "left", "right"]
"""Which of several faces: its number, counted from 1 at the left, or where it is."""

MIN_FACE_PX = 80
# A face this many times larger (in area) than the next is plainly the one that is meant.
CLEARLY_LARGER = 2.0
# dlib's published threshold for "the same person"; see facts about the descriptor in docs.
SAME_PERSON_DISTANCE = 0.6
MAX_PHOTOS = 32
PREVIEW_PX = 256
_PREVIEW_QUALITY = 90
# The preview shows the face with its hair and some neck.
_PREVIEW_MARGIN = 1.75
AD_HOC_STATEMENT = "ad hoc: not stored"
_PRINTABLE_NAME_CHARS = 40
_MOST_LISTED = 6


class FaceFinder(Protocol):
    """Finds faces in a still picture, largest first."""

    def find(self, image_bgr: U8Array) -> list[FaceTrack]: ...


class FaceDescriber(Protocol):
    """Turns a face into a (128,) float32 identity descriptor."""

    def describe(self, image_bgr: U8Array, landmarks: F32Array) -> F32Array: ...


class Enroller(Protocol):
    """Turns photos and the face in each into what the swappers need of a face."""

    def __call__(self, photos: Sequence[U8Array], faces: Sequence[FaceTrack]) -> EnrolledFace: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Portrait:
    """One photo with the face that was chosen in it."""

    label: str
    image_bgr: U8Array
    face: FaceTrack
    descriptor: F32Array


def create_persona(
    name: str,
    photo_paths: Sequence[str | Path],
    consent: Consent,
    *,
    finder: FaceFinder,
    descriptor: FaceDescriber,
    choose: Choice | None = None,
    created: str | None = None,
    enroller: Enroller = enrol,
) -> Persona:
    """A persona made of one or more photos of the same person.

    Args:
        name: see :func:`mien.personas.validation.check_name`.
        photo_paths: one frontal photo at least; turned heads fill in the sides.
        consent: who agreed to what; never blank.
        finder: finds faces, such as ``mien.perception.FaceTracker``.
        descriptor: describes faces, such as ``mien.perception.FaceDescriptor``.
        choose: which face to take where a photo shows several.
        created: ISO 8601 time to record; now, if None.
        enroller: makes texture and shape; replaced in tests.

    Raises:
        PersonaError: when the name or the consent record cannot stand.
        PhotoError: when a photo cannot be read, shows no usable face, or shows somebody
            else than the other photos.
    """
    check_name(name)
    check_consent(consent)
    if not photo_paths:
        raise PhotoError("no photo was given", "name at least one photo that shows the face")
    if len(photo_paths) > MAX_PHOTOS:
        raise PhotoError(f"{len(photo_paths)} photos are too many", f"choose the best {MAX_PHOTOS}")
    portraits = [
        _read_portrait(Path(path), finder=finder, descriptor=descriptor, choose=choose)
        for path in photo_paths
    ]
    _check_same_person(portraits)
    face = enroller(
        [portrait.image_bgr for portrait in portraits],
        [portrait.face for portrait in portraits],
    )
    persona = Persona(
        name=name,
        created=created or datetime.now(UTC).isoformat(timespec="seconds"),
        consent=consent,
        texture=face.texture,
        coverage=face.coverage,
        shape=face.shape,
        iris_bgr=face.iris_bgr,
        skin_bgr=face.skin_bgr,
        descriptor=np.mean([p.descriptor for p in portraits], axis=0, dtype=np.float32),
        latents={},
        preview_jpeg=draw_preview(_most_frontal(portraits)),
    )
    check_persona(persona)
    return persona


def create_ad_hoc(
    photo_path: str | Path,
    *,
    finder: FaceFinder,
    descriptor: FaceDescriber,
    choose: Choice | None = None,
    enroller: Enroller = enrol,
) -> Persona:
    """A persona of one portrait, for this run only.

    Its consent record says that it is not stored; :func:`mien.personas.save_persona`
    writes it all the same, so whoever keeps it must put a true record in its place.
    """
    path = Path(photo_path)
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in path.stem).strip("-")
    return create_persona(
        f"photo-{letters}"[:_PRINTABLE_NAME_CHARS].rstrip("-"),
        [path],
        Consent(statement=AD_HOC_STATEMENT, given_by="whoever runs this session"),
        finder=finder,
        descriptor=descriptor,
        choose=choose,
        enroller=enroller,
    )


def choose_face(faces: Sequence[FaceTrack], label: str, choose: Choice | None = None) -> FaceTrack:
    """The one face in a photo that is meant.

    Args:
        faces: all faces found in it.
        label: what to call the photo in messages.
        choose: which one; None takes the only one, or one that is plainly the largest.

    Raises:
        PhotoError: when there is none, or when it is not clear which.
    """
    if not faces:
        raise PhotoError(
            f"no face was found in {label}",
            "use a sharp, well-lit photo that shows the whole face from the front",
        )
    from_left = sorted(faces, key=lambda face: face.box[0] + face.box[2])
    largest_first = sorted(faces, key=_area, reverse=True)
    if choose is None:
        if len(faces) > 1 and _area(largest_first[0]) < CLEARLY_LARGER * _area(largest_first[1]):
            raise PhotoError(
                f"{label} shows {len(faces)} faces: {_list_faces(from_left)}",
                'choose one by its number or as "largest", "left" or "right" '
                "(--face), or crop the photo",
            )
        return largest_first[0]
    if choose == "largest":
        return largest_first[0]
    if choose == "left":
        return from_left[0]
    if choose == "right":
        return from_left[-1]
    if isinstance(choose, bool) or not isinstance(choose, int):
        raise ValueError(f'choose must be a number, "largest", "left" or "right", got {choose!r}')
    if not 1 <= choose <= len(faces):
        raise PhotoError(
            f"there is no face number {choose} in {label}: {_list_faces(from_left)}",
            f"choose a number from 1 to {len(faces)}",
        )
    return from_left[choose - 1]


def draw_preview(portrait: _Portrait) -> bytes:
    """A square JPEG of the face with its surroundings, 256 px wide."""
    left, top, right, bottom = portrait.face.box
    height = bottom - top
    centre = ((left + right) / 2, (top + bottom) / 2 - 0.06 * height)
    scale = PREVIEW_PX / (_PREVIEW_MARGIN * max(right - left, height))
    image = portrait.image_bgr
    # Average first where the photo is much larger; a bilinear warp alone would alias.
    reduction = max(1, int(0.75 / scale))
    if reduction > 1:
        image = cv2.resize(
            image, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA
        ).astype(np.uint8, copy=False)
        centre = ((centre[0] + 0.5) / reduction - 0.5, (centre[1] + 0.5) / reduction - 0.5)
        scale *= reduction
    middle = (PREVIEW_PX - 1) / 2
    preview_from_image = np.array(
        [[scale, 0, middle - scale * centre[0]], [0, scale, middle - scale * centre[1]]]
    )
    preview = cv2.warpAffine(
        image,
        preview_from_image,
        (PREVIEW_PX, PREVIEW_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    done, jpeg = cv2.imencode(".jpg", preview, [cv2.IMWRITE_JPEG_QUALITY, _PREVIEW_QUALITY])
    if not done:
        raise PersonaError("the preview could not be drawn", "use another photo")
    return bytes(jpeg.tobytes())


def _read_portrait(
    path: Path, *, finder: FaceFinder, descriptor: FaceDescriber, choose: Choice | None
) -> _Portrait:
    image_bgr = read_photo(path)
    face = choose_face(finder.find(image_bgr), path.name, choose)
    width = face.box[2] - face.box[0]
    if width < MIN_FACE_PX:
        raise PhotoError(
            f"the face in {path.name} is {width:.0f} pixels wide",
            f"use a photo in which it is at least {MIN_FACE_PX} pixels wide; 300 and more is good",
        )
    return _Portrait(
        label=path.name,
        image_bgr=image_bgr,
        face=face,
        descriptor=descriptor.describe(image_bgr, face.landmarks),
    )


def _check_same_person(portraits: Sequence[_Portrait]) -> None:
    for one, other in combinations(portraits, 2):
        distance = float(np.linalg.norm(one.descriptor - other.descriptor))
        if distance > SAME_PERSON_DISTANCE:
            raise PhotoError(
                f"{one.label} and {other.label} do not seem to show the same person "
                f"(distance {distance:.2f}, at most {SAME_PERSON_DISTANCE})",
                "make one persona per person; leave out blurred or half turned ones",
            )


def _most_frontal(portraits: Sequence[_Portrait]) -> _Portrait:
    return min(portraits, key=lambda portrait: abs(portrait.face.pose.yaw_deg))


def _area(face: FaceTrack) -> float:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)


def _list_faces(faces: Sequence[FaceTrack]) -> str:
    listed = ", ".join(
        "{} at ({:.0f}, {:.0f})-({:.0f}, {:.0f})".format(number, *face.box)
        for number, face in enumerate(faces[:_MOST_LISTED], start=1)
    )
    return listed if len(faces) <= _MOST_LISTED else f"{listed} and so on to the right"
