"""Settings of every stage, in one place.

Inner code takes these objects; only the command line reads files and environment
variables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

GuardMode = Literal["hold", "blur", "slate", "off"]
RefineMode = Literal["auto", "on", "off"]
OcclusionMode = Literal["auto", "on", "off"]


def _check_unit(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie in 0..1, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """How faces are found and followed.

    Attributes:
        max_faces: most faces followed at once; each costs a landmark run a frame.
        threads: threads of each network; 1 is best for latency on small machines.
    """

    max_faces: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        if self.max_faces < 1 or self.threads < 1:
            raise ValueError("max_faces and threads must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSwapperConfig:
    """How the mesh swapper draws.

    Attributes:
        likeness: 0..1, how much of the persona's shape replaces the performer's.
        tone: 0..1, skin tone from the performer's (0) to the persona's (1).
        eyes: whose iris colour is shown. Gaze is always the performer's.
        mouth: whose lips are shown. What is between them is always the performer's.
    """

    likeness: float = 1.0
    tone: float = 0.6
    eyes: Literal["performer", "persona"] = "persona"
    mouth: Literal["performer", "persona"] = "persona"

    def __post_init__(self) -> None:
        _check_unit("likeness", self.likeness)
        _check_unit("tone", self.tone)


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleGAN3SwapperConfig:
    """How the StyleGAN3 swapper draws.

    Attributes:
        likeness: 0..1, from nobody in particular to the persona.
        tone: 0..1, skin tone from the performer's (0) to the persona's (1).
    """

    likeness: float = 1.0
    tone: float = 0.6

    def __post_init__(self) -> None:
        _check_unit("likeness", self.likeness)
        _check_unit("tone", self.tone)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineConfig:
    """When the refiner mends what the mesh swapper drew.

    Attributes:
        mode: ``auto`` mends while frames stay within ``budget_ms``, ``on`` always.
        strength: 0..1, how much of the mending is shown.
        budget_ms: longest mean time of a frame, all stages together; 0 = however long.
    """

    mode: RefineMode = "auto"
    strength: float = 1.0
    budget_ms: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(RefineMode):
            raise ValueError(f"refine mode must be auto, on or off, got {self.mode!r}")
        if self.budget_ms < 0.0:
            raise ValueError("budget_ms must not be negative")
        _check_unit("strength", self.strength)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """What is shown when no trustworthy swapped patch exists.

    Attributes:
        mode: ``hold`` shows the last good frame for ``hold_s``, then blurs;
            ``blur`` blurs the head; ``slate`` shows a card; ``off`` lets the
            frame through as it came.
        hold_s: longest time the last good frame is held, seconds.
        deadline_ms: a swap that takes longer than this counts as failed; 0 = none.
        min_quality: 0..1, a performer's track below this is not trusted.
    """

    mode: GuardMode = "hold"
    hold_s: float = 0.5
    deadline_ms: float = 0.0
    min_quality: float = 0.5

    def __post_init__(self) -> None:
        if self.mode not in get_args(GuardMode):
            raise ValueError(f"guard mode must be hold, blur, slate or off, got {self.mode!r}")
        if self.hold_s < 0.0 or self.deadline_ms < 0.0:
            raise ValueError("hold_s and deadline_ms must not be negative")
        _check_unit("min_quality", self.min_quality)


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionConfig:
    """Whether hands, microphones and the like stay in front of the persona.

    Attributes:
        mode: ``off`` draws the persona over them; ``on`` lets them through; ``auto`` does
            unless the guard is strict (``blur``, ``slate``): it would rather cover too much.
        budget_ms: where a look takes longer than this, only every second picture is looked
            at; 0 looks at all of them.
    """

    mode: OcclusionMode = "off"
    budget_ms: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(OcclusionMode):
            raise ValueError(f"occlusion must be auto, on or off, got {self.mode!r}")
        if self.budget_ms < 0.0:
            raise ValueError("budget_ms must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkConfig:
    """How outputs say that they are synthetic.

    Attributes:
        badge: draw the visible badge in a corner.
        metadata: write the synthetic-media statement into files.
    """

    badge: bool = True
    metadata: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """Settings of the whole way from frame to marked frame.

    Attributes:
        device: where faces are drawn: ``cpu``, ``cuda:N``, or ``auto`` for the quicker. Streams
            that may share several GPUs say ``cuda:0,1`` or ``cuda:all``, or ``auto``.
        stream: what this pipeline's stream is called among those.
    """

    device: str = "cpu"
    stream: str = "stream"
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    mesh: MeshSwapperConfig = field(default_factory=MeshSwapperConfig)
    stylegan3: StyleGAN3SwapperConfig = field(default_factory=StyleGAN3SwapperConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    occlusion: OcclusionConfig = field(default_factory=OcclusionConfig)
    mark: MarkConfig = field(default_factory=MarkConfig)
