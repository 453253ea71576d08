"""The personas that the page shows, and new ones made of dropped photos."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mien.errors import MienError, PersonaError, PhotoError
from mien.personas import Consent, Library, Persona, check_consent, check_name
from mien_streamer.studio.fitting import Find, Fitting, find_latent

logger = logging.getLogger(__name__)

MOST_PHOTOS = 8
MOST_PHOTO_BYTES = 32 * 1024 * 1024

Create = Callable[[str, Sequence[Path], Consent], Persona]


def create_from_photos(name: str, photos: Sequence[Path], consent: Consent) -> Persona:
    """A persona made by the engine's own stages; takes a few seconds."""
    from mien.perception import FaceDescriptor, FaceTracker
    from mien.personas.create import create_persona

    descriptor = FaceDescriptor()
    try:
        with FaceTracker() as finder:
            return create_persona(name, photos, consent, finder=finder, descriptor=descriptor)
    finally:
        descriptor.close()


class Gallery:
    """Names, consents and previews, read once and after each change; any thread.

    Nothing that comes from outside becomes a path: names are looked up, photos are stored
    under names of our own in a folder that is gone afterwards.

    Attributes:
        library: where the personas are kept.
        fitting: finds latents for new ones, beside.
        version: changes when the list does.
    """

    def __init__(
        self,
        library: Library,
        create: Create = create_from_photos,
        find_latent: Find = find_latent,
    ) -> None:
        self.library = library
        self.fitting = Fitting(library, find_latent)
        self.version = 0
        self._create = create
        self._lock = threading.Lock()
        self._creating = threading.Lock()
        self._listed: list[dict[str, Any]] | None = None
        self._previews: dict[str, bytes] = {}

    def list(self) -> list[dict[str, Any]]:
        """``[{"name", "origin", "consent", "given_by", "until", "problem"}]``, own ones first."""
        with self._lock:
            if self._listed is None:
                self._listed = [self._facts(entry) for entry in self.library.list()]
            return self._listed

    def _facts(self, entry: Any) -> dict[str, Any]:
        persona = entry.file.persona if entry.file is not None else None
        if persona is not None:
            self._previews[entry.name] = persona.preview_jpeg
        return {
            "name": entry.name,
            "origin": entry.origin,
            "consent": persona.consent.statement if persona is not None else "",
            "given_by": persona.consent.given_by if persona is not None else "",
            "until": persona.consent.until if persona is not None else None,
            "problem": entry.problem,
        }

    def preview(self, name: str) -> bytes | None:
        """The JPEG picture of a persona, if there is one of that name."""
        self.list()
        with self._lock:
            return self._previews.get(name)

    def create(
        self,
        name: str,
        photos: Sequence[bytes],
        *,
        statement: str,
        given_by: str,
        until: str | None,
        latent: bool = False,
    ) -> Persona:
        """Makes a persona of photos and keeps it in the library.

        Args:
            name: its name.
            photos: files with pictures of one person.
            statement: what this person agreed to.
            given_by: who agreed.
            until: ISO date to which it holds, or None.
            latent: begin to look for the latent that the StyleGAN3 swapper draws it by.

        Raises:
            MienError: what was given cannot become one; the message is meant for people.
        """
        check_name(name)
        if not statement.strip() or not given_by.strip():
            raise PersonaError(
                "without consent there is no persona",
                "say who is shown and what they agreed to, in their words",
            )
        consent = Consent(statement=statement, given_by=given_by, until=until)
        check_consent(consent)
        if any(known["name"].lower() == name.lower() for known in self.list()):
            raise PersonaError(f"there is a persona {name!r} already", "choose another name")
        if not photos or len(photos) > MOST_PHOTOS:
            raise PhotoError(f"{len(photos)} photos were given", f"give 1 to {MOST_PHOTOS}")
        if not self._creating.acquire(blocking=False):
            raise MienError("another persona is being made", "wait until it is done")
        try:
            if latent:
                self.fitting.check_free()
            with tempfile.TemporaryDirectory(prefix="mien-") as folder:
                paths = []
                for number, photo in enumerate(photos, start=1):
                    path = Path(folder) / f"photo-{number}"
                    path.write_bytes(photo)
                    paths.append(path)
                persona = self._create(name, paths, consent)
            self.library.add(persona)
            self.refresh()
            if latent:
                self.fitting.start(persona, photos)
        finally:
            self._creating.release()
        return persona

    def refresh(self) -> None:
        """The library has changed: its list is read again when it is asked for."""
        with self._lock:
            self._listed = None
            self.version += 1
