"""The examinations behind ``mien doctor``. None of them needs a network or starts a camera."""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psutil

from mien.errors import MienError, MissingError
from mien_streamer import webrtc
from mien_streamer.cli.checks_gpu import look_at_gpu_kernels, look_at_streams
from mien_streamer.cli.checks_show import look_at_audio_input, look_at_midi
from mien_streamer.cli.findings import Finding, State
from mien_streamer.cli.report import cpu_name, usable_cores, versions
from mien_streamer.cli.setup import open_library

_LEAST_MEMORY_GB = 1.0
_CPU_FEATURES = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "asimd", "neon")


def examine() -> list[Finding]:
    """Every examination, in the order of the report."""
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("versions", look_at_versions),
        ("processor", look_at_processor),
        ("memory", look_at_memory),
        ("models", look_at_models),
        ("kernels", look_at_kernels),
        ("cast", look_at_cast),
        ("library", look_at_library),
        ("video", look_at_video),
        ("camera", look_at_cameras),
        ("virtual camera", look_at_virtual_camera),
        ("window", look_at_window),
        ("MIDI", look_at_midi),
        ("audio input", look_at_audio_input),
        ("WebRTC", look_at_webrtc),
        ("GPU", look_at_gpu),
        ("GPU kernels", look_at_gpu_kernels),
        ("streams", look_at_streams),
        ("TensorRT", look_at_tensorrt),
    ]
    return [_look(subject, look) for subject, look in looks]


def _look(subject: str, look: Callable[[], Finding]) -> Finding:
    """A finding even where the examination itself falls over."""
    try:
        return look()
    except MienError as error:
        return Finding(subject=subject, state=State.BROKEN, says=error.what, hint=error.hint)
    except Exception as error:
        says = f"cannot be examined: {type(error).__name__}: {error}"
        return Finding(subject=subject, state=State.BROKEN, says=says, hint="reinstall mien")


def look_at_versions() -> Finding:
    """mien, Python, the system and the libraries."""
    known = ", ".join(f"{name} {number}" for name, number in versions().items())
    says = f"{known} on {platform.system()} {platform.release()} {platform.machine()}"
    return Finding(subject="versions", state=State.WORKS, says=says)


def look_at_processor() -> Finding:
    """Cores and vector units."""
    features = _cpu_features()
    words = f"{cpu_name()}, {usable_cores()} usable cores"
    if features:
        words += f", {' '.join(features)}"
    hint = ""
    if usable_cores() < 2:
        hint = "720p at 30 fps wants two cores: use --size 640x360, or a machine with more"
    elif platform.machine().lower() in ("x86_64", "amd64") and features and "avx2" not in features:
        hint = "without AVX2 the networks run at about half the speed: use --size 640x360"
    return Finding(subject="processor", state=State.WORKS, says=words, hint=hint)


def look_at_memory() -> Finding:
    """What is free."""
    free_gb = psutil.virtual_memory().available / 1e9
    if free_gb < _LEAST_MEMORY_GB:
        return Finding(
            subject="memory",
            state=State.BROKEN,
            says=f"only {free_gb:.1f} GB are free",
            hint="close other programs: mien wants about 0.7 GB at 1080p",
        )
    return Finding(subject="memory", state=State.WORKS, says=f"{free_gb:.1f} GB free")


def look_at_models() -> Finding:
    """The networks: present and whole."""
    from mien.models.catalogue import verify

    models = verify()
    return Finding(
        subject="models", state=State.WORKS, says=f"all {len(models)} networks present and whole"
    )


def look_at_kernels() -> Finding:
    """The compiled part of mien."""
    if find_spec("mien._kernels") is None:
        return Finding(
            subject="kernels",
            state=State.BROKEN,
            says="the compiled module mien._kernels is not there",
            hint="reinstall mien; from a checkout: make",
        )
    importlib.import_module("mien._kernels")
    return Finding(subject="kernels", state=State.WORKS, says="compiled and loadable")


def look_at_cast() -> Finding:
    """The personas that ship."""
    from mien.personas.library import cast_names

    names = cast_names()
    if not names:
        return Finding(
            subject="cast", state=State.BROKEN, says="no persona ships here", hint="reinstall mien"
        )
    return Finding(subject="cast", state=State.WORKS, says=", ".join(names))


def look_at_library() -> Finding:
    """The folder of the user's own personas."""
    library = open_library()
    folder = library.root
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            subject="library",
            state=State.BROKEN,
            says=f"{library.root} cannot be written: {error.strerror or error}",
            hint="set MIEN_HOME to a folder of your own",
        )
    own = [entry for entry in library.list() if entry.origin == "library"]
    spoilt = [entry for entry in own if entry.problem]
    says = f"{library.root}, {len(own)} personas of your own"
    if spoilt:
        hint = "; ".join(f"{entry.name}: {entry.problem}" for entry in spoilt[:3])
        return Finding(subject="library", state=State.OPTIONAL, says=says, hint=hint)
    return Finding(subject="library", state=State.WORKS, says=says)


