"""Who takes part in the truth benchmark: mien's swappers, and the output of others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from mien.compositing import Compositor
from mien.config import (
    GuardConfig,
    MarkConfig,
    OcclusionConfig,
    PipelineConfig,
    RefineConfig,
    TrackerConfig,
)
from mien.errors import MediaError, MienError, UsageError
from mien.occlusion import CoveredView, OcclusionStage, open_occlusion
from mien.perception import FaceDescriptor
from mien.personas.create import create_persona
from mien.personas.library import Library
from mien.personas.persona import Consent, Persona
from mien.pipeline import Pipeline
from mien.refining import Allowance, Refinement, RefinerStage
from mien.swappers import swapper_names
from mien.types import FaceTrack, Frame, Patch, U8Array
from mien_benchmarks.truth_bench import Shown
from mien_benchmarks.truth_faces import FaceReader
from mien_benchmarks.truth_set import (
    VIDEO_SUFFIXES,
    TruthClip,
    TruthPersona,
    TruthSet,
    check_size,
    mask_frames,
)
from mien_streamer.sources import open_source

_FICTIONAL = Consent(statement="a person who does not exist", given_by="fictional")


class Wardrobe:
    """Personas of a set: the cast's own files, others made of their portraits."""

    def __init__(self, library: Library, reader: FaceReader, describer: FaceDescriptor) -> None:
        self._library, self._reader, self._describer = library, reader, describer
        self._made: dict[str, Persona] = {}

    def persona(self, wanted: TruthPersona) -> Persona:
        """The persona, made at the first call.

        Raises:
            PhotoError: a portrait does not do.
            PersonaError: the cast lacks whom the set names.
        """
        if wanted.cast:
            return self._library.resolve(wanted.cast)
        if wanted.name not in self._made:
            self._made[wanted.name] = create_persona(
                wanted.name,
                wanted.portraits,
                _FICTIONAL,
                finder=self._reader.finder,
                descriptor=self._describer,
            )
        return self._made[wanted.name]


class _WatchedCompositor:
    """Keeps what was blended of the last frame."""

    def __init__(self) -> None:
        self._compositor = Compositor()
        self._patch: tuple[int, int, U8Array] | None = None

    def composite(self, frame_bgr: U8Array, patch: Patch, track: FaceTrack) -> None:
        self._patch = patch.left, patch.top, patch.matte.copy()
        self._compositor.composite(frame_bgr, patch, track)

    def take(self, size: tuple[int, int]) -> U8Array:
        """(H, W) uint8: the last patch's matte in the frame, nothing if there was none."""
        matte, self._patch = _placed(self._patch, size), None
        return matte


class _WatchedOcclusion:
    """Keeps what was let through in front of the persona in the last frame."""

    def __init__(self, stage: OcclusionStage) -> None:
        self._stage = stage
        self._cut: tuple[int, int, U8Array] | None = None

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> CoveredView | None:
        return self._stage.look(frame_bgr, track)

    def restore(self, frame_bgr: U8Array, patch: Patch, view: CoveredView | None) -> None:
        self._stage.restore(frame_bgr, patch, view)
        if view is not None:
            self._cut = view.left, view.top, view.cut

    def take(self, size: tuple[int, int]) -> U8Array:
        """(H, W) uint8: what was let through of the last frame."""
        cut, self._cut = _placed(self._cut, size), None
        return cut


def _placed(part: tuple[int, int, U8Array] | None, size: tuple[int, int]) -> U8Array:
    """A part of a mask in the whole frame, 0 around it."""
    whole = np.zeros(size, np.uint8)
    if part is not None:
        left, top, values = part
        whole[top : top + values.shape[0], left : left + values.shape[1]] = values
    return whole


