"""The truth benchmark: how near every swapper comes to the true swap.

All contestants see a clip's frames in lockstep, each its own copy, so a machine that is
busy for a moment is busy for all. The region of all picture measures is the face oval of
the driver's landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import cv2
import numpy as np

from mien.errors import MediaError
from mien.face_mesh import FACE_OVAL
from mien.types import F32Array, FaceTrack, Frame, U8Array
from mien_benchmarks.truth_set import TruthClip, TruthFrame, TruthPersona, TruthSet, truth_frames
from mien_benchmarks.truth_tally import Measured, Tally, score_clips
from mien_streamer.sources import read_image

UNSWAPPED, TRUE_SWAP = "unswapped", "true swap"
PERFORMER = "the performer"
ALL = "all"

DESCRIPTOR_STRIDE = 6
"""Every which frame is described: 0.2 s apart at 30 a second."""


class Reader(Protocol):
    """Finds the face of a picture."""

    def read(self, picture: U8Array, near: F32Array | None) -> FaceTrack | None:
        """The face; ``near`` are the landmarks of one that should lie where it lies."""


class Describer(Protocol):
    """Describes the identity of a face."""

    def describe(self, image_bgr: U8Array, landmarks: F32Array) -> F32Array: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a contestant makes of a frame.

    Attributes:
        bgr: (H, W, 3) uint8; it is the scorer's now.
        matte: (H, W) uint8, how much of it is the persona; None if not told.
        occlusion: (H, W) uint8, what lies in front of the face; None if not told.
        ms: how long it took; None if not told.
        swapped: False where the contestant itself says that it swapped nothing.
    """

    bgr: U8Array
    matte: U8Array | None = None
    occlusion: U8Array | None = None
    ms: float | None = None
    swapped: bool = True


class Contestant(Protocol):
    """Swaps faces, or shows what somebody swapped."""

    name: str

    def begin(self, clip: TruthClip) -> str:
        """Gets ready for a clip; returns why it cannot take part, or nothing."""

    def show(self, frame: Frame, truth: U8Array | None) -> Shown:
        """The output for the next frame; the frame is its own to paint into."""

    def end(self) -> None:
        """After a clip's last frame.

        Raises:
            MediaError: there was more to show.
        """


OnFrame = Callable[[TruthClip, int, FaceTrack, dict[str, U8Array]], None]
"""Told of every frame: clip, index, the driver's face, and the pictures by contestant."""


@dataclass(slots=True)
class Bench:
    """Runs contestants over a set.

    Attributes:
        truths: the set.
        contestants: those of the rows between the unswapped and the true swap.
        reader, describer: find and describe faces, for all alike.
        others: descriptors of more people to be told apart, by name.
        max_frames: of a clip; None for all.
        report: told of every clip.
        skipped: why contestants did not take part, by contestant and clip.
    """

    truths: TruthSet
    contestants: Sequence[Contestant]
    reader: Reader
    describer: Describer
    others: dict[str, F32Array] = field(default_factory=dict)
    max_frames: int | None = None
    report: Callable[[str], None] = lambda _line: None
    skipped: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self, on_frame: OnFrame | None = None) -> dict[str, Any]:
        """All figures, JSON-ready.

        Raises:
            MediaError: a file of the set or of a contestant does not check out.
        """
        portraits = {
            name: describe_portraits(persona, self.reader, self.describer)
            for name, persona in self.truths.personas.items()
        }
        measured: dict[str, dict[str, Measured]] = {}
        for clip in self.truths.clips:
            self.report(f"{clip.name}: {clip.group}, wears {clip.persona.name}")
            for name, one in self._measure(clip, portraits, on_frame).items():
                measured.setdefault(name, {})[clip.name] = one
        groups = {clip.name: clip.group for clip in self.truths.clips}
        return {
            "set": self.truths.name,
            "groups": list(dict.fromkeys(groups.values())),
            "rows": {name: self._row(clips, groups) for name, clips in _in_order(measured).items()},
            "skipped": self.skipped,
        }

    def _row(self, clips: dict[str, Measured], groups: dict[str, str]) -> dict[str, Any]:
        by_group = {
            group: score_clips([one for clip, one in clips.items() if groups[clip] == group])
            for group in dict.fromkeys(groups[clip] for clip in clips)
        }
        return {
            "groups": rounded(by_group | {ALL: score_clips(list(clips.values()))}),
            "clips": rounded({clip: score_clips([one]) for clip, one in clips.items()}),
        }

    def _measure(
        self, clip: TruthClip, portraits: dict[str, F32Array], on_frame: OnFrame | None
    ) -> dict[str, Measured]:
        playing: list[Contestant] = []
        for contestant in self.contestants:
            why = contestant.begin(clip)
            if why:
                self.skipped.setdefault(contestant.name, {})[clip.name] = why
            else:
                playing.append(contestant)
        tallies = {name: Tally() for name in (UNSWAPPED, *(c.name for c in playing))}
        if clip.truth is not None:
            tallies[TRUE_SWAP] = Tally()
        face: FaceTrack | None = None
        for index, true_frame in enumerate(truth_frames(clip, self.max_frames)):
            shown = _show_all(true_frame, playing)
            near = face.landmarks if face is not None else None
            found = self.reader.read(shown[UNSWAPPED].bgr, near)
            face = found or face
            if face is None:
                raise MediaError(
                    f"no face was found in the first frame of {clip.driver}", "check the set"
                )
            region = face_oval(face.landmarks, true_frame.frame.size)
            for name, output in shown.items():
                seen = found if name == UNSWAPPED else self.reader.read(output.bgr, face.landmarks)
                tallies[name].faces.append(seen)
                if seen is not None and index % DESCRIPTOR_STRIDE == 0:
                    tallies[name].descriptors.append(
                        self.describer.describe(output.bgr, seen.landmarks)
                    )
                _add(tallies[name], output, true_frame, region)
            if on_frame is not None:
                on_frame(clip, index, face, {name: output.bgr for name, output in shown.items()})
        if face is None:
            raise MediaError(f"{clip.driver} holds no frame", "check the set")
        if self.max_frames is None:
            for contestant in playing:
                contestant.end()
        gallery = self._gallery(clip, portraits, tallies[UNSWAPPED])
        return {
            name: Measured(
                own=tally,
                unswapped=tallies[UNSWAPPED],
                truth=tallies.get(TRUE_SWAP),
                parameters=clip.parameters,
                persona=clip.persona.name,
                gallery=gallery,
            )
            for name, tally in tallies.items()
        }

    def _gallery(
        self, clip: TruthClip, portraits: dict[str, F32Array], unswapped: Tally
    ) -> dict[str, F32Array]:
        """Everybody whom an output could show: all personas, others, and the performer."""
        shown_as_cast = {persona.cast for persona in self.truths.personas.values()}
        gallery = {n: d for n, d in self.others.items() if n not in shown_as_cast} | portraits
        if unswapped.descriptors:
            gallery[PERFORMER] = np.mean(unswapped.descriptors, axis=0, dtype=np.float32)
        return gallery


