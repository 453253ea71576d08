"""One thread and the golden models for every test of the networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from tests.networks.golden import DATA, Golden, load_golden  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", params=["t64", "r64"])
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(DATA, request.param)


@pytest.fixture(scope="session")
def t64_path() -> Path:
    return DATA / "t64.safetensors"
