"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from math import isfinite
from pathlib import Path
from re import fullmatch
from typing import Annotated

import typer

from mien.config import (
    GuardConfig,
    GuardMode,
    MarkConfig,
    MeshSwapperConfig,
    OcclusionConfig,
    PipelineConfig,
    RefineConfig,
    StyleGAN3SwapperConfig,
    TrackerConfig,
)

LOOKS = "Looks"
SHOWS = "Shows"
SAFETY = "Safety"
PICTURE = "Picture"
MACHINE = "Machine"


# Where looking for what covers a face takes more than this share of a frame's time, every
# second frame is looked at.
_LOOK_SHARE_OF_BUDGET = 0.25


def finite(value: float | None) -> float | None:
    """Refuses NaN and infinity, which pass every range check or none."""
    if value is not None and not isfinite(value):
        raise typer.BadParameter(f"{value} is not a usable number.")
    return value


def device_name(text: str) -> str:
    """Checks what --device was given: auto, cpu or cuda:N."""
    if text not in ("auto", "cpu") and not fullmatch(r"cuda(:\d{1,3})?", text):
        raise typer.BadParameter(f"{text!r} is none of auto, cpu, cuda:0.")
    return text


def device_names(text: str) -> str:
    """The same where streams may share several GPUs: cuda:0,1 and cuda:all too."""
    if text != "cuda:all" and not fullmatch(r"cuda:\d{1,3}(,\d{1,3})+", text):
        try:
            device_name(text)
        except typer.BadParameter:
            said = f"{text!r} is none of auto, cpu, cuda:0, cuda:0,1, cuda:all."
            raise typer.BadParameter(said) from None
    return text


class CodecPlace(StrEnum):
    """Where videos are decoded and encoded."""

    CPU = "cpu"
    AUTO = "auto"
    GPU = "gpu"


class Guard(StrEnum):
    """What is shown when the swap fails."""

    HOLD = "hold"
    BLUR = "blur"
    SLATE = "slate"
    OFF = "off"


class Part(StrEnum):
    """Whose part of the face is shown."""

    PERFORMER = "performer"
    PERSONA = "persona"


class Occlusion(StrEnum):
    """Whether what covers the face stays before the persona."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Refine(StrEnum):
    """When the refiner mends."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


