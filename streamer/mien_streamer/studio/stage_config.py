"""What a stage is set up with: its pipeline, the sources to pick from, where things go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mien.personas.persona import Persona
from mien.types import F32Array, Frame
from mien_streamer.loop import OutcomeLike
from mien_streamer.sinks.sink import Sink
from mien_streamer.sinks.virtual_camera import VirtualCameraSink
from mien_streamer.sources.source import Source, SourceInfo


class StagePipeline(Protocol):
    """What the stage asks of :class:`mien.pipeline.Pipeline`."""

    @property
    def persona(self) -> Persona | None: ...
    @property
    def persona_error(self) -> Exception | None: ...
    def set_persona(self, persona: Persona | None) -> None: ...
    def set_likeness(self, likeness: float) -> None: ...
    def panic(self, on: bool) -> None: ...
    def enrol_performer(self, descriptor: F32Array | None) -> None: ...
    def process(self, frame: Frame) -> OutcomeLike: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChoice:
    """A source that the page may pick; nothing else can be opened from outside.

    Attributes:
        key: its name in commands.
        label: what people read.
        open: opens it.
    """

    key: str
    label: str
    open: Callable[[], Source]


@dataclass(slots=True, kw_only=True)
class StageConfig:
    """What a stage is set up with.

    Attributes:
        sources: those to pick from; the first is opened at the start.
        find: a persona by its name.
        recordings: the folder for recordings.
        guard: the guard's mode, for display.
        likeness: at the start.
        device, runner, reason: what draws on which device and why, for display.
        virtual_camera: opens the virtual camera.
        streams: where every stream of this process draws, as
            :class:`mien.gpu.StreamPlace` has it; for display.
    """

    sources: tuple[SourceChoice, ...]
    find: Callable[[str], Persona]
    recordings: Path
    guard: str = "hold"
    likeness: float = 1.0
    device: str = ""
    runner: str = ""
    reason: str = ""
    virtual_camera: Callable[[SourceInfo], Sink] = VirtualCameraSink
    streams: Callable[[], list[dict[str, Any]]] = list
