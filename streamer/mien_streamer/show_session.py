"""A show on a pipeline: personas called, performers enrolled, the director at its place."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping

from mien.look import EVERYONE
from mien.marking.metadata import Statement, tool_version
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.shows import Show, ShowDirector, ShowPlayer, stream_clock
from mien.shows.director import Clock
from mien.shows.follow import FollowedClock
from mien.shows.show import Performer
from mien.types import F32Array, Frame
from mien.wings import Loader, Wear
from mien_streamer.show_sound import HeardBeside, SoundTrack

FindPersona = Callable[[str], Persona]


def live_clock(frame: Frame) -> tuple[float, float | None]:
    """The present moment: what is heard now counts, not when the picture was taken."""
    del frame
    return time.monotonic(), None


def following_clock(show: Show, follow: FollowedClock) -> Clock:
    """The present moment, and the other machine's show time where the show follows one."""

    def clock(frame: Frame) -> tuple[float, float | None]:
        now_s, _ = live_clock(frame)
        return now_s, None if show.follow == "own" else follow.read(now_s)

    return clock


class ShowSession:
    """One show on one pipeline. ``player`` is what controls and the studio talk to.

    Args:
        show: what to play.
        pipeline: where; its director is set, its personas are called.
        find: the persona of a name or path; may be slow, runs beside the frames.
        live: the clock is the wall's and personas come in the background; else it is
            the stream's, and all personas are ready before the first frame.
        find_performer: descriptor of a performer, by photo or persona.
        clock: another clock in place of either.
        record: takes one line of JSON a frame.

    Raises:
        MienError: a performer cannot be told, or, unless live, a persona not prepared.
    """

    def __init__(
        self,
        show: Show,
        pipeline: Pipeline,
        find: FindPersona,
        *,
        live: bool,
        find_performer: Callable[[str], F32Array] | None = None,
        clock: Clock | None = None,
        record: Callable[[str], object] | None = None,
    ) -> None:
        self.show = show
        self._found: dict[str, Persona] = {}
        self._skins: dict[str, Persona] = {}
        if show.performers:
            assert find_performer is not None
            pipeline.enrol_cast(
                {role: find_performer(who.recognise) for role, who in show.performers.items()}
            )
        self.player = ShowPlayer(
            show, ready=pipeline.wings.is_ready, clock=time.monotonic if live else None
        )
        self._clock = clock or (live_clock if live else stream_clock)
        self._record = record
        self.director = ShowDirector(self.player, self._clock, record)
        loaders = {name: self._loader(find, name) for name in self._in_order()}
        opening = {who.wears or show.start for who in show.performers.values()} or {show.start}
        first = {name: load for name, load in loaders.items() if name in opening or not live}
        pipeline.wings.call(first, wait=True)
        pipeline.wings.call({name: load for name, load in loaders.items() if name not in first})
        self._pipeline = pipeline
        pipeline.direct(self.director)

    def hear(self, track: SoundTrack) -> None:
        """Lets the show hear a sound that runs beside the pictures; before the first frame."""
        hearing = HeardBeside(self._clock, track, self.player)
        self.director = ShowDirector(self.player, hearing, self._record)
        self._pipeline.direct(self.director)

    def _loader(self, find: FindPersona, name: str) -> Loader:
        drawing = self.show.drawings.get(name)

        def load() -> Persona | Wear:
            persona = self._found[name] = find(self.show.personas[name])
            if drawing is None:
                return persona
            skin = find(drawing.fine) if drawing.fine is not None else None
            if skin is not None:
                self._skins[name] = skin
            return Wear(persona=persona, swapper=drawing.swapper, fine=skin)

        return load

    def _in_order(self) -> list[str]:
        """Personas in the order of their entrances: whoever comes first is called first."""
        names = [self.show.start, *(who.wears for who in self.show.performers.values())]
        names += [cue.to for cue in self.show.cues]
        return list(dict.fromkeys(name for name in names if name is not None))

    @property
    def personas(self) -> Mapping[str, Persona]:
        """Those loaded so far, by their name in the show."""
        return dict(self._found)

    def statement(self, find: FindPersona) -> Statement:
        """What a file says in which this show is seen."""
        personas = [
            self._found.get(name) or find(self.show.personas[name]) for name in self._in_order()
        ]
        # Whose skin is worn has consented too.
        drawn = [(name, self.show.drawings.get(name)) for name in self._in_order()]
        personas += [
            self._skins.get(name) or find(drawing.fine)
            for name, drawing in drawn
            if drawing is not None and drawing.fine is not None
        ]
        words = "\n".join(f"{p.consent.given_by}\n{p.consent.statement}" for p in personas)
        return Statement(
            tool_version=tool_version(),
            persona=", ".join(dict.fromkeys(persona.name for persona in personas)),
            consent_sha256=hashlib.sha256(words.encode()).hexdigest(),
        )


def casting_show(roles: Mapping[str, str]) -> Show:
    """A show without cues: performers (a photo or persona that tells them) and who they wear."""
    return Show(
        name="casting",
        start=None,
        personas={worn: worn for worn in roles.values()},
        performers={who: Performer(recognise=who, wears=worn) for who, worn in roles.items()},
        cues=(),
    )


def wears_now(player: ShowPlayer) -> str:
    """Who is on stage, in a few words."""
    wears = player.state().wears
    if set(wears) == {EVERYONE}:
        return wears[EVERYONE]
    return ", ".join(f"{role}: {name}" for role, name in wears.items())
