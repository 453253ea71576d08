"""Latents for people whom the shipped generator was not trained on: from photos, or footage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from mien.closing import Closing
from mien.errors import MediaError, PersonaError, PhotoError
from mien.perception import SAME_PERSON, FaceDescriptor, FaceTracker
from mien.personas.create import Choice, choose_face
from mien.personas.persona import Persona
from mien.personas.photos import read_photo
from mien.swappers.stylegan3 import LiveFiles
from mien.swappers.stylegan3.fitting import Fit, Portrait, fit_latent
from mien.swappers.stylegan3.networks import LiveNetworks, shipped_folder
from mien.swappers.stylegan3.wearing import rows_of, with_fine
from mien.types import F32Array, FaceTrack
from mien_streamer.sources import open_source

Progress = Callable[[float], None]

MOST_PORTRAITS = 8
"""More photos than this say little more, and each costs its time."""

# Footage is looked at this often; of what is seen, faces as different as can be are kept.
_LOOKS = 48
_SMALLEST_FACE_PX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A persona with its latent, and how well that draws it.

    Attributes:
        persona: with the latent, ready to be stored.
        fit: figures of the search.
        portraits: how many pictures it went by.
    """

    persona: Persona
    fit: Fit
    portraits: int


class LatentMaker(Closing):
    """The networks and the stages that find faces, for as long as latents are made.

    Raises:
        ModelError: the networks are missing or damaged.
    """

    def __init__(self, live: LiveFiles | None = None) -> None:
        self._live = live or LiveFiles(folder=shipped_folder())
        self._cast = self._live.latents()
        self._networks = LiveNetworks(self._live)
        self._finder = FaceTracker()
        self._describer = FaceDescriptor()

    def close(self) -> None:
        """Closes networks and stages."""
        self._networks.close()
        self._finder.close()
        self._describer.close()

    def from_photos(
        self,
        persona: Persona,
        photos: Sequence[Path] = (),
        *,
        choose: Choice | None = None,
        progress: Progress | None = None,
    ) -> Found:
        """The persona with a latent that draws whom its photos show.

        Args:
            persona: who.
            photos: pictures of the same person; without any, the persona's own preview.
            choose: which face, where a photo shows several.
            progress: told about the share that is done, 0..1.

        Raises:
            PhotoError: a photo cannot be read, shows no face, or somebody else's.
        """
        portraits = [self._portrait(path, choose) for path in photos[:MOST_PORTRAITS]]
        if not portraits:
            portraits = [self._preview(persona)]
        for portrait, path in zip(portraits, photos, strict=False):
            away = self._distance(persona, portrait)
            if away > SAME_PERSON:
                raise PhotoError(
                    f"{path.name} does not seem to show {persona.name} (distance {away:.2f}, at "
                    f"most {SAME_PERSON})",
                    "use photos of the same person, sharp and from the front",
                )
        return self._found(persona, portraits, progress)

    def from_footage(
        self, persona: Persona, video: Path, *, progress: Progress | None = None
    ) -> Found:
        """The same from a film of the person, of moments as different as it has.

        Raises:
            MediaError: the film cannot be read, or the persona's face is not in it.
        """
        return self._found(persona, self._moments(persona, video), progress)

    def mixed(self, coarse: Persona, fine: Persona, name: str) -> Persona:
        """A persona with the shape of one and the skin of another, when this generator draws it.

        Raises:
            PersonaError: one of them has no latent.
        """
        key = self._live.key()
        shape, skin = (rows_of(persona, key, self._cast) for persona in (coarse, fine))
        rows = with_fine(shape, skin, self._networks.layers)
        # Layers that were tuned to one of them would not know the other.
        return replace(coarse, name=name, latents={**coarse.latents, key: rows}, tunings={})

    def _found(
        self, persona: Persona, portraits: Sequence[Portrait], progress: Progress | None
    ) -> Found:
        fit = fit_latent(
            portraits,
            self._networks,
            {**self._live.strangers(), **self._cast},
            describe=self._describer.describe,
            progress=progress,
        )
        # One of another version of the networks would mean nothing any more.
        kept = {key: rows for key, rows in persona.latents.items() if not key.startswith("live-")}
        latents = {**kept, self._live.key(): np.ascontiguousarray(fit.rows, np.float32)}
        # Layers were tuned about another latent.
        worn = replace(persona, latents=latents, tunings={})
        return Found(persona=worn, fit=fit, portraits=len(portraits))

    def _portrait(self, path: Path, choose: Choice | None) -> Portrait:
        image_bgr = read_photo(path)
        face = choose_face(self._finder.find(image_bgr), path.name, choose)
        return Portrait(image_bgr=image_bgr, track=face)

    def _preview(self, persona: Persona) -> Portrait:
        data = np.frombuffer(persona.preview_jpeg, np.uint8)
        image_bgr = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        faces = self._finder.find(image_bgr)
        if not faces:
            raise PersonaError(
                f"no face is found in the preview of {persona.name}", "give the photos themselves"
            )
        return Portrait(image_bgr=image_bgr, track=faces[0])

    def _distance(self, persona: Persona, portrait: Portrait) -> float:
        seen: F32Array = self._describer.describe(portrait.image_bgr, portrait.track.landmarks)
        return float(np.linalg.norm(seen - persona.descriptor))

    def _moments(self, persona: Persona, video: Path) -> list[Portrait]:
        moments = [
            moment for moment in self._seen(video) if self._distance(persona, moment) <= SAME_PERSON
        ]
        if not moments:
            raise MediaError(
                f"{persona.name} is not seen in {video.name}",
                "use footage that shows the face from the front, well lit and without cuts",
            )
        return _most_different(moments, MOST_PORTRAITS)

    def _seen(self, video: Path) -> Iterator[Portrait]:
        """The largest face of frames spread over the film."""
        with open_source(str(video)) as source:
            count = source.info.frame_count
            every = max((count or 0) // _LOOKS, 1)
            for frame in source.frames():
                if frame.index % every:
                    continue
                faces = self._finder.find(frame.bgr)
                if faces and _width(faces[0]) >= _SMALLEST_FACE_PX:
                    yield Portrait(image_bgr=frame.bgr.copy(), track=faces[0])
                if count is None and frame.index >= 30 * _LOOKS:
                    return


def _width(track: FaceTrack) -> float:
    left, _, right, _ = track.box
    return right - left


def _most_different(moments: Sequence[Portrait], most: int) -> list[Portrait]:
    """So many of them, each as far from those before as can be; the first faces the viewer."""
    shapes = np.stack([_looks_like(moment.track) for moment in moments])
    chosen = [int(np.abs(shapes[:, :2]).sum(axis=1).argmin())]
    while len(chosen) < min(most, len(moments)):
        away = np.linalg.norm(shapes[:, None] - shapes[chosen][None], axis=2).min(axis=1)
        if away.max() < 1e-6:
            break
        chosen.append(int(away.argmax()))
    return [moments[index] for index in chosen]


def _looks_like(track: FaceTrack) -> F32Array:
    """(4,) float32: yaw and pitch in tens of degrees, mouth and eyes open in tenths."""
    points = track.landmarks
    height = max(float(np.ptp(points[:, 1])), 1.0)
    mouth = abs(float(points[13, 1] - points[14, 1])) / height * 10.0
    lids = abs(float(points[159, 1] - points[145, 1])) / height * 20.0
    return np.array(
        [track.pose.yaw_deg / 10.0, track.pose.pitch_deg / 10.0, mouth, lids], np.float32
    )