def look_at_video() -> Finding:
    """Whether H.264 can be written."""
    import av

    if "libx264" not in av.codecs_available:
        return Finding(
            subject="video",
            state=State.BROKEN,
            says="this PyAV cannot write H.264 (no libx264)",
            hint="pip install --force-reinstall --only-binary av av",
        )
    return Finding(subject="video", state=State.WORKS, says="reads FFmpeg's formats, writes H.264")


def look_at_cameras() -> Finding:
    """Cameras, where the system lists them without being asked to open them."""
    if sys.platform != "linux":
        return Finding(
            subject="camera",
            state=State.WORKS,
            says="not looked for on this system",
            hint="try: mien live -p ada --source camera:0",
        )
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        return Finding(
            subject="camera",
            state=State.OPTIONAL,
            says="no camera is connected",
            hint="plug one in; clips work without: mien live --source file:clip.mp4 -p ada",
        )
    denied = [str(device) for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if len(denied) == len(devices):
        return Finding(
            subject="camera",
            state=State.OPTIONAL,
            says=f"{', '.join(denied)}: no permission",
            hint="sudo usermod -aG video $USER, then log in again",
        )
    return Finding(subject="camera", state=State.WORKS, says=", ".join(map(str, devices)))


def look_at_virtual_camera() -> Finding:
    """The driver that other programs see as a camera."""
    from mien_streamer.sinks.virtual_camera import INSTALL_HINTS

    hint = INSTALL_HINTS.get(sys.platform, "")
    if find_spec("pyvirtualcam") is None:
        return Finding(
            subject="virtual camera",
            state=State.OPTIONAL,
            says="pyvirtualcam is not installed",
            hint="pip install pyvirtualcam",
        )
    if sys.platform == "linux" and not Path("/sys/module/v4l2loopback").exists():
        return Finding(
            subject="virtual camera",
            state=State.OPTIONAL,
            says="the driver v4l2loopback is not loaded",
            hint=hint,
        )
    says = "v4l2loopback is loaded" if sys.platform == "linux" else "needs OBS Studio"
    return Finding(
        subject="virtual camera",
        state=State.WORKS,
        says=says,
        hint="" if sys.platform == "linux" else hint,
    )


def look_at_window() -> Finding:
    """The preview."""
    if find_spec("sdl2") is None and find_spec("pygame") is None:
        return Finding(
            subject="window",
            state=State.OPTIONAL,
            says="the preview's library (SDL) is not installed",
            hint="pip install 'mien[window]'",
        )
    has_screen = sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if not has_screen:
        return Finding(
            subject="window",
            state=State.OPTIONAL,
            says="there is no screen in this session",
            hint="use --sink virtualcam or file:PATH, or log in to a desktop",
        )
    return Finding(subject="window", state=State.WORKS, says="ready")


def look_at_webrtc() -> Finding:
    """The libraries behind the studio, WHIP and WHEP."""
    try:
        webrtc.require()
    except MissingError as error:
        return Finding(
            subject="WebRTC",
            state=State.OPTIONAL,
            says=f"{error.what}; without it no mien studio, no --source or --sink webrtc",
            hint=error.hint,
        )
    says = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "aiohttp"))
    return Finding(subject="WebRTC", state=State.WORKS, says=f"ready ({says})")


def look_at_gpu() -> Finding:
    """NVIDIA's driver, asked directly: no framework is loaded."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return Finding(
            subject="GPU",
            state=State.OPTIONAL,
            says="no NVIDIA driver; the mesh swapper does not need one",
            hint="for the neural swappers: an NVIDIA GPU with its driver",
        )
    count, version = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return Finding(
            subject="GPU",
            state=State.OPTIONAL,
            says="the NVIDIA driver is installed but does not start",
            hint="run nvidia-smi and follow what it says; often a restart after an update",
        )
    driver.cuDriverGetVersion(ctypes.byref(version))
    names = []
    for number in range(count.value):
        label = ctypes.create_string_buffer(128)
        if driver.cuDeviceGetName(label, len(label), number) == 0:
            names.append(label.value.decode("utf-8", "replace"))
    cuda = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    if not names:
        return Finding(subject="GPU", state=State.OPTIONAL, says=f"driver ({cuda}) but no GPU")
    return Finding(subject="GPU", state=State.WORKS, says=f"{', '.join(names)}, driver for {cuda}")


def look_at_tensorrt() -> Finding:
    """The libraries behind the fast neural path; looked for, not loaded."""
    missing = [name for name in ("tensorrt", "pycuda") if find_spec(name) is None]
    if missing:
        return Finding(
            subject="TensorRT",
            state=State.OPTIONAL,
            says=f"{' and '.join(missing)} not installed",
            hint="with an NVIDIA GPU: pip install 'mien[gpu]'",
        )
    return Finding(subject="TensorRT", state=State.WORKS, says="tensorrt and pycuda are installed")


def _cpu_features() -> list[str]:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return []
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(("flags", "Features")):
            flags = set(line.partition(":")[2].split())
            return [feature for feature in _CPU_FEATURES if feature in flags]
    return []
