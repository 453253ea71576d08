"""A head's networks, its placing and its blending on one GPU, for as long as that lasts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import numpy as np

from mien import _kernels
from mien.errors import DeviceError, MienError
from mien.face_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS, VERTEX_COUNT, face_mesh
from mien.inference import EngineCache, Runner, cache_folder
from mien.inference.tensorrt_build import Progress
from mien.swappers.stylegan3.networks import LiveFiles, LiveNetworks
from mien.swappers.stylegan3.placing import part_in_frame
from mien.types import F32Array, FaceTrack, Frame, HeadPose, Patch, U8Array

if TYPE_CHECKING:
    from mien.gpu import Gpu, Head, HeadPath, SharedFrame
    from mien.inference.tensorrt import TensorRTRunner
    from mien.inference.tensorrt_stage import EngineStage

logger = logging.getLogger(__name__)

# Both ways run the same generator. What its encoder is told differs by single precision, which
# half precision makes a code value or two of; something that is wrong differs by tens.
_MEAN_DIFFERENCE, _MOST_DIFFERENCE, _MOST_SHARE = 1.0, 8, 0.002

_PROBE_SIZE = (480, 640)
_PROBE_SCALE = 16.0


class HeadsOnGpu:
    """Draws heads into frames with one copy up, one graph and one copy down.

    The frame at which the GPU fails is lost: the error goes to the guard. One thread at a time,
    but for :meth:`add`.

    Attributes:
        lost: why the GPU is no longer used; empty while it is.
        device: in words.
    """

    def __init__(self, gpu: Gpu, path: HeadPath, encoder: EngineStage) -> None:
        self._gpu, self._path, self._encoder = gpu, path, encoder
        self._names = {""}
        self.device = gpu.label
        self.lost = ""

    @classmethod
    def open(cls, live: LiveFiles, networks: LiveNetworks) -> HeadsOnGpu:
        """Heads on the GPU where the generator is; its encoder joins it there.

        Raises:
            MienError: something is missing, or TensorRT refuses.
        """
        from mien.gpu import Gpu, HeadPath
        from mien.inference.tensorrt_stage import EngineStage

        generator = EngineStage(_engine(networks.runner("")))
        options = networks.options
        encoder = EngineStage(encoder_runner(live, options.device_index, build=options.build))
        try:
            gpu = Gpu(options.device_index)
            try:
                return cls(gpu, HeadPath(gpu, encoder, generator), encoder)
            except BaseException:
                gpu.close()
                raise
        except BaseException:
            encoder.close()
            raise

    @property
    def gpu_ms(self) -> float:
        """See :attr:`HeadPath.gpu_ms`."""
        return self._path.gpu_ms

    @property
    def line(self) -> str:
        """What runs where, for people."""
        return f"stylegan3: networks, placing and blending are one piece of work on {self.device}"

    def lend(self, frame: SharedFrame) -> None:
        """Draws from pixels that are on this GPU already."""
        if frame.index == self._gpu.index:
            self._path.shared = frame

    def add(self, name: str, runner: Runner) -> None:
        """One more generator, by the name under which the networks have it; any thread may."""
        from mien.inference.tensorrt_stage import EngineStage

        if name not in self._names:
            self._path.add(name, EngineStage(_engine(runner)))
            self._names.add(name)

    def can(self, name: str, latents: int, radius: int) -> bool:
        """Whether it has the generator, and can mix so many latents and soften so far."""
        from mien.gpu.drawn_head import MOST_SOURCES
        from mien.gpu.frame_path import MOST_RADIUS

        return name in self._names and latents <= MOST_SOURCES and radius <= MOST_RADIUS

    def draw(self, head: Head, frame: Frame, radius: int) -> tuple[Patch, F32Array]:
        """The blended patch, good until the next is drawn, and the ratio for the next tone.

        Raises:
            DeviceError: the GPU failed, now and for good.
            FloatingPointError: the generator drew what is no number.
        """
        whole = 0, 0, self._path.size, self._path.size
        left, top, right, bottom = part_in_frame(whole, head.frame_from_crop, frame.size)
        if left >= right or top >= bottom:
            nothing = np.zeros((0, 0, 3), np.uint8)
            empty = Patch(left=0, top=0, bgr=nothing, matte=np.zeros((0, 0), np.uint8))
            ratio = head.tone.ratio
            return empty, np.ones(3, np.float32) if ratio is None else ratio
        try:
            bgr, matte, ratio = self._path.paint(
                head, frame.bgr, (left, top), (bottom - top, right - left), radius
            )
        except DeviceError as error:
            self.lost = error.what
            logger.warning("%s; heads are drawn on the CPU from now on", error.what)
            raise
        return Patch(left=left, top=top, bgr=bgr, matte=matte, blended=True), ratio

    def close(self) -> None:
        """Frees the GPU."""
        for close in (self._path.close, self._encoder.close):
            try:
                close()
            except Exception as error:  # PyCUDA's own have no base class that can be named here
                logger.debug("leaving a GPU that failed: %s", error)
        self._gpu.close()


def encoder_runner(
    live: LiveFiles,
    device_index: int = 0,
    *,
    build: bool = True,
    progress: Progress | None = None,
) -> TensorRTRunner:
    """The encoder as a TensorRT engine, in whole single precision: it is small.

    Args:
        live: the networks' files.
        device_index: which GPU.
        build: False raises instead of building.
        progress: told about the steps of a build.

    Raises:
        MienError: something is missing, or TensorRT refuses.
    """
    from mien.inference.tensorrt import TensorRTRunner

    return TensorRTRunner(
        live.encoder,
        cache=EngineCache(cache_folder() / "engines"),
        build=build,
        graph=False,
        tf32=False,
        device_index=device_index,
        progress=progress,
    )


def open_heads(live: LiveFiles, networks: LiveNetworks) -> tuple[HeadsOnGpu | None, str]:
    """Heads on a GPU where TensorRT runs the generator, else None and maybe the reason."""
    if networks.runner("").name != "tensorrt":
        return None, ""
    try:
        return HeadsOnGpu.open(live, networks), ""
    except MienError as error:
        return None, error.what


def laid(frame: Frame, patch: Patch, track: FaceTrack) -> U8Array:
    """The frame with what the compositor makes of a patch."""
    shown, (rows, columns) = frame.bgr.copy(), patch.matte.shape
    if patch.blended:
        shown[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.bgr
        return shown
    _kernels.blur_matte(patch.matte, track.softening_px, 1)
    _kernels.blend(shown, patch.left, patch.top, patch.bgr, patch.matte)
    return shown


def difference(apart: U8Array, together: U8Array) -> str:
    """What is wrong with a frame that the GPU drew at once; empty where it is the other way's."""
    away = np.abs(apart.astype(np.int16) - together)
    mean, share = float(away.mean()), float((away > _MOST_DIFFERENCE).mean())
    if mean <= _MEAN_DIFFERENCE and share <= _MOST_SHARE:
        return ""
    return f"its picture is another, by {mean:.1f} code values in the mean"


def probe() -> tuple[Frame, FaceTrack]:
    """A frame without meaning, and the canonical face in its middle."""
    height, width = _PROBE_SIZE
    pose = HeadPose(
        rotation=np.eye(3, dtype=np.float32),
        scale=_PROBE_SCALE,
        translation=np.array([width / 2, -height / 2, 0.0], np.float32),
    )
    landmarks = np.zeros((VERTEX_COUNT + 10, 3), np.float32)
    view = pose.scale * face_mesh().vertices + pose.translation
    landmarks[:VERTEX_COUNT] = view * np.array([1, -1, -1], np.float32)
    for iris, ring in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE)):
        landmarks[list(iris)] = landmarks[[ring[0], ring[8]]].mean(axis=0)
    track = FaceTrack(
        track_id=-1, landmarks=landmarks, pose=pose, quality=1.0, age=0, is_performer=True
    )
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    picture = np.stack([90 + x % 64, 110 + y % 64, 130 + (x + y) % 64], axis=-1).astype(np.uint8)
    return Frame(index=-1, bgr=picture, capture_ns=0, pts_ns=-1), track


def _engine(runner: Runner) -> TensorRTRunner:
    return cast("TensorRTRunner", runner)