class PipelineRow:
    """The pipeline as users run it, without badge and guard.

    Args:
        name: of the row.
        config, swapper: what is run.
        wardrobe: where the personas come from.
        refiner: ONNX file of a refiner to run in place of the shipped one.
    """

    def __init__(
        self,
        name: str,
        config: PipelineConfig,
        swapper: str,
        wardrobe: Wardrobe,
        refiner: Path | None = None,
    ) -> None:
        self.name = name
        self._config, self._swapper, self._wardrobe = config, swapper, wardrobe
        self._refiner = refiner
        self._pipeline: Pipeline | None = None
        self._compositor = _WatchedCompositor()
        self._occlusion: _WatchedOcclusion | None = None

    def begin(self, clip: TruthClip) -> str:
        """A new pipeline with the clip's persona on stage, or why there is none."""
        self.close()
        try:
            persona = self._wardrobe.persona(clip.persona)
            stage = open_occlusion(self._config)
            self._occlusion = _WatchedOcclusion(stage) if stage is not None else None
            self._pipeline = Pipeline.create(
                self._config,
                self._swapper,
                compositor=self._compositor,
                refinement=self._own_refinement(),
                occlusion=self._occlusion,
            )
            self._pipeline.set_persona(persona, wait=True)
        except MienError as error:
            self.close()
            return error.what
        return ""

    def show(self, frame: Frame, truth: U8Array | None) -> Shown:
        """The frame with the persona, how long that took, and what was blended."""
        del truth
        assert self._pipeline is not None
        start = time.perf_counter()
        outcome = self._pipeline.process(frame)
        took = time.perf_counter() - start
        matte, cut = self._compositor.take(frame.size), None
        if self._occlusion is not None:
            cut = self._occlusion.take(frame.size)
            matte = np.asarray(cv2.multiply(matte, 255 - cut, scale=1 / 255), np.uint8)
        return Shown(
            bgr=outcome.frame.bgr,
            matte=matte,
            occlusion=cut,
            ms=took * 1e3,
            swapped=outcome.swapped > 0,
        )

    def end(self) -> None:
        """Closes the pipeline."""
        self.close()

    def _own_refinement(self) -> Refinement | None:
        if self._refiner is None:
            return None
        threads = self._config.tracker.threads
        return Refinement(RefinerStage(self._refiner, threads=threads), Allowance(0.0))

    def close(self) -> None:
        """Closes the pipeline, if there is one."""
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None


class OutsiderRow:
    """What another model made of the clips, read from files.

    Args:
        name: of the row.
        output: a folder with ``CLIP.mp4`` (or another video, or a folder ``CLIP`` of
            pictures) for each clip, or one video for a set of one clip.
        truths: the set that is scored.

    Raises:
        MediaError: a clip's output is missing.
        UsageError: one video for several clips.
    """

    def __init__(self, name: str, output: Path, truths: TruthSet) -> None:
        self.name = name
        self._outputs = find_outputs(output, truths)
        self._streams = ExitStack()
        self._frames: Iterator[Frame] = iter(())
        self._mattes: Iterator[U8Array] | None = None
        self._occlusions: Iterator[U8Array] | None = None
        self._output = _Output(video=output)
        self._shown = 0

    def begin(self, clip: TruthClip) -> str:
        """Opens the clip's files."""
        self.close()
        self._output = self._outputs[clip.name]
        video = self._output.video
        self._frames = self._streams.enter_context(open_source(str(video), fps=clip.fps)).frames()
        matte, occluder = self._output.matte, self._output.occluder
        self._mattes = mask_frames(matte) if matte is not None else None
        self._occlusions = mask_frames(occluder) if occluder is not None else None
        self._shown = 0
        return ""

    def show(self, frame: Frame, truth: U8Array | None) -> Shown:
        """The next frame.

        Raises:
            MediaError: there is none, or it has another size than the driver.
        """
        del truth
        output = next(self._frames, None)
        if output is None:
            raise MediaError(
                f"{self._output.video} ends after {self._shown} frames, the clip does not",
                "write one frame for every frame of the driver",
            )
        check_size(self._output.video, output.bgr, frame.size)
        self._shown += 1
        return Shown(
            bgr=output.bgr,
            matte=self._mask(self._mattes, self._output.matte, frame.size),
            occlusion=self._mask(self._occlusions, self._output.occluder, frame.size),
        )

    def end(self) -> None:
        """Closes the files.

        Raises:
            MediaError: they hold more frames than the clip.
        """
        more = next(self._frames, None)
        self.close()
        if more is not None:
            raise MediaError(
                f"{self._output.video} holds more than the clip's {self._shown} frames",
                "write one frame for every frame of the driver",
            )

    def close(self) -> None:
        """Closes the files."""
        self._streams.close()

    def _mask(
        self, masks: Iterator[U8Array] | None, path: Path | None, size: tuple[int, int]
    ) -> U8Array | None:
        if masks is None or path is None:
            return None
        mask = next(masks, None)
        if mask is None:
            raise MediaError(f"{path} ends before the clip does", "write one mask for every frame")
        check_size(path, mask, size)
        return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    video: Path
    matte: Path | None = None
    occluder: Path | None = None