PersonaOption = Annotated[
    str,
    typer.Option(
        "--persona",
        "-p",
        metavar="PERSONA",
        help="A name of the cast or of your library, a .persona file, or a portrait.",
    ),
]
PersonasOption = Annotated[
    list[str] | None,
    typer.Option(
        "--persona",
        "-p",
        metavar="PERSONA",
        help="A name of the cast or of your library, a .persona file, or a portrait. For several "
        "performers: alice=ada, once for each; alice is a photo or persona that tells who it is.",
    ),
]
FaceOption = Annotated[
    str | None,
    typer.Option(
        help="Which face of a portrait with several: a number from the left, largest, left, right.",
        metavar="WHICH",
        rich_help_panel=LOOKS,
    ),
]
LikenessOption = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        help="How much of the persona's shape replaces yours.",
        callback=finite,
        rich_help_panel=LOOKS,
    ),
]
ToneOption = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Skin tone from yours (0) to the persona's (1).",
        callback=finite,
        rich_help_panel=LOOKS,
    ),
]
EyesOption = Annotated[
    Part, typer.Option(help="Whose iris colour is shown.", rich_help_panel=LOOKS)
]
MouthOption = Annotated[
    Part,
    typer.Option(help="Whose lips are shown; between them it is you.", rich_help_panel=LOOKS),
]
OcclusionOption = Annotated[
    Occlusion,
    typer.Option(
        help="Let hands, microphones and the like stay before the persona; auto does unless the "
        "guard is blur or slate.",
        rich_help_panel=LOOKS,
    ),
]
RefineOption = Annotated[
    Refine,
    typer.Option(
        help="Let a small network mend the mesh's faces: auto does while there is time.",
        rich_help_panel=LOOKS,
    ),
]
SwapperOption = Annotated[
    str,
    typer.Option(
        help="What draws the face: mesh (any portrait), stylegan3 (the cast, and personas with a "
        "latent), one that you installed, or auto: the best at the speed of a camera, today mesh.",
        metavar="NAME",
        rich_help_panel=LOOKS,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where faces are drawn: auto (the quicker), cpu, or cuda:N.",
        metavar="DEVICE",
        callback=device_name,
        rich_help_panel=MACHINE,
    ),
]
DevicesOption = Annotated[
    str,
    typer.Option(
        help="Where faces are drawn: auto (the quicker), cpu, cuda:N, or several GPUs that streams "
        "are shared out over: cuda:0,1 or cuda:all.",
        metavar="DEVICE",
        callback=device_names,
        rich_help_panel=MACHINE,
    ),
]
CodecsOption = Annotated[
    CodecPlace,
    typer.Option(
        help="Where videos are decoded and encoded: cpu, gpu (NVDEC, NVENC), or auto for the GPU "
        "where it opens.",
        rich_help_panel=MACHINE,
    ),
]
PerformerOption = Annotated[
    str | None,
    typer.Option(
        help="Swap only this person: a photo, or a persona made of them.",
        metavar="PHOTO|PERSONA",
        rich_help_panel=SAFETY,
    ),
]
GuardOption = Annotated[
    Guard,
    typer.Option(
        help="What is shown when the face is lost or the swap fails: the last good picture for "
        "a moment and then a blur, a blur, a card, or the bare picture.",
        rich_help_panel=SAFETY,
    ),
]
BadgeOption = Annotated[
    bool,
    typer.Option(
        "--badge/--no-badge", help="The visible 'synthetic' badge.", rich_help_panel=SAFETY
    ),
]
ShowOption = Annotated[
    Path | None,
    typer.Option(
        metavar="SHOW", help="Play this show file; see docs/shows.md.", rich_help_panel=SHOWS
    ),
]
OscOption = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:]PORT", help="Take a show's orders by OSC here.", rich_help_panel=SHOWS
    ),
]
OscOutOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Tell by OSC what happens in a show.", rich_help_panel=SHOWS
    ),
]
MidiOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Take a show's orders from this MIDI input (part of its name, or virtual:NAME).",
        rich_help_panel=SHOWS,
    ),
]
MidiOutOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Send a program change to this MIDI output for each cue.",
        rich_help_panel=SHOWS,
    ),
]
AudioInOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Let a show hear this: an audio input (number or part of its name, default), "
        "alsa:NAME, or file:PATH.",
        rich_help_panel=SHOWS,
    ),
]
TakeOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write down which cues fired when; mien show play --take renders it again.",
        rich_help_panel=SHOWS,
    ),
]
MaxFacesOption = Annotated[
    int,
    typer.Option(min=1, max=16, help="Most faces followed at once.", rich_help_panel=MACHINE),
]
ThreadsOption = Annotated[
    int, typer.Option(min=1, max=64, help="Threads of each network.", rich_help_panel=MACHINE)
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        help="Write counts and times to this JSON file.", metavar="FILE", rich_help_panel=MACHINE
    ),
]
MirrorOption = Annotated[
    bool, typer.Option("--mirror/--no-mirror", help="Left to right.", rich_help_panel=PICTURE)
]
CropOption = Annotated[
    str | None,
    typer.Option(
        help="Part of the picture: 9:16 (centred), or LEFT,TOP,WIDTH,HEIGHT.",
        metavar="CROP",
        rich_help_panel=PICTURE,
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        help="Size of the output, like 1280x720; also asked of a camera.",
        metavar="WxH",
        rich_help_panel=PICTURE,
    ),
]
FpsOption = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        max=1000.0,
        help="Highest rate of the output; also asked of a camera.",
        callback=finite,
        rich_help_panel=PICTURE,
    ),
]


CAMERA_FPS = 30.0
# Share of a frame's time that the engine may take; the rest is for reading and showing.
_ENGINE_SHARE = 0.85


def frame_budget_ms(fps: float | None) -> float:
    """Longest mean time that the engine may take for a frame of a live picture."""
    return 1000.0 / (fps or CAMERA_FPS) * _ENGINE_SHARE


def pipeline_config(
    *,
    likeness: float,
    tone: float,
    eyes: Part = Part.PERSONA,
    mouth: Part = Part.PERSONA,
    guard: Guard,
    badge: bool,
    max_faces: int,
    threads: int,
    hold_s: float = 0.5,
    deadline_ms: float = 0.0,
    device: str = "cpu",
    refine: Refine = Refine.AUTO,
    occlusion: Occlusion = Occlusion.OFF,
    budget_ms: float = 0.0,
    stream: str = "stream",
) -> PipelineConfig:
    """The engine's settings from those of the command line."""
    mode: GuardMode = guard.value
    return PipelineConfig(
        device=device,
        stream=stream,
        tracker=TrackerConfig(max_faces=max_faces, threads=threads),
        mesh=MeshSwapperConfig(likeness=likeness, tone=tone, eyes=eyes.value, mouth=mouth.value),
        stylegan3=StyleGAN3SwapperConfig(likeness=likeness, tone=tone),
        refine=RefineConfig(mode=refine.value, budget_ms=budget_ms),
        occlusion=OcclusionConfig(
            mode=occlusion.value, budget_ms=budget_ms * _LOOK_SHARE_OF_BUDGET
        ),
        guard=GuardConfig(mode=mode, hold_s=hold_s, deadline_ms=deadline_ms),
        mark=MarkConfig(badge=badge),
    )
