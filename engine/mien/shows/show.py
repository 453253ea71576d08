"""A show in memory: who is worn, and the cues in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mien.look import EVERYONE, Side
from mien.shows.curves import Curve, Named
from mien.shows.tempo import TempoMap
from mien.shows.timecode import Timecode

TransitionKind = Literal["cut", "morph", "wipe", "flicker"]
TargetKind = Literal["persona", "bare", "slate"]
Follow = Literal["own", "midi-clock", "mtc", "ltc", "osc"]
TriggerKind = Literal["osc", "midi", "key", "button", "timecode", "onset"]

EASE = Named("ease")

BARE, SLATE = "pass-through", "slate"
"""Words that stand where a persona's name would."""


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in seconds or in beats."""

    amount: float
    unit: Literal["s", "beats"] = "s"

    def seconds(self, tempo: TempoMap, start_s: float) -> float:
        """The length from a show time on."""
        return self.amount if self.unit == "s" else tempo.span_s(self.amount, start_s)


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something outside that fires a cue.

    Attributes:
        kind: where it comes from.
        address: OSC address; ``note 36``, ``cc 7`` or ``program 3`` (with `` channel 10``
            after it where the channel matters); the key; the button's name; a timecode;
            or for an onset ``any``, ``next`` (while GO would take this cue) or ``from``.
        from_s: show time before which an onset ``from`` does not count.
    """

    kind: TriggerKind
    address: str
    from_s: float = 0.0

    def __str__(self) -> str:
        since = f" {self.from_s:g} s" if self.address == "from" and self.kind == "onset" else ""
        return f"{self.kind} {self.address}{since}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """When, as shares of a morph's time, its shape and its skin change.

    Attributes:
        shape, skin: from, to.
    """

    shape: tuple[float, float] = (0.0, 1.0)
    skin: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One change of face.

    Attributes:
        name: unique in the show.
        to: name of a persona, or None with ``bare`` or ``slate`` set.
        target: what ``to`` is.
        at_s: show time at which it fires by itself; None where only others fire it.
        after: name of the cue whose end fires this one, ``delay`` later.
        triggers: what else fires it; any of them, as often as they come.
        layers: of a morph; None is all at once.
        performer: role that it addresses; ``EVERYONE`` for all.
        priority: of two cues at the same moment the higher one wins, then the later in
            the file.
        line: where it stands in the file, from 1.
    """

    name: str
    to: str | None = None
    target: TargetKind = "persona"
    at_s: float | None = None
    after: str | None = None
    delay: Span = Span(0.0)
    triggers: tuple[Trigger, ...] = ()
    transition: TransitionKind = "morph"
    duration: Span = Span(0.5)
    curve: Curve = EASE
    side: Side = "right"
    layers: Layers | None = None
    likeness: float | None = None
    iris: float | None = None
    lips: float | None = None
    performer: str = EVERYONE
    priority: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Performer:
    """One of several people on stage.

    Attributes:
        recognise: photo or persona that says who this is.
        wears: name of the persona at the start; None for the show's own start.
    """

    recognise: str
    wears: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """How a show listens.

    Attributes:
        sensitivity: 0..1, for onsets.
        gap_s: after an onset no other counts for so long.
        channel: where to hear onsets, from 0; None for all that carry no timecode.
        timecode_channel: where to hear timecode, from 0; None for the first that has it.
    """

    sensitivity: float = 0.5
    gap_s: float = 0.1
    channel: int | None = None
    timecode_channel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a show's orders come from and its news go, where no option says otherwise.

    Attributes:
        osc, osc_out: ``PORT`` or ``HOST:PORT``.
        midi, midi_out: part of a port's name, or ``virtual:NAME``.
        audio_in: sound to listen to.
    """

    osc: str | None = None
    osc_out: str | None = None
    midi: str | None = None
    midi_out: str | None = None
    audio_in: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How a persona of a show is to be drawn, where not like all the others.

    Attributes:
        swapper: its name; empty for the run's own.
        fine: name or path of the persona whose skin it takes; None for its own.
    """

    swapper: str = ""
    fine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What a show file says.

    Attributes:
        name: title.
        start: persona worn before the first cue; None is the performer's own face.
        personas: name in the show -> name or path of the persona.
        drawings: name in the show -> how it is drawn, for those that say so.
        performers: role -> who plays it; empty for the one performer of most shows.
        cues: in the order of the file, which is the order of GO.
        tempo: seconds and beats.
        follow: whose clock the timed cues follow.
        zero: the timecode at which show time is zero; None is 00:00:00:00.
        likeness, iris, lips: what holds where a cue says nothing.
        audio: path of the backing track, or None.
        sound: how to listen for onsets and timecode.
        ports: what is connected.
    """

    name: str
    start: str | None
    personas: Mapping[str, str]
    cues: tuple[Cue, ...]
    drawings: Mapping[str, Drawing] = field(default_factory=dict)
    performers: Mapping[str, Performer] = field(default_factory=dict)
    tempo: TempoMap = field(default_factory=TempoMap)
    follow: Follow = "own"
    likeness: float = 1.0
    iris: float = 1.0
    lips: float = 1.0
    audio: str | None = None
    zero: Timecode | None = None
    sound: Sound = Sound()
    ports: Ports = Ports()

    @property
    def wants_timecode(self) -> bool:
        """True when a cue, or the clock, waits for timecode."""
        return self.follow in ("mtc", "ltc") or self._has("timecode")

    @property
    def wants_onsets(self) -> bool:
        """True when a cue waits for an onset."""
        return self._has("onset")

    def _has(self, kind: TriggerKind) -> bool:
        return any(trigger.kind == kind for cue in self.cues for trigger in cue.triggers)

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the performers; one nameless one where none are named."""
        return tuple(self.performers) or (EVERYONE,)

    def find(self, name: str) -> Cue | None:
        """The cue of this name."""
        return next((cue for cue in self.cues if cue.name == name), None)

    def planned_s(self) -> dict[str, float]:
        """Show time of every cue that comes by itself: timed, or after one that is."""
        times = {cue.name: cue.at_s for cue in self.cues if cue.at_s is not None}
        for _ in self.cues:
            for cue in self.cues:
                if cue.after in times and cue.name not in times:
                    before = self.find(cue.after)
                    assert before is not None
                    times[cue.name] = follows_at_s(self, before, times[cue.after], cue)
        return times


def length_s(show: Show, cue: Cue, start_s: float) -> float:
    """How long a cue's transition takes when it starts at a show time."""
    if cue.transition == "cut" or cue.target == "slate":
        return 0.0
    return cue.duration.seconds(show.tempo, start_s)


def follows_at_s(show: Show, before: Cue, start_s: float, cue: Cue) -> float:
    """Show time at which ``cue`` follows one that started at ``start_s``."""
    end_s = start_s + length_s(show, before, start_s)
    return end_s + cue.delay.seconds(show.tempo, end_s)
