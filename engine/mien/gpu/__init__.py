"""Kernels on NVIDIA GPUs: the same per-pixel maths as :mod:`mien._kernels`, through PyCUDA.

Importing this package imports neither PyCUDA nor the driver; opening a :class:`Gpu` does.
"""

from mien.gpu.berth import Berth, StreamPlace
from mien.gpu.choice import Placement, parse_device, parse_devices, place
from mien.gpu.crop_path import CropPath
from mien.gpu.drawn_face import DrawnFace
from mien.gpu.drawn_head import Head, Tone
from mien.gpu.driver import Gpu, require_pycuda
from mien.gpu.fleet import Fleet, process_fleet
from mien.gpu.frame_path import MOST_RADIUS, FramePath
from mien.gpu.graph import FrameGraph
from mien.gpu.head_path import HeadPath
from mien.gpu.images import SOURCES, KernelLibrary, Places, compiled_sources, usual_places
from mien.gpu.kernels import GpuKernels
from mien.gpu.memory import DeviceArray, DevicePool, PinnedRing, device_array
from mien.gpu.rasteriser import FallingBack, Painter, Rasteriser
from mien.gpu.shared_frame import SharedFrame
from mien.gpu.transfers import Bundle, Transfers

__all__ = [
    "MOST_RADIUS",
    "SOURCES",
    "Berth",
    "Bundle",
    "CropPath",
    "DeviceArray",
    "DevicePool",
    "DrawnFace",
    "FallingBack",
    "Fleet",
    "FrameGraph",
    "FramePath",
    "Gpu",
    "GpuKernels",
    "Head",
    "HeadPath",
    "KernelLibrary",
    "Painter",
    "PinnedRing",
    "Placement",
    "Places",
    "Rasteriser",
    "SharedFrame",
    "StreamPlace",
    "Tone",
    "Transfers",
    "compiled_sources",
    "device_array",
    "parse_device",
    "parse_devices",
    "place",
    "process_fleet",
    "require_pycuda",
    "usual_places",
]
