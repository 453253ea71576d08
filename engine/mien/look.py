"""What a performer wears in one frame: a persona, their own face, or something in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from mien.types import Frame

Blending = Literal["morph", "wipe"]
Side = Literal["left", "right", "up", "down"]

EVERYONE = ""
"""The role of every performer who has no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Two faces at once.

    Attributes:
        base: what is left; a blend is that blend as it stood when it was interrupted.
        top: what comes.
        amount: 0..1, 0 is all base.
        how: ``morph`` mixes everywhere, ``wipe`` lets the top come in from one side.
        side: where a wipe's front moves to, as seen in the picture of a frontal face.
        skin: 0..1, amount for colours and detail where ``amount`` is only the shape's; None
            where they go together. A swapper with layers takes the coarse ones for shape.
    """

    base: Face
    top: str | None
    amount: float
    how: Blending = "morph"
    side: Side = "right"
    skin: float | None = None

    @property
    def skin_amount(self) -> float:
        """0..1, how much of the top's colours and detail shows."""
        return self.amount if self.skin is None else self.skin


Face: TypeAlias = str | Blend | None
"""The name of a persona, a blend, or None for the performer's own face."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one performer wears in one frame.

    Attributes:
        face: who is shown.
        likeness: 0..1, how much of the persona's shape shows, of what the swapper is set to.
        iris: 0..1, iris colour from the performer's to the persona's.
        lips: 0..1, the lips' look likewise; between them the mouth is the performer's.
        slate: show the card in place of the whole picture.
    """

    face: Face
    likeness: float = 1.0
    iris: float = 1.0
    lips: float = 1.0
    slate: bool = False

    @property
    def is_bare(self) -> bool:
        """The performer's own face is wished for, and nothing else."""
        return self.face is None and not self.slate


class Director(Protocol):
    """Says before each frame what every role wears; called in the thread of the frames."""

    def looks(self, frame: Frame) -> Mapping[str, Look]:
        """Look by role. The role :data:`EVERYONE` stands for all that are not named."""


def face_names(face: Face) -> set[str]:
    """The personas that a face is made of."""
    if isinstance(face, Blend):
        names = face_names(face.base)
        return names if face.top is None else names | {face.top}
    return set() if face is None else {face}


def dominant(face: Face) -> str | None:
    """The persona whose colours a face shows most of; None for the performer's own."""
    if isinstance(face, Blend):
        return face.top if face.skin_amount >= 0.5 else dominant(face.base)
    return face


def depth(face: Face) -> int:
    """How many blends lie inside each other."""
    return 1 + depth(face.base) if isinstance(face, Blend) else 0


def opacity(face: Face) -> float:
    """0..1, how much of the performer's own face is covered."""
    if isinstance(face, Blend):
        top = 0.0 if face.top is None else 1.0
        base = opacity(face.base)
        return base + (top - base) * face.skin_amount
    return 0.0 if face is None else 1.0


# Covering less than this by wish is not worth drawing.
_CLEAR = 0.01


def is_clear(look: Look) -> bool:
    """True when the performer's own face is wished for, and nothing else."""
    return not look.slate and opacity(look.face) < _CLEAR
