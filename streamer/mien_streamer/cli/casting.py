"""``-p ada``, or ``-p alice=ada -p bob=kai``: who wears what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mien.errors import UsageError
from mien.shows import Show
from mien_streamer.show_session import casting_show


def single_persona(values: Sequence[str]) -> str:
    """The one persona that was asked for.

    Raises:
        UsageError: there is none, or several without performers.
    """
    if not values:
        raise UsageError("no persona is named", "add -p ada; see mien persona list")
    if len(values) > 1:
        raise UsageError(
            "several personas, and nobody to wear them",
            f"say who wears whom: -p alice={values[0]} -p bob={values[1]}",
        )
    return values[0]


def cast_of(values: Sequence[str]) -> Show | None:
    """Several performers and their personas; None where one persona is for whoever is there.

    Raises:
        UsageError: the two ways of writing are mixed, or a performer is named twice.
    """
    pairs = [value.partition("=") for value in values]
    # A path may hold a "=" too.
    if not any(equals for _, equals, _ in pairs) or Path(values[0]).exists():
        return None
    roles: dict[str, str] = {}
    for who, equals, worn in pairs:
        if not (who and equals and worn):
            raise UsageError(
                f"{who}{equals}{worn} names no performer and persona", "write -p alice=ada"
            )
        if who in roles:
            raise UsageError(f"{who} is to wear two personas", "name each performer once")
        roles[who] = worn
    return casting_show(roles)
