"""What an examination of ``mien doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How something fares."""

    WORKS = "works"
    OPTIONAL = "absent"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        subject: what was looked at.
        state: how it fares; ``absent`` is something that mien can do without.
        says: in plain words.
        hint: what to do, where something can be done.
    """

    subject: str
    state: State
    says: str
    hint: str = ""
