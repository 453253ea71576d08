"""Compiles kernels/cuda for every architecture and says what each kernel takes of a multiprocessor.

    python tools/cuda_resources.py                       all architectures and PTX; fatbins, table
    python tools/cuda_resources.py --write docs/gpu.md   and put the table there
    python tools/cuda_resources.py --check docs/gpu.md   and fail if another table is there

Needs nvcc of CUDA 12.8 or newer, and no GPU.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
# PTX for cards between and beyond these: the oldest fits all, the newest knows more.
PTX = (75, 120)
BEGIN, END = "<!-- resources: begin -->", "<!-- resources: end -->"
_FLAGS = ("-std=c++17", "-O3", "-fmad=false", "-Werror", "all-warnings", "-Xptxas", "-v")


@dataclass(frozen=True, slots=True)
class Resources:
    """What ptxas says of one kernel on one architecture."""

    kernel: str
    architecture: int
    registers: int
    shared: int
    spilled: int


def command(source: Path, out: Path, architectures: Sequence[int]) -> list[str]:
    """nvcc's, for one source."""
    options = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    options += [f"-gencode=arch=compute_{a},code=compute_{a}" for a in PTX if a in architectures]
    include = str(ROOT / "kernels" / "include")
    target = str(out / f"{source.stem}.fatbin")
    return ["nvcc", *_FLAGS, "-I", include, *options, "-fatbin", "-o", target, str(source)]


def parse(text: str) -> Iterator[Resources]:
    """The kernels in nvcc's report."""
    entry = re.compile(r"Compiling entry function '(?P<kernel>\w+)' for 'sm_(?P<sm>\d+)")
    now: tuple[str, int] | None = None
    spilled = 0
    for line in text.splitlines():
        if found := entry.search(line):
            now, spilled = (found["kernel"], int(found["sm"])), 0
        elif found := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spilled = int(found[1]) + int(found[2])
        elif now is not None and (found := re.search(r"Used (\d+) registers", line)):
            shared = re.search(r"(\d+) bytes smem", line)
            yield Resources(*now, int(found[1]), int(shared[1]) if shared else 0, spilled)
            now = None


def table(found: Sequence[Resources]) -> str:
    """Markdown: a row a kernel; registers by architecture, static shared memory, spills."""
    architectures = sorted({one.architecture for one in found})
    head = ["kernel", *(f"sm_{a}" for a in architectures), "shared", "spills"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for kernel in sorted({one.kernel for one in found}):
        own = {one.architecture: one for one in found if one.kernel == kernel}
        registers = [str(own[a].registers) if a in own else "-" for a in architectures]
        shared = max(one.shared for one in own.values())
        spilled = max(one.spilled for one in own.values())
        cells = [f"`{kernel}`", *registers, str(shared), str(spilled)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def compile_all(out: Path, architectures: Sequence[int], jobs: int) -> list[Resources]:
    """Every source for every architecture.

    Raises:
        SystemExit: a source does not compile; nvcc's words have been printed.
    """
    out.mkdir(parents=True, exist_ok=True)
    sources = sorted((ROOT / "kernels" / "cuda").glob("*.cu"))
    for old in out.glob("*.fatbin"):
        old.unlink()

    def run(source: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(source, out, architectures), capture_output=True, text=True, check=False
        )

    found: list[Resources] = []
    with ThreadPoolExecutor(jobs) as pool:
        for source, done in zip(sources, pool.map(run, sources), strict=True):
            text = done.stdout + done.stderr
            if done.returncode != 0:
                print(text, file=sys.stderr)
                raise SystemExit(f"nvcc refuses {source.relative_to(ROOT)}")
            found += parse(text)
    return found


def nvcc_version() -> str:
    """Such as ``13.0``.

    Raises:
        SystemExit: there is no nvcc.
    """
    try:
        said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True)
    except OSError as error:
        raise SystemExit("this needs nvcc (CUDA toolkit 12.8 or newer)") from error
    release = re.search(r"release ([\d.]+)", said.stdout)
    return release[1] if release else "unknown"


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "cuda")
    parser.add_argument("--architectures", type=int, nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    options = parser.parse_args()
    version = nvcc_version()
    found = compile_all(options.out, options.architectures, options.jobs)
    shown = table(found)
    print(f"nvcc {version}: registers a thread, bytes of static shared memory and of spills")
    print(shown)
    for path in sorted(options.out.glob("*.fatbin")):
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    block = f"{BEGIN}\nnvcc {version}\n\n{shown}\n{END}"
    for path, write in ((options.write, True), (options.check, False)):
        if path is None:
            continue
        text = path.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        wanted = before + block + after
        if write:
            path.write_text(wanted, encoding="utf-8")
        elif f"nvcc {version}\n" not in rest:
            print(f"{path} has the table of another nvcc; not compared")
        elif text != wanted:
            raise SystemExit(f"{path} has another table: make cuda-table writes it anew")


if __name__ == "__main__":
    main()
