"""Latents for new personas, found in a process of its own while the stage goes on."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.personas import Library, Persona, load_persona, save_persona

logger = logging.getLogger(__name__)

Progress = Callable[[float], None]
Find = Callable[[Persona, Sequence[Path], Progress], Persona]
"""The persona with a latent; runs in another process, so it must be found by its name."""

_NICENESS = 10
"""The picture on stage goes first."""


def find_latent(persona: Persona, photos: Sequence[Path], progress: Progress) -> Persona:
    """The persona with a latent for the shipped generator; takes a minute."""
    from mien_streamer.latents import LatentMaker

    with LatentMaker() as maker:
        return maker.from_photos(persona, photos, progress=progress).persona


class Fitting:
    """One search for a latent at a time; any thread.

    The search has a process of its own: it neither holds up the stage nor outlives a stop,
    and is ended without ceremony. Its photos lie in a folder that is gone afterwards.

    Args:
        library: where the personas are kept.
        find: finds a latent; replaced in tests.

    Attributes:
        on_done: told the name of a persona that has its latent now.
    """

    def __init__(self, library: Library, find: Find = find_latent) -> None:
        self._library, self._find = library, find
        self._lock = threading.Lock()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._thread: threading.Thread | None = None
        self._name = ""
        self._share = 0.0
        self._problem = ""
        self.on_done: Callable[[str], None] = lambda name: None

    def facts(self) -> dict[str, Any] | None:
        """``{"name", "share", "running", "problem"}`` of the last search; None before it."""
        with self._lock:
            if not self._name:
                return None
            return {
                "name": self._name,
                "share": round(self._share, 2),
                "running": self._process is not None,
                "problem": self._problem,
            }

    def check_free(self) -> None:
        """Nothing is being looked for.

        Raises:
            MienError: another search is on.
        """
        with self._lock:
            self._check_free()

    def _check_free(self) -> None:
        if self._process is not None:
            raise MienError(
                f"the latent of {self._name} is being looked for",
                "wait until it is done, or stop it",
            )

    def start(self, persona: Persona, photos: Sequence[bytes]) -> None:
        """Begins the search for a persona of the library; the facts say how it goes.

        Args:
            persona: who; its consent record stands for this use of the photos too.
            photos: files with pictures of this person.

        Raises:
            MienError: another search is on.
        """
        with self._lock:
            self._check_free()
            self._name, self._share, self._problem = persona.name, 0.0, ""
            folder = tempfile.TemporaryDirectory(prefix="mien-")
            try:
                paths = [Path(folder.name) / f"photo-{n}" for n in range(1, len(photos) + 1)]
                for path, photo in zip(paths, photos, strict=True):
                    path.write_bytes(photo)
                asked, found = (Path(folder.name) / f"{n}.persona" for n in ("asked", "found"))
                save_persona(persona, asked)
                # Not a fork: the stage has threads, and locks that they may hold.
                context = multiprocessing.get_context("spawn")
                hear, tell = context.Pipe(duplex=False)
                process = context.Process(
                    target=_search, args=(self._find, asked, paths, found, tell), daemon=True
                )
                process.start()
            except (OSError, MienError) as error:  # a full disk, or no process to be had
                self._problem = f"the search cannot begin: {error}"
                folder.cleanup()
                return
            # Ours is closed: when the process ends, however it does, hearing ends as well.
            tell.close()
            self._process = process
            self._thread = threading.Thread(
                target=self._follow, args=(process, hear, found, folder), name="mien-fitting"
            )
            self._thread.start()

    def stop(self) -> None:
        """Gives up what is being looked for, if anything; the persona stays as it was."""
        with self._lock:
            process, thread = self._process, self._thread
            if process is not None:
                self._problem = "stopped"
        if process is not None and thread is not None:
            process.terminate()
            thread.join()

    def _follow(
        self,
        process: multiprocessing.process.BaseProcess,
        hear: Connection,
        found: Path,
        folder: tempfile.TemporaryDirectory[str],
    ) -> None:
        problem = "the search broke off"
        with suppress(EOFError), hear:
            while True:
                said = hear.recv()
                if isinstance(said, float):
                    self._share = said
                else:
                    problem = str(said)
        process.join()
        name = self._name
        try:
            with self._lock:
                problem = self._problem or problem
            if not problem:
                self._keep(load_persona(found))
        except MienError as error:
            problem = f"{error.what}: {error.hint}"
        finally:
            folder.cleanup()
            with self._lock:
                self._process, self._problem = None, problem
        if problem:
            logger.info("no latent for %s: %s", name, problem)
        else:
            self.on_done(name)

    def _keep(self, fitted: Persona) -> None:
        """Gives the latent to the persona as it is by now."""
        worn = self._library.find(fitted.name).persona
        self._library.add(replace(worn, latents=fitted.latents), overwrite=True)


def _search(find: Find, asked: Path, photos: list[Path], found: Path, tell: Connection) -> None:
    """Runs in the other process; says shares of the way, then what went wrong, or nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the studio says when it is over
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    try:
        save_persona(find(load_persona(asked), photos, tell.send), found)
    except MienError as error:
        tell.send(f"{error.what}: {error.hint}" if error.hint else error.what)
    except Exception as error:
        tell.send(f"{type(error).__name__}: {error}")
    else:
        tell.send("")
