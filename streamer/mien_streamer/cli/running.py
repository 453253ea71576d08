"""Runs a command and turns whatever goes wrong into one line that says what to do."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence

import typer
from rich.logging import RichHandler

from mien.errors import MienError
from mien_streamer.cli import EXIT_INTERRUPTED
from mien_streamer.cli.console import say_error, say_warning, stderr
from mien_streamer.opencv_log import INFO, SILENT, set_opencv_log_level

EXIT_FAILED = 1
EXIT_WRONG_USE = 2

# Newer Typers carry a copy of Click of their own, older ones use the package: the class is
# reached through a name that all of them export.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def run(arguments: Sequence[str]) -> int:
    """Runs ``mien`` with these arguments; returns the exit code and raises nothing.

    0 done, 2 wrong use, 3 bad input, 4 missing device or model, 130 Ctrl-C, 1 anything else.
    """
    # Taken wherever it stands: whoever meets an error appends it to the line just typed.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    _configure_logging(debug)
    try:
        # Here and not above: what is wrong with an installation is explained as well.
        from mien_streamer.cli.app import app

        code = app(list(arguments), prog_name="mien", standalone_mode=False)
    except MienError as error:
        _show_traceback(debug)
        say_error(error.what, error.hint)
        return error.exit_code
    except _UsageError as error:
        _show_traceback(debug)
        say_error(*_explain_usage(error))
        return EXIT_WRONG_USE
    except typer.Exit as leaving:
        return leaving.exit_code
    except (KeyboardInterrupt, typer.Abort) as error:
        # Typer makes an Exit or an Abort of Ctrl-C, by its version; an Abort as well of a
        # question that was not answered. Who pressed Ctrl-C knows it.
        if isinstance(error.__cause__ or error, KeyboardInterrupt):
            return EXIT_INTERRUPTED
        say_error("interrupted", "")
        return EXIT_FAILED
    except BrokenPipeError:
        return EXIT_FAILED
    except Exception as error:
        _show_traceback(debug)
        text = " ".join(str(error).split()) or "no reason given"
        say_error(
            f"unexpected {type(error).__name__}: {text}", "run again with --debug for details"
        )
        return EXIT_FAILED
    return code if isinstance(code, int) else 0


class _Notes(logging.Handler):
    """What the packages warn about, in the words and place of the command line's own notes."""

    def emit(self, record: logging.LogRecord) -> None:
        say_warning(" ".join(self.format(record).split()))


def _configure_logging(debug: bool) -> None:
    handler = RichHandler(console=stderr, show_time=True, markup=False) if debug else _Notes()
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(name)s: %(message)s" if debug else "%(message)s",
        handlers=[handler],
        force=True,
    )
    # OpenCV writes to stderr on its own; whatever matters reaches the user as an error.
    set_opencv_log_level(INFO if debug else SILENT)
    for noisy in ("PIL", "libav", "matplotlib", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _show_traceback(debug: bool) -> None:
    if debug:
        stderr.print(traceback.format_exc(), markup=False, highlight=False)


def _explain_usage(error: Exception) -> tuple[str, str]:
    message = getattr(error, "format_message", error.__str__)()
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "mien"
    return " ".join(message.split()).rstrip("."), f"see {command} --help"
