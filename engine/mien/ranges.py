"""Stages as named ranges in NVIDIA Nsight Systems, where the package ``nvtx`` is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


def ranged(name: str) -> Callable[[_F], _F]:
    """Shows every call of a function as a range of the domain ``mien``.

    Without the package the function stays as it is, and costs nothing more.
    """
    try:
        import nvtx
    except ImportError:
        return lambda function: function
    annotate: Callable[[_F], _F] = nvtx.annotate(message=name, domain="mien")
    return annotate