def describe_portraits(persona: TruthPersona, reader: Reader, describer: Describer) -> F32Array:
    """(128,) mean descriptor of a persona's portraits.

    Raises:
        MediaError: one is missing or shows no face.
    """
    found = []
    for path in persona.portraits:
        picture = read_image(path)
        face = reader.read(picture, None)
        if face is None:
            raise MediaError(f"no face was found in {path}", "check the set")
        found.append(describer.describe(picture, face.landmarks))
    return np.asarray(np.mean(found, axis=0), np.float32)


def face_oval(landmarks: F32Array, size: tuple[int, int]) -> U8Array:
    """(H, W) uint8, 255 inside the face oval."""
    region = np.zeros(size, np.uint8)
    cv2.fillPoly(region, [np.round(landmarks[list(FACE_OVAL), :2]).astype(np.int32)], (255,))
    return region


def rounded(value: Any) -> Any:
    """Floats to four places, None for what is not finite."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, float):
        return round(value, 4) if np.isfinite(value) else None
    return value


def _show_all(true_frame: TruthFrame, playing: Sequence[Contestant]) -> dict[str, Shown]:
    frame = true_frame.frame
    shown = {UNSWAPPED: Shown(bgr=frame.bgr)}
    for contestant in playing:
        own = replace(frame, bgr=frame.bgr.copy())
        shown[contestant.name] = contestant.show(own, true_frame.truth)
    if true_frame.truth is not None:
        # What covers the face is in front of the persona too.
        shown[TRUE_SWAP] = Shown(
            bgr=true_frame.truth, matte=true_frame.share, occlusion=true_frame.occluder
        )
    return shown


def _add(tally: Tally, output: Shown, true_frame: TruthFrame, region: U8Array) -> None:
    tally.add_picture(output.bgr, true_frame.truth, region)
    tally.missed += not output.swapped
    if output.ms is not None:
        tally.ms.append(output.ms)
    if output.matte is not None and true_frame.share is not None:
        tally.matte.add(output.matte, true_frame.share)
    if output.occlusion is not None and true_frame.occluder is not None:
        tally.occlusion.add(
            np.minimum(output.occlusion, region), np.minimum(true_frame.occluder, region)
        )


def _in_order(measured: dict[str, dict[str, Measured]]) -> dict[str, dict[str, Measured]]:
    """The true swap last."""
    last = {TRUE_SWAP: measured[TRUE_SWAP]} if TRUE_SWAP in measured else {}
    return {name: clips for name, clips in measured.items() if name != TRUE_SWAP} | last
