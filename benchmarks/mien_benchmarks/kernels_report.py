"""Results of ``mien bench kernels`` for people: a page, and a table over many machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from mien.errors import MediaError
from mien_benchmarks.kernels import FORMAT

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#222;background:#fff}table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;
text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child,td:nth-child(2),
th:nth-child(2){text-align:left}td.bar{width:30%;text-align:left}td.bar div{background:#3b6ea5;
height:.8rem}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}
td,th{border-color:#444}}"""


def page(result: dict[str, Any]) -> str:
    """A page that needs nothing but itself; bars are shares of the machine's own copy."""
    rows = []
    for row in result["kernels"]:
        share = float(row["share_of_copy"])
        rows.append(
            f"<tr><td>{escape(row['kernel'])}</td><td>{escape(row['by'])}</td>"
            f"<td>{row['ms']['p50']:.3f}</td><td>{row['ms']['p99']:.3f}</td>"
            f"<td>{row['bytes'] / 1e6:.1f}</td><td>{row['gb_s']:.1f}</td><td>{share:.0%}</td>"
            f'<td class="bar"><div style="width:{min(share, 1.0):.0%}"></div></td></tr>'
        )
    copies = ", ".join(f"{rate:.1f} GB/s ({where})" for where, rate in result["copy_gb_s"].items())
    gpu = result["gpu"]["name"] if result["gpu"] else f"no GPU: {result['no_gpu_because']}"
    width, height = result["settings"]["size"]
    heads = ["kernel", "by", "ms p50", "ms p99", "MB moved", "GB/s", "of a copy", ""]
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>mien: kernels</title><style>{_STYLE}</style>"
        f"<h1>Kernels at {width} x {height}</h1>"
        f"<p>{escape(result['device'])}, {result['settings']['threads']} thread(s); {escape(gpu)}."
        f" A plain copy reads and writes {copies}."
        f" Commit {escape(str(result['commit']))}.</p>"
        f"<table><tr>{head}</tr>{''.join(rows)}</table></html>\n"
    )


def read_result(path: Path) -> dict[str, Any]:
    """A result file, checked for what the table needs.

    Raises:
        MediaError: no such file, or not a result of ``mien bench kernels``.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise MediaError(f"{path} is not JSON: {error}") from error
    known = isinstance(result, dict) and result.get("format") == FORMAT
    if not known:
        raise MediaError(
            f"{path} is no result of mien bench kernels", f"expected format {FORMAT!r}"
        )
    try:
        for row in result["kernels"]:
            float(row["ms"]["p50"]), str(row["kernel"]), str(row["by"])
        str(result["device"]), tuple(result["settings"]["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"{path} lacks a figure: {error!r}") from error
    return dict(result)


def leaderboard(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row a machine and size, a column a kernel, mien's median ms; quickest first."""
    kernels: list[str] = []
    rows = []
    for result in results:
        gpu = (result.get("gpu") or {}).get("name")
        width, height = result["settings"]["size"]
        for machine, by in ((result["device"], "mien"), (gpu, gpu)):
            own = {r["kernel"]: r["ms"]["p50"] for r in result["kernels"] if r["by"] == by}
            if machine is None or not own:
                continue
            kernels += [name for name in own if name not in kernels]
            rows.append((str(machine), f"{width}x{height}", own))
    rows.sort(key=lambda row: (row[1], sum(row[2].values())))
    head = ["machine", "size", *kernels]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * len(kernels)]
    for machine, size, own in rows:
        cells = [f"{own[name]:.3f}" if name in own else "-" for name in kernels]
        safe = machine.replace("|", "/").replace("\n", " ")
        lines.append("| " + " | ".join([safe, size, *cells]) + " |")
    return "\n".join(lines)
