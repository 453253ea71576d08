"""One set of networks for all tests that only look at still pictures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mien.perception import FaceDescriptor, FaceTracker
from mien.types import F32Array
from tests.perception.stage import portrait


@pytest.fixture(scope="session")
def finder() -> Iterator[FaceTracker]:
    """A tracker for its ``find``; no test may track or enrol with it."""
    with FaceTracker() as tracker:
        yield tracker


@pytest.fixture(scope="session")
def describer() -> Iterator[FaceDescriptor]:
    descriptor = FaceDescriptor()
    yield descriptor
    descriptor.close()


@pytest.fixture(scope="session")
def descriptors(finder: FaceTracker, describer: FaceDescriptor) -> dict[str, F32Array]:
    """The descriptor of every portrait."""
    return {
        name: describer.describe(portrait(name), finder.find(portrait(name))[0].landmarks)
        for name in ("a", "b", "c", "d", "e", "f", "astronaut")
    }