def find_outputs(output: Path, truths: TruthSet) -> dict[str, _Output]:
    """The files of every clip, by its name.

    Raises:
        MediaError: a clip's output is missing.
        UsageError: one video for several clips.
    """
    names = [clip.name for clip in truths.clips]
    if output.is_file():
        if len(names) > 1:
            raise UsageError(
                f"{output.name} is one video, the set has {len(names)} clips",
                f"name a folder that holds {names[0]}.mp4 and the like",
            )
        return {names[0]: _Output(video=output)}
    if not output.is_dir():
        raise MediaError(f"no such file or folder: {output}", "check the path")
    outputs = {}
    for name in names:
        video = _one_of(output, name)
        if video is None:
            raise MediaError(
                f"{output} lacks the clip {name}",
                f"write {name}.mp4, .mkv, or a folder {name} of PNGs; docs/truth_format.md",
            )
        outputs[name] = _Output(
            video=video,
            matte=_one_of(output, f"{name}.matte"),
            occluder=_one_of(output, f"{name}.occluder"),
        )
    return outputs


def _one_of(folder: Path, stem: str) -> Path | None:
    names = [folder / f"{stem}{suffix}" for suffix in VIDEO_SUFFIXES]
    return next((path for path in (*names, folder / stem) if path.exists()), None)


def base_config(threads: int = 1) -> PipelineConfig:
    """The default settings without what would hide or help what is scored.

    Off are the guard, the badge, the refiner and the occlusion net.
    """
    return PipelineConfig(
        tracker=TrackerConfig(threads=threads),
        refine=RefineConfig(mode="off"),
        guard=GuardConfig(mode="off"),
        occlusion=OcclusionConfig(mode="off"),
        mark=MarkConfig(badge=False, metadata=False),
    )


_REFINED, _UNCOVERED = "mesh+refiner", "mesh+occlusion"


def row_names() -> list[str]:
    """mien's own rows, in the order of the table: each swapper, the mesh one with its help."""
    others = [name for name in swapper_names() if name != "mesh"]
    return ["mesh", _REFINED, _UNCOVERED, *others]


def make_row(
    name: str, wardrobe: Wardrobe, threads: int, refiner: Path | None = None
) -> PipelineRow:
    """One of mien's own rows.

    Args:
        name: of the row.
        wardrobe: where the personas come from.
        threads: of each network.
        refiner: ONNX file for the refiner's row; the shipped one if None.

    Raises:
        UsageError: no row has this name.
    """
    config = base_config(threads)
    if name == _REFINED:
        refined = replace(config, refine=RefineConfig(mode="on"))
        return PipelineRow(name, refined, "mesh", wardrobe, refiner)
    if name == _UNCOVERED:
        uncovered = replace(config, occlusion=OcclusionConfig(mode="on"))
        return PipelineRow(name, uncovered, "mesh", wardrobe)
    if name not in swapper_names():
        raise UsageError(f"no row is called {name!r}", f"choose from: {', '.join(row_names())}")
    return PipelineRow(name, config, name, wardrobe)
