"""``mien demo --show``: the demo show over the bundled clip, with its beat."""

from __future__ import annotations

import tempfile
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path

from mien.config import PipelineConfig
from mien.pipeline import Outcome
from mien.shows import Show, load_show
from mien.types import Frame, U8Array
from mien_streamer.cli.console import say
from mien_streamer.cli.report import ReportFile, build_report
from mien_streamer.cli.show_run import Wishes, play_file
from mien_streamer.cli.strip import draw_rows, head_view
from mien_streamer.demo import beat
from mien_streamer.gpu_codecs import Codecs
from mien_streamer.show_audio import write_wav
from mien_streamer.sinks.images import encode_image
from mien_streamer.sinks.partial import PartialFile, write_error
from mien_streamer.sources import open_source
from mien_streamer.sources.pingpong import PingPongSource

FILM = "mien-show.mp4"
STRIP = "show-strip.png"
REPORT = "report.json"
COLUMNS = 7

_LENGTH_S = beat.BARS * beat.BEATS_PER_BAR * 60.0 / beat.BPM
_LOOKED_AT = ("tunde", "mei across")
"""Cues whose transitions the strip shows step by step."""


def demo_show(
    out: Path,
    swapper: str = "auto",
    config: PipelineConfig | None = None,
    codecs: Codecs = "cpu",
) -> int:
    """Writes film, strip and report into a folder; returns the exit code."""
    folder = files("mien_streamer").joinpath("demo")
    with (
        as_file(folder.joinpath("show.toml")) as show_path,
        as_file(folder.joinpath("driver.mp4")) as clip,
        tempfile.TemporaryDirectory() as scratch,
        ReportFile(out / REPORT) as report_file,
    ):
        show = load_show(show_path)
        track = Path(scratch) / "beat.wav"
        write_wav(track, beat.render(), beat.RATE)
        with open_source(str(clip)) as probe:
            fps = probe.info.fps or 30
        source = PingPongSource(
            lambda: open_source(str(clip), codecs=codecs), round(_LENGTH_S * fps)
        )
        moments = _Moments(show, float(fps))
        wishes = Wishes(audio=track, swapper=swapper, codecs=codecs)
        run = play_file(source, show, out / FILM, config or PipelineConfig(), wishes, moments.watch)
        report_file.write(build_report(run.stats, {"show": show.name, "out": str(out)}))
    _write(out / STRIP, moments.picture())
    code = run.tell(out / FILM)
    say(f"{out / STRIP}: the faces, and two changes step by step")
    say(f"{out / REPORT}: counts and times")
    return code


class _Moments:
    """Heads for the strip: one a face, then the steps of two transitions."""

    def __init__(self, show: Show, fps: float) -> None:
        planned = show.planned_s()
        steady = [*sorted(planned.values()), _LENGTH_S]
        times = [0.6 * steady[0]]
        times += [a + 0.75 * (b - a) for a, b in pairwise(steady)]
        self._rows = [("the faces", times[:COLUMNS])]
        for name in _LOOKED_AT:
            cue = show.find(name)
            assert cue is not None
            start_s = planned[name]
            length_s = cue.duration.seconds(show.tempo, start_s)
            steps = [start_s + length_s * k / (COLUMNS - 1) for k in range(COLUMNS)]
            self._rows.append((cue.transition, steps))
        self._due: dict[int, list[tuple[int, int]]] = {}
        for row, (_, times) in enumerate(self._rows):
            for column, time_s in enumerate(times):
                self._due.setdefault(round(time_s * fps), []).append((row, column))
        self._heads: dict[tuple[int, int], tuple[float, U8Array]] = {}

    def watch(self, frame: Frame, outcome: Outcome) -> None:
        places = self._due.get(frame.index, [])
        face = next((track for track in outcome.tracks if track.is_performer), None)
        for place in places if face is not None else []:
            assert face is not None
            head = head_view(outcome.frame.bgr, face.box)
            self._heads[place] = (frame.pts_ns / 1e9, head)

    def picture(self) -> U8Array:
        rows = []
        for row, (caption, times) in enumerate(self._rows):
            heads = [self._heads.get((row, column)) for column in range(len(times))]
            rows.append((caption, [head for head in heads if head is not None]))
        return draw_rows(rows)


def _write(path: Path, picture: U8Array) -> None:
    part = PartialFile(path)
    try:
        part.path.write_bytes(encode_image(picture, ".png"))
    except OSError as error:
        part.discard()
        raise write_error(path, error) from error
    part.commit()
