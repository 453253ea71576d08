"""The one way through: track, swap, composite, mark; guarded against every fault.

Beside :mod:`mien.opening`, which makes it, this is the only module that knows more than one stage.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mien.complaints import Complaints
from mien.config import PipelineConfig
from mien.covering import Covering
from mien.guard import Guard
from mien.look import Director, Look, is_clear, opacity
from mien.mending import Mending
from mien.outcome import Outcome as Outcome
from mien.patch_fault import EMPTY, patch_fault
from mien.personas.persona import Persona
from mien.planes import Painted, as_it_came
from mien.roll_call import Fault, Part, RollCall
from mien.stages import (
    CompositorStage,
    MarkerStage,
    OcclusionStage,
    RefinementStage,
    SwapperStage,
    TrackerStage,
)
from mien.timing import Stopwatch
from mien.types import F32Array, FaceTrack, Frame
from mien.wings import NotReadyError, Wings

if TYPE_CHECKING:
    from mien.gpu.berth import Berth

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Act:
    """The persona on stage and what the swapper made of it; replaced as one."""

    persona: Persona
    state: object


class Pipeline:
    """Turns frames that came in into frames that may go out.

    ``process`` belongs to one thread, the rest may be used from any. The pipeline owns its
    stages: ``close`` closes them.

    Attributes:
        wings: personas that a director may ask for.
    """

    def __init__(
        self,
        config: PipelineConfig,
        *,
        tracker: TrackerStage,
        swapper: SwapperStage,
        compositor: CompositorStage,
        guard: Guard,
        marker: MarkerStage,
        refinement: RefinementStage | None = None,
        occlusion: OcclusionStage | None = None,
        berth: Berth | None = None,
    ) -> None:
        self.config = config
        self._berth = berth
        self._tracker = tracker
        self._swapper = swapper
        self.wings = Wings(swapper)
        self._director: Director | None = None
        self._last_looks: Mapping[str, Look] = {}
        self._roll_call = RollCall()
        self._painted = Painted()
        self._compositor = compositor
        self._mending = Mending(refinement, self._blame)
        self._covering = Covering(occlusion, self._blame)
        self._guard = guard
        self._marker = marker
        frame_on_gpu = getattr(tracker, "frame_on_gpu", None)
        lend: Callable[[object], None] | None = getattr(swapper, "lend", None)
        if frame_on_gpu is not None and lend is not None:
            lend(frame_on_gpu)
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._request = 0
        self._act: _Act | None = None
        self._pass_through = False
        self._panic = False
        self._persona_error: Exception | None = None
        self._complaints = Complaints(logger, time.monotonic)

    @classmethod
    def create(
        cls,
        config: PipelineConfig | None = None,
        swapper_name: str = "auto",
        *,
        compositor: CompositorStage | None = None,
        refinement: RefinementStage | None = None,
        occlusion: OcclusionStage | None = None,
    ) -> Pipeline:
        """A pipeline of the stages that ship with mien; those handed in take their place.

        Raises:
            DeviceError: the GPU that was asked for cannot be used.
            ModelError: a model file is missing or corrupt.
            UsageError: no swapper or no device has this name.
        """
        from mien.opening import open_pipeline

        return open_pipeline(
            cls,
            config or PipelineConfig(),
            swapper_name,
            compositor=compositor,
            refinement=refinement,
            occlusion=occlusion,
        )

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits for a persona that is being prepared and closes the stages."""
        with self._lock:
            self._request += 1
        self.wings.close()
        with self._preparing:
            self._tracker.close()
            self._swapper.close()
            if self._berth is not None:
                self._berth.close()

    @property
    def stream(self) -> str:
        """What this pipeline's stream is called among those that share GPUs."""
        return self.config.stream

    @property
    def where(self) -> list[str]:
        """What runs where, and why, in lines for people; empty where nothing was chosen."""
        stages = (self._swapper, self._tracker)
        return [line for stage in stages for line in getattr(stage, "where", [])]

    @property
    def gpu_ms(self) -> float:
        """What a GPU has worked on frames so far, by its own clock; 0 without one."""
        return float(getattr(self._swapper, "gpu_ms", 0.0))

    @property
    def persona(self) -> Persona | None:
        """The persona on stage; None before the first is ready and in pass-through."""
        act = self._act
        return act.persona if act is not None else None

    @property
    def persona_error(self) -> Exception | None:
        """Why the persona asked for last could not be prepared, if it could not."""
        return self._persona_error

    def set_persona(self, persona: Persona | None, *, wait: bool = False) -> None:
        """Puts a persona on stage, or with None lets the performer's own face through.

        The persona is prepared in another thread; the one on stage stays until the new one
        is ready. Of several requests the latest wins.

        Args:
            persona: who comes on stage; None is the explicit wish for pass-through.
            wait: return only when the persona is on stage.

        Raises:
            Exception: with ``wait``, what the swapper raised while preparing.
        """
        with self._lock:
            self._request += 1
            request = self._request
            self._persona_error = None
            self._pass_through = persona is None
            if persona is None:
                self._act = None
                return
        if wait:
            self._prepare(persona, request)
            if self._persona_error is not None:
                raise self._persona_error
            return
        threading.Thread(
            target=self._prepare, args=(persona, request), name="mien-prepare", daemon=True
        ).start()

    def set_likeness(self, likeness: float) -> None:
        """How much of the persona's shape replaces the performer's, 0..1, from the next frame."""
        if not 0.0 <= likeness <= 1.0:
            raise ValueError(f"likeness must lie in 0..1, got {likeness}")
        setter: Callable[[float], None] | None = getattr(self._swapper, "set_likeness", None)
        if setter is not None:
            setter(likeness)

    def direct(self, director: Director | None) -> None:
        """Lets a director say, before each frame, what every performer wears.

        It takes the place of :meth:`set_persona`, whose pass-through still holds. None
        goes back to that.
        """
        self._director = director

    def set_bare(self, on: bool) -> None:
        """Lets the performer's own face through while on, whatever a director says."""
        self._pass_through = on

    def panic(self, on: bool) -> None:
        """Shows the slate and nothing else while on, whatever the guard's mode."""
        self._panic = on

    def enrol_performer(self, descriptor: F32Array | None) -> None:
        """Swaps only the face with this descriptor; call before the first frame."""
        self._tracker.enrol_performer(descriptor)

    def enrol_cast(self, descriptors: Mapping[str, F32Array]) -> None:
        """Swaps only these people, each in a role of looks; call before the first frame."""
        self._tracker.enrol_cast(descriptors)

    def process(self, frame: Frame) -> Outcome:
        """The frame with the performer as the persona, or what the guard shows instead.

        May paint into ``frame.bgr``. Lets no exception of a stage escape.
        """
        watch = Stopwatch()
        looks = self._looks(frame)
        wants_slate = any(look.slate for look in looks.values())
        if self._panic or wants_slate:
            slate = self._guard.slate(frame)
            watch.lap("guard")
            reason = "panic" if self._panic else "slate"
            return Outcome(frame=slate, guarded=True, reason=reason, stage_ms=watch.stages_ms)
        if not (frame.bgr.flags.writeable and frame.bgr.flags.c_contiguous):
            frame = replace(frame, bgr=frame.bgr.copy())
        self._guard.observe(frame)
        tracks, reason = self._track(frame)
        watch.lap("track")
        if self._pass_through or (looks and all(map(is_clear, looks.values()))):
            return _bare(frame, tracks, watch)
        performers = [track for track in tracks if track.is_performer]
        swapped = 0
        try:
            if reason:
                raise Fault(reason)
            parts = self._cast(frame, performers, looks)
            if not parts:
                return _bare(frame, tracks, watch)
            swapped = self._swap(frame, parts, self._act, watch)
        except Fault as fault:
            return self._guarded(frame, tracks, str(fault), watch)
        try:
            self._marker.apply(frame.bgr)
        except Exception as error:
            return self._guarded(frame, tracks, self._blame("marking", error), watch)
        watch.lap("mark")
        self._guard.accept(frame, performers[0].box)
        watch.lap("guard")
        if frame.decoded is not None:
            frame = self._painted.settle(frame, self._marker)
            watch.lap("planes")
        self._mending.settle(watch.stages_ms)
        return Outcome(frame=frame, tracks=tracks, swapped=swapped, stage_ms=watch.stages_ms)

    def _track(self, frame: Frame) -> tuple[list[FaceTrack], str]:
        try:
            tracks = self._tracker.track(frame)
        except Exception as error:
            return [], self._blame("tracking", error)
        return [track for track in tracks if track.is_finite], ""

    def _looks(self, frame: Frame) -> Mapping[str, Look]:
        """What the director wants; empty without one. One that fails leaves all as it was."""
        director = self._director
        if director is None:
            return {}
        try:
            self._last_looks = director.looks(frame)
        except Exception as error:
            self._blame("directing", error)
        return self._last_looks

    def _cast(
        self, frame: Frame, performers: list[FaceTrack], looks: Mapping[str, Look]
    ) -> list[Part]:
        """Who is to be swapped, with what look; performers who are to be bare are left out."""
        if not looks and self._director is not None:
            raise Fault("directing failed")
        if not looks and self._act is None:
            raise Fault(
                "persona failed" if self._persona_error is not None else "persona not ready"
            )
        return self._roll_call.parts(frame, performers, looks)

    def _swap(self, frame: Frame, parts: list[Part], act: _Act | None, watch: Stopwatch) -> int:
        deadline_ms = self.config.guard.deadline_ms
        spent_ms = 0.0
        self._painted.begin()
        for track, look in parts:
            if track.quality < self.config.guard.min_quality:
                raise Fault("face uncertain")
            seen = self._covering.look(frame, track, watch)
            try:
                state = self.wings.dress(look, track) if look is not None else act and act.state
                spent_ms += watch.lap("swap")
                view = self._mending.look(frame, track, self._swapper, state, watch)
                patch = self._swapper.swap(frame, track, state)
                fault = patch_fault(patch, frame, track)
            except NotReadyError as error:
                raise Fault("persona not ready") from error
            except Exception as error:
                raise Fault(self._blame("swapping", error)) from error
            finally:
                spent_ms += watch.lap("swap")
            # A face that is partly bare by wish may well cover little.
            if fault and not (fault == EMPTY and look is not None and opacity(look.face) < 1.0):
                self._complaints.add(fault)
                raise Fault(fault)
            self._painted.add(patch)
            try:
                self._compositor.composite(frame.bgr, patch, track)
            except Exception as error:
                raise Fault(self._blame("compositing", error)) from error
            finally:
                spent_ms += watch.lap("composite")
            self._mending.mend(frame, patch, track, view, watch)
            if not self._covering.restore(frame, patch, seen, watch):
                raise Fault("uncovering failed")
        if deadline_ms and spent_ms > deadline_ms:
            raise Fault("deadline missed")
        return len(parts)

    def _guarded(
        self, frame: Frame, tracks: list[FaceTrack], reason: str, watch: Stopwatch
    ) -> Outcome:
        performer = next((track.box for track in tracks if track.is_performer), None)
        covered = self._guard.cover(frame, performer, [track.box for track in tracks])
        watch.lap("guard")
        return Outcome(
            frame=covered,
            tracks=tracks,
            guarded=self._guard.config.mode != "off",
            reason=reason,
            stage_ms=watch.stages_ms,
        )

    def _blame(self, doing: str, error: Exception) -> str:
        reason = f"{doing} failed"
        self._complaints.add(f"{reason}: {type(error).__name__}: {error}")
        logger.debug("%s", reason, exc_info=error)
        return reason

    def _prepare(self, persona: Persona, request: int) -> None:
        with self._preparing:
            if request != self._request:
                return
            try:
                state = self._swapper.prepare(persona)
            except Exception as error:
                logger.warning("persona %s cannot be prepared: %s", persona.name, error)
                with self._lock:
                    if request == self._request:
                        self._persona_error = error
                return
            with self._lock:
                if request == self._request:
                    self._act = _Act(persona, state)


def _bare(frame: Frame, tracks: list[FaceTrack], watch: Stopwatch) -> Outcome:
    """The performer's own face, by wish."""
    return Outcome(
        frame=as_it_came(frame), tracks=tracks, reason="pass-through", stage_ms=watch.stages_ms
    )
