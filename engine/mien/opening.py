"""Makes a pipeline of the stages that ship, on the device that its stream is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mien.config import PipelineConfig
from mien.guard import Guard

if TYPE_CHECKING:
    from mien.gpu.berth import Berth
    from mien.pipeline import Pipeline
    from mien.stages import CompositorStage, OcclusionStage, RefinementStage


def open_pipeline(
    make: Callable[..., Pipeline],
    config: PipelineConfig,
    swapper_name: str,
    *,
    compositor: CompositorStage | None,
    refinement: RefinementStage | None,
    occlusion: OcclusionStage | None,
) -> Pipeline:
    """See :meth:`mien.pipeline.Pipeline.create`."""
    from mien.compositing import Compositor
    from mien.marking import Marker, draw_slate
    from mien.occlusion import open_occlusion
    from mien.perception import FaceTracker
    from mien.refining import open_refinement
    from mien.swappers import Ensemble

    berth, config = join_fleet(config)
    try:
        return make(
            config,
            tracker=FaceTracker(config.tracker, config.device),
            swapper=Ensemble(swapper_name, config),
            compositor=compositor or Compositor(),
            guard=Guard(config.guard, draw_slate),
            marker=Marker(config.mark),
            refinement=refinement or open_refinement(config.refine, threads=config.tracker.threads),
            occlusion=occlusion or open_occlusion(config),
            berth=berth,
        )
    except BaseException:
        if berth is not None:
            berth.close()
        raise


def join_fleet(config: PipelineConfig) -> tuple[Berth | None, PipelineConfig]:
    """The place of a new stream among the GPUs, and the settings of its stages there.

    Raises:
        DeviceError: none of the GPUs asked for can be used.
        UsageError: there is no such device.
    """
    if config.device == "cpu":
        return None, config
    from mien.gpu import process_fleet  # not needed on most machines

    berth = process_fleet().join(config.stream, config.device)
    # Networks may be quicker on a GPU that draws no quicker: auto goes on for them.
    device = berth.device if berth.device != "cpu" else config.device
    return berth, replace(config, device=device, stream=berth.stream)
