"""``mien doctor`` on GPUs: what each card draws, and which stream is where."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

from mien.errors import MienError
from mien_streamer.cli.findings import Finding, State
from mien_streamer.cli.server_options import DEFAULT_HOST, DEFAULT_PORT

_PATIENCE_S = 0.5


def look_at_gpu_kernels() -> Finding:
    """Drawing on GPUs: every piece of it, up to a face drawn on each card and compared."""
    from mien.gpu import SOURCES, compiled_sources, place, require_pycuda
    from mien.gpu.nvrtc import load_nvrtc

    missing = sorted(set(SOURCES) - set(compiled_sources()))
    came = "compiled kernels are there" if not missing else "no compiled kernels came along"
    if missing:
        try:
            came += f", NVRTC {load_nvrtc().version} is there to make them"
        except MienError as error:
            came += f", and {error.what}"
    works, refused = [], []
    hint = ""
    try:
        count = max(int(require_pycuda().Device.count()), 1)
    except MienError:  # the first card says it in the usual words
        count = 1
    for index in range(count):
        try:
            placed = place(f"cuda:{index}")
        except MienError as error:
            refused.append(error.what if count == 1 else f"cuda:{index}: {error.what}")
            hint = hint or error.hint
            continue
        works.append(f"the same face on {placed.device} and the CPU; {placed.reason}")
        placed.close()
    if not works:
        says = f"not used: {'; '.join(refused)}; {came}"
        return Finding(subject="GPU kernels", state=State.OPTIONAL, says=says, hint=hint)
    says = "; ".join([came, *works, *(f"not used: {one}" for one in refused)])
    if len(works) > 1:
        hint = f"{len(works)} streams at once: --device cuda:all, or auto"
    return Finding(subject="GPU kernels", state=State.WORKS, says=says, hint=hint)


def look_at_streams(ask: Callable[[], list[dict[str, Any]] | None] | None = None) -> Finding:
    """Which stream is where, in a studio that runs on this machine."""
    streams = (ask or ask_studio)()
    if streams is None:
        return Finding(
            subject="streams",
            state=State.OPTIONAL,
            says=f"no studio answers at port {DEFAULT_PORT} of this machine",
        )
    if not streams:
        return Finding(subject="streams", state=State.WORKS, says="the studio draws on the CPU")
    said = []
    for one in streams:
        words = f"{one['stream']} on {one['device']}"
        if one["device"] != "cpu":
            words += f", busy {one['busy_share']:.0%}"
        if one["moves"]:
            words += f", {one['moves']} GPU lost ({one['reason']})"
        said.append(words)
    return Finding(subject="streams", state=State.WORKS, says="; ".join(said))


def ask_studio(host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> list[dict[str, Any]] | None:
    """The streams of a studio that wants no token; None where none answers."""
    connection = HTTPConnection(host, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/streams")
        answer = connection.getresponse()
        if answer.status != 200:
            return None
        streams = json.loads(answer.read(1 << 20))["streams"]
        for one in streams:
            _ = one["stream"], one["device"], one["reason"], int(one["moves"])
            float(one["busy_share"])
        return list(streams)
    except (OSError, HTTPException, ValueError, KeyError, TypeError):  # somebody else's port
        return None
    finally:
        connection.close()
