"""The tree of commands. A module of commands registers itself when it is imported here."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Annotated

import typer

from mien.marking.metadata import tool_version

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _group(text: str) -> typer.Typer:
    return typer.Typer(
        help=text,
        no_args_is_help=False,
        rich_markup_mode="rich",
        context_settings=_SETTINGS,
        pretty_exceptions_enable=False,
        add_completion=False,
    )


app = typer.Typer(
    help="Wear another face in real time.\n\n"
    "[bold]mien demo[/bold] shows it on a bundled clip; "
    "[bold]mien live -p ada --sink virtualcam[/bold] puts it on a call.",
    rich_markup_mode="rich",
    context_settings=_SETTINGS,
    pretty_exceptions_enable=False,
    add_completion=True,
)
persona_app = _group("Make, list and remove the identities to wear.")
show_app = _group("Faces that change on cue: check, rehearse, learn.")
models_app = _group("The networks that ship with mien, and the generators that you add.")
bench_app = _group("Measure speed and likeness on this machine.")

app.add_typer(persona_app, name="persona", rich_help_panel="Personas")
app.add_typer(show_app, name="show", rich_help_panel="Personas")
app.add_typer(models_app, name="models", rich_help_panel="This machine")
app.add_typer(bench_app, name="bench", rich_help_panel="This machine")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mien {tool_version()}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; goes anywhere.")
    ] = False,
) -> None:
    del version, debug


# Order of the help. The benchmarks stand above the streamer: they are plugged in by name and
# may be absent; nothing here depends on them.
_COMMANDS = (
    "mien_streamer.cli.demo",
    "mien_streamer.cli.swap",
    "mien_streamer.cli.live",
    "mien_streamer.cli.studio",
    "mien_streamer.cli.persona",
    "mien_streamer.cli.show",
    "mien_streamer.cli.verify",
    "mien_streamer.cli.doctor",
    "mien_streamer.cli.models",
    "mien_streamer.cli.build",
    "mien_streamer.cli.train",
    "mien_streamer.cli.train_generator",
    "mien_streamer.cli.train_occlusion",
    "mien_streamer.cli.train_persona",
)
_PLUGINS = (
    "mien_benchmarks.commands",
    "mien_benchmarks.generator_command",
    "mien_benchmarks.kernels_command",
    "mien_benchmarks.latency_command",
    "mien_benchmarks.show_command",
    "mien_benchmarks.truth_command",
)

for _name in _COMMANDS:
    importlib.import_module(_name)
for _name in _PLUGINS:
    if find_spec(_name.partition(".")[0]) is not None:
        importlib.import_module(_name)
