"""The studio's stage: one pipeline, the source that feeds it, the outputs it feeds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mien.errors import MienError, UsageError
from mien.marking import draw_slate
from mien.marking.metadata import Statement
from mien.personas.persona import Persona
from mien.planes import as_it_came
from mien.types import Frame, U8Array
from mien_streamer.loop import LiveStatus, OutcomeLike, run_live
from mien_streamer.sinks.sink import ClosingSink
from mien_streamer.studio.measures import Measures
from mien_streamer.studio.outputs import FixedOutput, Recording
from mien_streamer.studio.stage_config import SourceChoice, StageConfig, StagePipeline
from mien_streamer.webrtc.inlet import Inlet
from mien_streamer.webrtc.outlet import Outlet

logger = logging.getLogger(__name__)

_SLATE_SIZE = (720, 1280)
_RETRY_S = 0.5
_HOLD_S = 1.0


@dataclass(slots=True)
class _Wishes:
    """What was asked for last."""

    persona: Persona | None = None
    likeness: float = 1.0
    pass_through: bool = False
    panic: bool = False
    source: str = ""
    problem: str = ""
    stalled: bool = True
    live: LiveStatus | None = None
    size: tuple[int, int] = (0, 0)
    dropped_before: int = 0
    outputs: dict[str, FixedOutput] = field(default_factory=dict)
    recording: Recording | None = None
    last_recording: str = ""
    recording_problem: str = ""


class Stage:
    """Runs the live loop over changing sources until told to stop.

    ``run`` belongs to one thread; everything else may be called from any.

    Attributes:
        measures: rates and times.
        show_part: what the show runner wants in the state, or None without one.
        statement: what recordings say instead of naming the persona picked.
        set_bare: how pass-through is switched while a show is on, or None without one.
    """

    def __init__(
        self, config: StageConfig, pipeline: StagePipeline, inlet: Inlet, outlets: dict[str, Outlet]
    ) -> None:
        if not config.sources:
            raise ValueError("a stage needs at least one source")
        self.config = config
        self.measures = Measures()
        self.show_part: Callable[[], dict[str, Any] | None] = lambda: None
        self.statement: Statement | None = None
        self.set_bare: Callable[[bool], None] | None = None
        self._pipeline = pipeline
        self._inlet = inlet
        self._outlets = outlets
        self._lock = threading.Lock()
        self._wishes = _Wishes(likeness=config.likeness, source=config.sources[0].key)
        self._turn = threading.Event()
        self._stopping = threading.Event()

    # ---- what people ask for -----------------------------------------------------------------

    def wear(self, name: str) -> None:
        """Puts a persona on stage and ends pass-through.

        Raises:
            MienError: there is none of that name, or it may not be used.
        """
        self.wear_this(self.config.find(name))

    def wear_this(self, persona: Persona) -> None:
        """The same with the persona at hand.

        Raises:
            UsageError: a show says who is worn.
        """
        if self.set_bare is not None:
            raise UsageError("the show says who is worn", "use its cues, or GO")
        with self._lock:
            self._wishes.persona = persona
            self._wishes.pass_through = False
        self._pipeline.set_persona(persona)

    def renew(self, name: str) -> None:
        """Takes a persona whose file has changed anew, if it is the one that is worn."""
        with self._lock:
            worn = self._wishes.persona
            if self.set_bare is not None or worn is None or worn.name != name:
                return
            try:
                persona = self.config.find(name)
            except MienError as error:
                logger.warning("%s stays as it was: %s", name, error.what)
                return
            self._wishes.persona = persona
            if not self._wishes.pass_through:
                self._pipeline.set_persona(persona)

    def set_likeness(self, value: float) -> None:
        """How much of the persona's shape is worn, 0..1."""
        self._pipeline.set_likeness(value)
        self._wishes.likeness = value

    def set_pass_through(self, on: bool) -> None:
        """Lets the bare face through, or covers it again.

        Raises:
            UsageError: there is no persona to go back to.
        """
        if self.set_bare is not None:
            self._wishes.pass_through = on
            self.set_bare(on)
            return
        with self._lock:
            persona = self._wishes.persona
            if not on and persona is None:
                raise UsageError("no persona was chosen", "choose one")
            self._wishes.pass_through = on
        self._pipeline.set_persona(None if on else persona)

    def panic(self, on: bool) -> None:
        """Shows the slate and nothing else, or goes on."""
        self._wishes.panic = on
        self._pipeline.panic(on)

    def pick_source(self, key: str) -> None:
        """Changes the source.

        Raises:
            UsageError: it is not among the choices.
        """
        if key not in {choice.key for choice in self.config.sources}:
            raise UsageError("there is no such source here", "choose one of the list")
        with self._lock:
            self._wishes.source = key
            self._wishes.problem = ""
        self._turn.set()

    def switch_camera(self, on: bool) -> None:
        """The virtual camera on or off."""
        with self._lock:
            running = self._wishes.outputs.pop("virtualcam", None)
            if on:
                output = FixedOutput(self.config.virtual_camera)
                self._wishes.outputs["virtualcam"] = output
        if running is not None:
            running.close()

    def record(self, on: bool) -> None:
        """Starts a recording, or finishes it."""
        with self._lock:
            running = self._wishes.recording
            if on and running is not None and not running.problem:
                return
            tags: dict[str, str] = {}
            if on and self.statement is not None:
                tags = dict(self.statement.container_tags())
            elif on and self._wishes.persona is not None:
                tags = dict(Statement.about(self._wishes.persona).container_tags())
            self._wishes.recording = Recording(self.config.recordings, tags) if on else None
            self._wishes.recording_problem = ""
        if running is not None:
            running.close()
            self._wishes.recording_problem = running.problem
            if running.frames and not running.problem:
                self._wishes.last_recording = running.path.name

    # ---- what there is to see ----------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything but the times; see ``docs/studio.md`` for the schema."""
        wishes = self._wishes
        error = self._pipeline.persona_error
        on_stage = self._pipeline.persona
        camera = wishes.outputs.get("virtualcam")
        recording = wishes.recording
        return {
            "persona": {
                "wanted": wishes.persona.name if wishes.persona is not None else None,
                "on_stage": on_stage.name if on_stage is not None else None,
                "problem": _explain(error) if error is not None else "",
            },
            "likeness": wishes.likeness,
            "pass_through": wishes.pass_through,
            "panic": wishes.panic,
            "guard": {
                "mode": self.config.guard,
                "acting": self.measures.acting,
                "reason": self.measures.reason,
            },
            "source": {
                "picked": wishes.source,
                "choices": [{"key": c.key, "label": c.label} for c in self.config.sources],
                "running": not wishes.stalled and not wishes.problem,
                "problem": wishes.problem,
                "size": list(wishes.size),
            },
            "virtual_camera": {
                "on": camera is not None and not camera.problem,
                "problem": camera.problem if camera is not None else "",
            },
            "recording": {
                "on": recording is not None and not recording.problem,
                "seconds": round(recording.seconds, 1) if recording is not None else 0.0,
                "file": recording.path.name if recording is not None else wishes.last_recording,
                "dropped": recording.dropped if recording is not None else 0,
                "problem": recording.problem if recording else wishes.recording_problem,
            },
            "device": {
                "name": self.config.device,
                "runner": self.config.runner,
                "reason": self.config.reason,
                "streams": [
                    {key: one[key] for key in ("stream", "device", "reason", "moves")}
                    for one in self.config.streams()
                ],
            },
            "show": self.show_part(),
        }

    def stats(self) -> dict[str, Any]:
        """Rates and times of the last seconds."""
        live = self._wishes.live
        stalled = self._wishes.stalled
        return {
            "fps": round(live.fps, 1) if live is not None and not stalled else 0.0,
            "frames": self.measures.frames,
            "dropped": self.dropped,
            "guarded": self.measures.guarded,
            "swapped": self.measures.swapped,
            "faces": 0 if stalled else self.measures.faces,
            "audio_delay_ms": round(self._inlet.audio_delay_s * 1e3, 1),
            "latency_ms": self.measures.percentiles(),
            "outlets": {name: outlet.facts() for name, outlet in self._outlets.items()},
            "busy": {one["stream"]: one["busy_share"] for one in self.config.streams()},
        }

    @property
    def dropped(self) -> int:
        """Frames since the start that newer ones replaced."""
        live = self._wishes.live
        return self._wishes.dropped_before + (live.dropped if live is not None else 0)

    # ---- the loop ----------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Runs until ``stop`` is set. A source that fails is shown as a problem and tried again."""
        watcher = threading.Thread(target=self._relay, args=(stop,), daemon=True)
        watcher.start()
        try:
            while not stop.is_set():
                self._turn.clear()
                self._run_source(self._choice())
        finally:
            self._stopping.set()
            self.record(False)
            self.switch_camera(False)
            watcher.join()

    def _relay(self, stop: threading.Event) -> None:
        while not self._stopping.is_set():
            if stop.wait(0.1):
                self._turn.set()
                return

    def _choice(self) -> SourceChoice:
        with self._lock:
            return next(c for c in self.config.sources if c.key == self._wishes.source)

    def _run_source(self, choice: SourceChoice) -> None:
        try:
            with choice.open() as source:
                stats = run_live(
                    source,
                    self._process,
                    _StageSink(self._send),
                    stop=self._turn,
                    on_status=self._hear,
                    on_event=self._hear_event,
                    idle=self._idle,
                )
                problem = stats.error
        except MienError as error:
            problem = error
        except Exception as error:
            logger.exception("the source %s failed", choice.key)
            problem = MienError(f"{type(error).__name__}: {error}")
        self._fold_in()
        self._wishes.stalled = True
        if problem is not None and not self._turn.is_set():
            self._wishes.problem = _explain(problem)
            self._send(self._still(draw_slate(_SLATE_SIZE)))
            self._turn.wait(_RETRY_S * 4)
        elif not self._turn.is_set():
            self._turn.wait(_RETRY_S)

    def _fold_in(self) -> None:
        """Counts of a run that is over stay in the sum."""
        live = self._wishes.live
        if live is not None:
            self._wishes.dropped_before += live.dropped
            self._wishes.live = None

    def _process(self, frame: Frame) -> OutcomeLike:
        self._wishes.size = (frame.size[1], frame.size[0])
        if self._wishes.stalled or self._wishes.problem:
            self._wishes.stalled, self._wishes.problem = False, ""
        before = self._outlets.get("in")
        if before is not None:
            before.write(as_it_came(frame))
        outcome = self._pipeline.process(frame)
        self.measures.add_outcome(outcome, str(getattr(outcome, "reason", "")))
        return outcome

    def _send(self, frame: Frame) -> None:
        before_ns = time.perf_counter_ns()
        self._outlets["out"].write(frame)
        with self._lock:
            outputs: list[FixedOutput] = list(self._wishes.outputs.values())
            if self._wishes.recording is not None:
                outputs.append(self._wishes.recording)
        for output in outputs:
            output.write(frame)
        now_ns = time.monotonic_ns()
        if frame.index >= 0:
            took_ns = now_ns - frame.capture_ns
            self._inlet.video_took(took_ns / 1e9)
            self.measures.add("send", (time.perf_counter_ns() - before_ns) / 1e6)
            self.measures.add("total", took_ns / 1e6)

    def _hear(self, status: LiveStatus) -> None:
        self._wishes.live = status

    def _hear_event(self, event: str) -> None:
        self._wishes.stalled = event == "stalled"

    def _idle(self, silent_s: float) -> U8Array | None:
        """The slate, once the last picture was held long enough."""
        if silent_s <= _HOLD_S:
            return None
        width, height = self._wishes.size
        return draw_slate((height, width) if width else _SLATE_SIZE)

    @staticmethod
    def _still(bgr: U8Array) -> Frame:
        now_ns = time.monotonic_ns()
        return Frame(index=-1, bgr=bgr, capture_ns=now_ns, pts_ns=now_ns)


class _StageSink(ClosingSink):
    """Hands frames to the stage, which outlives the run."""

    def __init__(self, send: Callable[[Frame], None]) -> None:
        self._send = send

    def write(self, frame: Frame) -> None:
        """Send one frame."""
        self._send(frame)


def _explain(error: Exception) -> str:
    if isinstance(error, MienError):
        return f"{error.what}; {error.hint}" if error.hint else error.what
    return f"{type(error).__name__}: {error}"
