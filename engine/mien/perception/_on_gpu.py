"""A network of perception together with the crop that it looks at, on one GPU."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mien.errors import MienError
from mien.perception._engines import DeviceNetworks, EngineNetwork, OpenNetwork, PerceptionNetwork
from mien.types import F32Array, U8Array

if TYPE_CHECKING:
    from mien.gpu import CropPath, Gpu
    from mien.gpu.shared_frame import SharedFrame

logger = logging.getLogger(__name__)


class CropPlan(NamedTuple):
    """How a square is cut from a frame.

    Attributes:
        window: left, top, right, bottom of the part that is looked at; what lies beyond it
            repeats its border.
        shrink: whole blocks of so many pixels a side are averaged first; 1 leaves them.
        block_from_crop: (2, 3), from crop pixels to blocks, counted from the window's first.
    """

    window: tuple[int, int, int, int]
    shrink: int
    block_from_crop: npt.NDArray[np.float64]


class CropOnGpu:
    """Crop and network as one graph, until that fails; then it says so and does nothing more.

    Args:
        gpu: closed with this object.
        path: closed with this object.
        network: whose engine it is; what fails here fails there.
    """

    def __init__(self, gpu: Gpu, path: CropPath, network: EngineNetwork) -> None:
        self._gpu, self._path, self._network = gpu, path, network

    @property
    def shared(self) -> SharedFrame:
        """What lies on the GPU of the frame that was looked at last."""
        return self._path.shared

    def run(self, image_bgr: U8Array, plan: CropPlan) -> tuple[F32Array, ...] | None:
        """The network's outputs, in the CPU's order; None once the GPU has failed."""
        if self._network.lost:
            return None
        try:
            outputs = self._path.run(image_bgr, plan.window, plan.block_from_crop, plan.shrink)
        except MienError as error:
            self._network.lose(error.what)
            return None
        return tuple(outputs[name] for name in self._network.names)

    def close(self) -> None:
        """Frees the GPU."""
        try:
            self._path.close()
        except MienError as error:
            logger.debug("leaving a GPU that failed: %s", error)
        self._gpu.close()


def open_crop(
    open_network: OpenNetwork, network: PerceptionNetwork, scale: float
) -> CropOnGpu | None:
    """Crop and network as one graph, where the network is a TensorRT engine; else None.

    Args:
        open_network: what opened the network.
        network: it.
        scale: of code values.
    """
    if not isinstance(open_network, DeviceNetworks) or not isinstance(network, EngineNetwork):
        return None
    runner: Any = network.runner
    if not hasattr(runner, "enqueue"):
        return None
    from mien.gpu import CropPath, Gpu
    from mien.inference.tensorrt_stage import EngineStage

    try:
        stage = EngineStage(runner)
        gpu = Gpu(open_network.device_index)
        try:
            return CropOnGpu(gpu, CropPath(gpu, stage, scale), network)
        except BaseException:
            gpu.close()
            raise
    except MienError as error:
        logger.info("crops are cut on the CPU: %s", error.what)
        return None
