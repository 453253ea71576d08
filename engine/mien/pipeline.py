"""The one way through: track, swap, composite, mark; guarded against every fault.

This is the only module of the engine that knows more than one stage.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2
import numpy as np

from mien.config import PipelineConfig
from mien.guard import Guard
from mien.personas.persona import Persona
from mien.timing import Stopwatch
from mien.types import LANDMARK_COUNT, F32Array, FaceTrack, Frame, Patch, U8Array

logger = logging.getLogger(__name__)

_LOG_PERIOD_S = 1.0

# A patch smaller than this part of the visible face box draws no face. A hand before the
# mouth and nose, or a profile, still leaves more than a quarter (measured on the clips).
_LEAST_COVERAGE = 0.10
_LARGEST_PATCH = 4.0


class TrackerStage(Protocol):
    """Finds and follows faces."""

    def track(self, frame: Frame) -> list[FaceTrack]: ...
    def reset(self) -> None: ...
    def enrol_performer(self, descriptor: F32Array | None) -> None: ...
    def close(self) -> None: ...


class SwapperStage(Protocol):
    """Draws a persona on a track."""

    def prepare(self, persona: Persona) -> object: ...
    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch: ...
    def close(self) -> None: ...


class CompositorStage(Protocol):
    """Paints a patch into the frame."""

    def composite(self, frame_bgr: U8Array, patch: Patch, track: FaceTrack) -> None: ...


class MarkerStage(Protocol):
    """Paints the mark into the frame."""

    def apply(self, frame_bgr: U8Array) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one frame.

    Attributes:
        frame: what may be shown.
        tracks: every face found in the picture as it came.
        swapped: number of faces that wear the persona.
        guarded: True when the guard chose the picture.
        reason: why nothing was swapped, in a few words; empty when all went well.
        stage_ms: milliseconds by stage: track, swap, composite, mark, guard.
    """

    frame: Frame
    tracks: list[FaceTrack] = field(default_factory=list)
    swapped: int = 0
    guarded: bool = False
    reason: str = ""
    stage_ms: dict[str, float] = field(default_factory=dict)


class _Fault(Exception):
    """No trustworthy swapped patch; the text is the reason."""


@dataclass(frozen=True, slots=True)
class _Act:
    """The persona on stage and what the swapper made of it; replaced as one."""

    persona: Persona
    state: object


