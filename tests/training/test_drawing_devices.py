"""Which renderer a device names, and what is said where it is not there."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("numba", reason="the studio draws with numba")
pytest.importorskip("scipy", reason="the studio shapes heads with scipy")

from mien.errors import DeviceError, MissingError, UsageError
from mien.training.synthetic.drawing import NumbaDrawer, open_drawer


def torch_with(monkeypatch: pytest.MonkeyPatch, *, card: bool) -> None:
    """A PyTorch that sees a card, or none."""
    cuda = SimpleNamespace(is_available=lambda: card)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))


def test_the_processor_is_numbas() -> None:
    assert isinstance(open_drawer("cpu"), NumbaDrawer)


def test_auto_without_a_card_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_with(monkeypatch, card=False)
    assert isinstance(open_drawer("auto"), NumbaDrawer)
    # None in the table of modules is how Python says that one cannot be imported.
    monkeypatch.setitem(sys.modules, "torch", None)
    assert isinstance(open_drawer("auto"), NumbaDrawer)


def test_a_card_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_with(monkeypatch, card=False)
    with pytest.raises(DeviceError, match="no CUDA device") as refused:
        open_drawer("cuda")
    assert "--device cpu" in refused.value.hint


def test_a_card_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingError, match="PyTorch") as refused:
        open_drawer("cuda")
    assert "mien[train]" in refused.value.hint


@pytest.mark.parametrize("device", ["gpu", "cuda:0", "", "CPU"])
def test_devices_that_are_none(device: str) -> None:
    with pytest.raises(UsageError, match="no device") as refused:
        open_drawer(device)
    assert "auto, cpu, cuda" in refused.value.hint


@pytest.mark.gpu
def test_auto_takes_a_card() -> None:
    pytest.importorskip("torch", reason="a card is drawn on with PyTorch")
    assert open_drawer("auto").name.startswith("PyTorch")
