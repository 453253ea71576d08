"""Stages as ranges of a profiler: only where its package is."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from mien.ranges import ranged


def test_without_the_package_a_function_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvtx", None)  # type: ignore[arg-type]

    def work() -> int:
        return 3

    assert ranged("work")(work) is work


def test_with_it_every_call_is_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def annotate(message: str, domain: str) -> Any:
        def wrap(function: Any) -> Any:
            def ranged_function(*arguments: Any) -> Any:
                calls.append(f"{domain}: {message}")
                return function(*arguments)

            return ranged_function

        return wrap

    module = types.ModuleType("nvtx")
    module.annotate = annotate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nvtx", module)
    assert ranged("draw")(lambda value: value + 1)(4) == 5
    assert calls == ["mien: draw"]
