"""``mien verify``: what a file says about how its pictures came to be."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import av
import typer

from mien.errors import MediaError
from mien.marking.metadata import Statement, find_in_image
from mien_streamer.cli.app import app
from mien_streamer.cli.console import say, say_json

_IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8")


@app.command(rich_help_panel="Personas", epilog="Example: [bold]mien verify out.mp4 --json[/bold]")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video or an image.")],
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look for the statement that a file's faces are synthetic.

    A file without a statement may still be synthetic: tags are lost when files are
    uploaded or edited.
    """
    statement = read_statement(file)
    if json:
        facts = asdict(statement) if statement is not None else None
        say_json({"file": str(file), "synthetic": statement is not None, "statement": facts})
        return
    if statement is None:
        say(f"{file}: no statement found; this does not prove that it is genuine")
        return
    say(f"{file}: {statement.sentence}")
    say(f"  source type     {statement.source_type}")
    say(f"  consent sha256  {statement.consent_sha256}")


def read_statement(path: Path) -> Statement | None:
    """The statement in a video or image file, or None when it holds none.

    Raises:
        MediaError: the file is missing or not media.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            if start.startswith(_IMAGE_STARTS):
                return find_in_image(start + stream.read())
    except FileNotFoundError as error:
        raise MediaError(f"no such file: {path}", "check the path") from error
    except IsADirectoryError as error:
        raise MediaError(f"{path} is a folder", "name one file in it") from error
    except OSError as error:
        raise MediaError(
            f"cannot read {path}: {error.strerror or error}", "check the path and its permissions"
        ) from error
    try:
        with av.open(str(path)) as container:
            tags = [container.metadata, *(stream.metadata for stream in container.streams)]
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{path} is not a video or image that can be read", "check the file"
        ) from error
    for tag in tags:
        for value in tag.values():
            statement = Statement.from_json(value)
            if statement is not None:
                return statement
    return None
