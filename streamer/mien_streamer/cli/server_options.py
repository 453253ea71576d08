"""Options of the commands that open a port."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from mien.errors import UsageError
from mien_streamer.cli.console import say_warning

NETWORK = "Network"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8740
_SHORTEST_TOKEN = 8

HostOption = Annotated[
    str,
    typer.Option(
        help="Address to listen on. Anything but this machine's own needs a token.",
        metavar="ADDRESS",
        rich_help_panel=NETWORK,
    ),
]
PortOption = Annotated[
    int,
    typer.Option(
        min=0, max=65535, help="Port to listen on; 0 takes a free one.", rich_help_panel=NETWORK
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        help="Word that clients must know; one is made up if others can reach the port.",
        metavar="WORD",
        rich_help_panel=NETWORK,
    ),
]
OriginOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Another web site whose pages may connect, like https://stage.example; repeatable.",
        metavar="ORIGIN",
        rich_help_panel=NETWORK,
    ),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        help="PEM file with a certificate: the server speaks HTTPS.",
        metavar="FILE",
        rich_help_panel=NETWORK,
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(help="PEM file with its key.", metavar="FILE", rich_help_panel=NETWORK),
]
IceServerOption = Annotated[
    list[str] | None,
    typer.Option(
        help="STUN or TURN server, like stun:HOST:PORT; none is needed in a local network.",
        metavar="URL",
        rich_help_panel=NETWORK,
    ),
]
ViewersOption = Annotated[
    int, typer.Option(min=1, max=200, help="Most viewers at once.", rich_help_panel=NETWORK)
]


def choose_token(host: str, token: str | None, *, encrypted: bool) -> str | None:
    """The token to use; made up where one is needed and none was given.

    Raises:
        UsageError: the token can be guessed.
    """
    from mien_streamer.webrtc.access import is_loopback

    if token is not None and len(token) < _SHORTEST_TOKEN:
        raise UsageError(
            f"a token of {len(token)} letters can be guessed",
            f"use at least {_SHORTEST_TOKEN}, or leave --token out to get one",
        )
    if is_loopback(host):
        return token
    if not encrypted:
        say_warning(
            f"{host} can be reached by others, and without --certificate what you send them "
            "can be read and browsers give no camera"
        )
    return token or secrets.token_urlsafe(18)


def check_origins(origins: list[str] | None) -> frozenset[str]:
    """The origins, as browsers send them.

    Raises:
        UsageError: one is not of the form scheme://host[:port].
    """
    from urllib.parse import urlsplit

    for origin in origins or []:
        parts = urlsplit(origin)
        bare = f"{parts.scheme}://{parts.netloc}"
        if parts.scheme not in ("http", "https") or not parts.netloc or bare != origin:
            raise UsageError(f"{origin!r} is no origin", "write it like https://stage.example")
    return frozenset(origins or [])
