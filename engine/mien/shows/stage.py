"""What one performer wears, from one change to the next."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from mien.look import Blend, Blending, Face, Look, Side, depth, dominant
from mien.shows.curves import Curve
from mien.shows.show import EASE, Cue, Layers, Show, TransitionKind, length_s

# A transition that interrupts one that interrupted one...: beyond this many the oldest
# faces are left out, so that a storm of triggers cannot pile up work.
_DEEPEST = 6

# Flicker: so many looks a second; below the rate at which single faces are still seen.
_FLICKER_HZ = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One transition under way or done.

    Attributes:
        cue: name of the cue, for flicker and for those who watch.
        before: the look as it stood when the change began.
        face, likeness, iris, lips, slate: what stands at its end.
        start_s, length_s: on the run's clock.
    """

    cue: str
    before: Look
    face: str | None
    likeness: float
    iris: float
    lips: float
    slate: bool
    start_s: float
    length_s: float
    kind: TransitionKind
    curve: Curve = EASE
    side: Side = "right"
    layers: Layers | None = None

    @property
    def end_s(self) -> float:
        """When it is done."""
        return self.start_s + self.length_s

    def share(self, now_s: float) -> float:
        """0..1, how much of its time has passed."""
        if self.length_s <= 0.0:
            return 1.0
        return min(max((now_s - self.start_s) / self.length_s, 0.0), 1.0)

    def look(self, now_s: float) -> Look:
        """The look at a time of the run's clock."""
        time = self.share(now_s)
        if time >= 1.0 or self.slate or self.before.slate:
            return self._end()
        if self.kind == "flicker":
            return self._end() if self._flickers(time, now_s) else self.before
        shape = skin = self.curve(time)
        if self.layers is not None and self.kind == "morph":
            shape = self.curve(_within(time, self.layers.shape))
            skin = self.curve(_within(time, self.layers.skin))
        before = self.before
        return Look(
            face=self._blend(shape, skin),
            likeness=before.likeness + (self.likeness - before.likeness) * shape,
            iris=before.iris + (self.iris - before.iris) * skin,
            lips=before.lips + (self.lips - before.lips) * skin,
        )

    def _end(self) -> Look:
        return Look(
            face=self.face,
            likeness=self.likeness,
            iris=self.iris,
            lips=self.lips,
            slate=self.slate,
        )

    def _blend(self, shape: float, skin: float) -> Face:
        base = self.before.face
        if base == self.face or max(shape, skin) <= 0.0:
            return base
        if min(shape, skin) >= 1.0:
            return self.face
        if depth(base) > _DEEPEST:
            base = dominant(base)
        how: Blending = "wipe" if self.kind == "wipe" else "morph"
        return Blend(
            base=base,
            top=self.face,
            amount=shape,
            how=how,
            side=self.side,
            skin=None if skin == shape else skin,
        )

    def _flickers(self, time: float, now_s: float) -> bool:
        """Chance decides, more and more for the new face; the same chance in every run."""
        tick = int((now_s - self.start_s) * _FLICKER_HZ)
        digest = hashlib.blake2b(f"{self.cue}/{tick}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") / 2**32 < self.curve(time)

    def shifted(self, by_s: float) -> Change:
        """The same, later."""
        return replace(self, start_s=self.start_s + by_s)


def opening(show: Show, role: str) -> Change:
    """What a role wears before the first cue."""
    performer = show.performers.get(role)
    face = performer.wears if performer is not None and performer.wears else show.start
    return Change(
        cue="",
        before=Look(face=face, likeness=show.likeness, iris=show.iris, lips=show.lips),
        face=face,
        likeness=show.likeness,
        iris=show.iris,
        lips=show.lips,
        slate=False,
        start_s=0.0,
        length_s=0.0,
        kind="cut",
    )


def change_by(show: Show, cue: Cue, before: Look, time_s: float, show_s: float) -> Change:
    """The transition that a cue begins at a moment of the run's and the show's clock."""
    return Change(
        cue=cue.name,
        before=before,
        face=cue.to,
        likeness=show.likeness if cue.likeness is None else cue.likeness,
        iris=show.iris if cue.iris is None else cue.iris,
        lips=show.lips if cue.lips is None else cue.lips,
        slate=cue.target == "slate",
        start_s=time_s,
        length_s=length_s(show, cue, max(show_s, 0.0)),
        kind=cue.transition,
        curve=cue.curve,
        side=cue.side,
        layers=cue.layers,
    )


def _within(time: float, span: tuple[float, float]) -> float:
    """0..1, how far a part of the time has passed."""
    start, end = span
    return min(max((time - start) / (end - start), 0.0), 1.0)
