"""Puts patches into frames."""

from mien.compositing.compositor import Compositor

__all__ = ["Compositor"]
