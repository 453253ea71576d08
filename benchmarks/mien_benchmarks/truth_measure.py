"""One run of the truth benchmark from a folder to figures and a strip."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.errors import UsageError
from mien.perception import FaceDescriptor
from mien.personas.library import Library, cast_names
from mien.types import U8Array
from mien_benchmarks.truth_bench import TRUE_SWAP, UNSWAPPED, Bench, Contestant
from mien_benchmarks.truth_faces import FaceReader
from mien_benchmarks.truth_older import open_set
from mien_benchmarks.truth_rows import OutsiderRow, PipelineRow, Wardrobe, make_row, row_names
from mien_benchmarks.truth_set import TruthSet
from mien_benchmarks.truth_strip import StripKeeper
from mien_streamer.sources import open_source

BUNDLED = Path(__file__).resolve().parents[1] / "truth_set"
"""The small set in the source tree; the wheel leaves it out."""

# Columns of the strip, shared by all clips.
_MOMENTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSettings:
    """What is scored, and how much of it.

    Attributes:
        rows: names of mien's own rows; None for all.
        outsider: name of the row and where its output lies.
        max_frames: of a clip.
        threads: of each network.
        refiner: ONNX file of a refiner to score in place of the shipped one.
    """

    rows: tuple[str, ...] | None = None
    outsider: tuple[str, Path] | None = None
    max_frames: int | None = None
    threads: int = 1
    refiner: Path | None = None


def measure_truth(
    folder: Path,
    settings: TruthSettings,
    library: Library,
    report: Callable[[str], None] = lambda _line: None,
) -> tuple[dict[str, Any], U8Array | None]:
    """Figures, JSON-ready, and the strip.

    Args:
        folder: a set of either kind.
        settings: what is scored.
        library: where the cast lies.
        report: told of every clip.

    Raises:
        MissingError: there is no set in the folder.
        MediaError: a file of the set or of the outsider does not check out.
        UsageError: no row has that name.
    """
    truths = open_set(folder)
    with ExitStack() as stack:
        reader = stack.enter_context(FaceReader(settings.threads))
        describer = FaceDescriptor(settings.threads)
        stack.callback(describer.close)
        wardrobe = Wardrobe(library, reader, describer)
        contestants: list[Contestant] = []
        for row in _rows(settings, wardrobe, truths):
            stack.callback(row.close)
            contestants.append(row)
        keeper = StripKeeper(
            moments=max(1, _MOMENTS // len(truths.clips)),
            spread={clip.name: _length(truths, clip.name, settings) for clip in truths.clips},
        )
        bench = Bench(
            truths=truths,
            contestants=contestants,
            reader=reader,
            describer=describer,
            others={name: library.resolve(name).descriptor for name in cast_names()},
            max_frames=settings.max_frames,
            report=report,
        )
        result = bench.run(keeper.keep)
    result["machine"] = f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores"
    result["load_average"] = list(os.getloadavg()) if hasattr(os, "getloadavg") else None
    result["threads"] = settings.threads
    return result, keeper.draw()


def _rows(
    settings: TruthSettings, wardrobe: Wardrobe, truths: TruthSet
) -> Sequence[PipelineRow | OutsiderRow]:
    wanted = settings.rows if settings.rows is not None else tuple(row_names())
    rows: list[PipelineRow | OutsiderRow] = [
        make_row(name, wardrobe, settings.threads, settings.refiner)
        for name in dict.fromkeys(wanted)
    ]
    if settings.outsider is not None:
        name, output = settings.outsider
        if name in (UNSWAPPED, TRUE_SWAP, *wanted):
            raise UsageError(f"a row is called {name!r} already", "choose another --name")
        rows.append(OutsiderRow(name, output, truths))
    return rows


def _length(truths: TruthSet, name: str, settings: TruthSettings) -> int:
    clip = next(clip for clip in truths.clips if clip.name == name)
    frames = clip.frames
    if frames is None:
        with open_source(str(clip.driver)) as source:
            frames = source.info.frame_count or 1
    return min(frames, settings.max_frames or frames)
