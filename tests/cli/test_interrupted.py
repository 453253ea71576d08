"""Ctrl-C, at any moment, is a wish and not a crash."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from mien_streamer.cli import EXIT_INTERRUPTED, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")

# Ctrl-C in the moment in which a module is first looked for.
_INTERRUPTED = """
import os, signal, sys

class Keys:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Keys())
from mien_streamer.cli import main
sys.argv = ["mien", "--version"]
main()
"""


def _leaving(module: str) -> subprocess.CompletedProcess[str]:
    # Whoever runs the tests in the background may have silenced the signal for all below.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += _INTERRUPTED.format(module=module)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize("module", ["mien_streamer.cli.app", "typer", "numpy", "cv2"])
def test_while_it_starts_it_leaves_without_a_word(module: str) -> None:
    left = _leaving(module)
    assert (left.returncode, left.stdout, left.stderr) == (EXIT_INTERRUPTED, "", "\n")


def test_a_silenced_signal_stays_silent() -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + _INTERRUPTED
    done = subprocess.run(
        [sys.executable, "-c", code.format(module="numpy")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mien" in done.stdout


def test_the_handler_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mien", "--version"])
    before = signal.getsignal(signal.SIGINT)
    from mien_streamer.cli import main

    with pytest.raises(SystemExit):
        main()
    assert signal.getsignal(signal.SIGINT) is before


def _break_off() -> None:
    raise KeyboardInterrupt


def _say_no() -> None:
    raise typer.Abort


@pytest.mark.parametrize(
    ("happens", "code", "says"),
    [(_break_off, EXIT_INTERRUPTED, ""), (_say_no, 1, "error: interrupted")],
)
def test_while_it_works_it_leaves_without_a_traceback(
    happens: Callable[[], None],
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = typer.Typer()
    app.command()(happens)
    monkeypatch.setattr("mien_streamer.cli.app.app", app)
    assert run([]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip() == says