class Pipeline:
    """Turns frames that came in into frames that may go out.

    ``process`` belongs to one thread. ``set_persona``, ``set_likeness``, ``panic`` and
    the properties may be used from any. The pipeline owns its stages: ``close`` closes them.
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
    ) -> None:
        self.config = config
        self._tracker = tracker
        self._swapper = swapper
        self._compositor = compositor
        self._guard = guard
        self._marker = marker
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._request = 0
        self._act: _Act | None = None
        self._pass_through = False
        self._panic = False
        self._persona_error: Exception | None = None
        self._performer_seen = False
        self._complaints = _Complaints(time.monotonic)

    @classmethod
    def create(cls, config: PipelineConfig | None = None, swapper_name: str = "mesh") -> Pipeline:
        """A pipeline of the stages that ship with mien.

        Raises:
            ModelError: a model file is missing or corrupt.
            UsageError: no swapper has this name.
        """
        from mien.compositing import Compositor
        from mien.marking import Marker, draw_slate
        from mien.perception import FaceTracker
        from mien.swappers import make_swapper

        config = config or PipelineConfig()
        swapper = make_swapper(swapper_name, config)
        return cls(
            config,
            tracker=FaceTracker(config.tracker),
            swapper=swapper,
            compositor=Compositor(),
            guard=Guard(config.guard, draw_slate),
            marker=Marker(config.mark),
        )

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits for a persona that is being prepared and closes the stages."""
        with self._lock:
            self._request += 1
        with self._preparing:
            self._tracker.close()
            self._swapper.close()

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

    def panic(self, on: bool) -> None:
        """Shows the slate and nothing else while on, whatever the guard's mode."""
        self._panic = on

    def enrol_performer(self, descriptor: F32Array | None) -> None:
        """Swaps only the face with this descriptor; call before the first frame."""
        self._tracker.enrol_performer(descriptor)

    def process(self, frame: Frame) -> Outcome:
        """The frame with the performer as the persona, or what the guard shows instead.

        May paint into ``frame.bgr``. Lets no exception of a stage escape.
        """
        watch = Stopwatch()
        act, pass_through = self._act, self._pass_through
        if self._panic:
            slate = self._guard.slate(frame)
            watch.lap("guard")
            return Outcome(frame=slate, guarded=True, reason="panic", stage_ms=watch.stages_ms)
        if not (frame.bgr.flags.writeable and frame.bgr.flags.c_contiguous):
            frame = replace(frame, bgr=frame.bgr.copy())
        self._guard.observe(frame)
        tracks, reason = self._track(frame)
        watch.lap("track")
        if pass_through:
            return Outcome(
                frame=frame, tracks=tracks, reason="pass-through", stage_ms=watch.stages_ms
            )
        performers = [track for track in tracks if track.is_performer]
        swapped = 0
        try:
            if reason:
                raise _Fault(reason)
            swapped = self._swap(frame, performers, act, watch)
        except _Fault as fault:
            return self._guarded(frame, tracks, str(fault), watch)
        try:
            self._marker.apply(frame.bgr)
        except Exception as error:
            return self._guarded(frame, tracks, self._blame("marking", error), watch)
        watch.lap("mark")
        self._guard.accept(frame, performers[0].box)
        watch.lap("guard")
        return Outcome(frame=frame, tracks=tracks, swapped=swapped, stage_ms=watch.stages_ms)

    def _track(self, frame: Frame) -> tuple[list[FaceTrack], str]:
        try:
            tracks = self._tracker.track(frame)
        except Exception as error:
            return [], self._blame("tracking", error)
        return [track for track in tracks if _is_finite(track)], ""

    def _swap(
        self, frame: Frame, performers: list[FaceTrack], act: _Act | None, watch: Stopwatch
    ) -> int:
        if act is None:
            raise _Fault(
                "persona failed" if self._persona_error is not None else "persona not ready"
            )
        if not performers:
            raise _Fault("performer lost" if self._performer_seen else "no performer seen")
        self._performer_seen = True
        deadline_ms = self.config.guard.deadline_ms
        spent_ms = 0.0
        for track in performers:
            if track.quality < self.config.guard.min_quality:
                raise _Fault("face uncertain")
            try:
                patch = self._swapper.swap(frame, track, act.state)
                fault = patch_fault(patch, frame, track)
            except Exception as error:
                raise _Fault(self._blame("swapping", error)) from error
            finally:
                spent_ms += watch.lap("swap")
            if fault:
                self._complaints.add(fault)
                raise _Fault(fault)
            try:
                self._compositor.composite(frame.bgr, patch, track)
            except Exception as error:
                raise _Fault(self._blame("compositing", error)) from error
            finally:
                spent_ms += watch.lap("composite")
        if deadline_ms and spent_ms > deadline_ms:
            raise _Fault("deadline missed")
        return len(performers)

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


class _Complaints:
    """Warnings of the frame loop: equal ones are counted and reported once a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._next_s = 0.0

    def add(self, text: str) -> None:
        self._counts[text] = self._counts.get(text, 0) + 1
        now_s = self._clock()
        if now_s < self._next_s:
            return
        for known, count in self._counts.items():
            logger.warning("%s (%d times in the last second)", known, count)
        self._counts.clear()
        self._next_s = now_s + _LOG_PERIOD_S


def patch_fault(patch: Patch, frame: Frame, track: FaceTrack) -> str:
    """What makes a patch unfit to be shown, in a few words; empty when it is fit."""
    bgr, matte = patch.bgr, patch.matte
    if bgr.dtype != np.uint8 or matte.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        return "patch malformed"
    if bgr.shape[:2] != matte.shape or 0 in matte.shape:
        return "patch malformed"
    height, width = frame.size
    patch_height, patch_width = matte.shape
    if patch.left < 0 or patch.top < 0:
        return "patch outside the frame"
    if patch.left + patch_width > width or patch.top + patch_height > height:
        return "patch outside the frame"
    left, top, right, bottom = track.box
    face_size = max(right - left, bottom - top, 1.0)
    if max(patch_height, patch_width) > _LARGEST_PATCH * face_size + 16:
        return "patch too large"
    visible_width = min(right, width - 1.0) - max(left, 0.0) + 1
    visible_height = min(bottom, height - 1.0) - max(top, 0.0) + 1
    visible = max(visible_width, 0.0) * max(visible_height, 0.0)
    drawn = cv2.countNonZero(matte)
    if drawn == 0 or drawn < _LEAST_COVERAGE * visible:
        return "patch empty"
    return ""


def _is_finite(track: FaceTrack) -> bool:
    landmarks = track.landmarks
    return landmarks.shape == (LANDMARK_COUNT, 3) and bool(np.isfinite(landmarks).all())
