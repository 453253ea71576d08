"""Measure the face tracker: jitter, lag, accuracy against a ground truth, time.

    python tools/measure_tracking.py                     jitter and lag
    python tools/measure_tracking.py --truth FOLDER      and accuracy on the synthetic clips
    python tools/measure_tracking.py --peer              and time beside MediaPipe FaceMesh

FOLDER holds ``clipN_driver.mp4``, ``clipN_groundtruth.npz`` and
``mediapipe468_to_subset.npz``. Needs scikit-image, and mediapipe for ``--peer``.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from skimage.data import astronaut

from mien.perception import FaceTracker
from mien.types import F32Array, Frame, U8Array

FPS = 30.0
FACE_WIDTH_M = 0.15
LIDS, LIPS = [159, 145, 386, 374], [13, 14, 78, 308]


def scene(shift_px: float) -> U8Array:
    """The astronaut at 1280x720 with a face 240 px wide, moved sideways."""
    zoom = 2.6
    move = np.array([[zoom, 0, 640 - 225 * zoom + shift_px], [0, zoom, 360 - 130 * zoom]])
    picture = np.ascontiguousarray(astronaut()[:, :, ::-1])
    moved = cv2.warpAffine(
        picture, move, (1280, 720), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def noisy(picture: U8Array, levels: float, rng: np.random.Generator) -> U8Array:
    """The picture with independent noise in every pixel and channel."""
    noise = rng.standard_normal(picture.shape, np.float32) * levels
    return np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8)


def followed(pictures: Iterator[U8Array]) -> F32Array:
    """(frames, 478, 3) published landmarks of the first face."""
    with FaceTracker() as tracker:
        return np.stack(
            [
                tracker.track(frame_of(index, picture))[0].landmarks
                for index, picture in enumerate(pictures)
            ]
        )


def frame_of(index: int, picture: U8Array) -> Frame:
    """A frame with the time that its place in the stream gives it."""
    time_ns = round(index / FPS * 1e9)
    return Frame(index=index, bgr=picture, capture_ns=time_ns, pts_ns=time_ns)


def video(path: Path) -> Iterator[U8Array]:
    """The frames of a video as BGR."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="bgr24")


def print_jitter(name: str, picture: U8Array) -> None:
    """RMS distance of landmarks from their mean on a still, noisy face."""
    for levels in (0.0, 2.0, 4.0):
        rng = np.random.default_rng(0)
        points = followed(noisy(picture, levels, rng) for _ in range(90))[30:, :, :2]
        off = points - points.mean(axis=0)
        rms = float(np.sqrt((off**2).sum(axis=-1).mean()))
        print(f"jitter, {name}, noise {levels:.0f} levels: {rms:.3f} px RMS")


def print_lag() -> None:
    """How far the landmarks trail a face that starts to walk, in frames."""
    for speed_m_s in (0.2, 1.4):
        step = speed_m_s / FPS * 240 / FACE_WIDTH_M
        ramp = np.minimum(np.arange(40) / 6, 1.0) * step
        path = np.concatenate([np.zeros(8), np.cumsum(ramp)])
        path = path[path < 700] - 350
        rng = np.random.default_rng(0)
        points = followed(noisy(scene(float(x)), 2.0, rng) for x in path)[:, :, :2]
        behind = (path - path[0])[:, None] - (points - points[4:8].mean(axis=0))[:, :, 0]
        mean = behind.mean(axis=1) / step
        print(
            f"lag, {speed_m_s} m/s ({step:.0f} px a frame): {mean[14:].mean():.2f} frames, "
            f"worst while starting {mean[8:14].max():.2f}"
        )


def print_truth(folder: Path) -> None:
    """Distance from the true points, and lag of the filter on lids and lips."""
    subset = np.load(folder / "mediapipe468_to_subset.npz")["index"]
    for clip in ("clip1", "clip2"):
        truth = np.load(folder / f"{clip}_groundtruth.npz")
        # Truth counts from the picture's corner; landmarks from the first pixel's centre.
        true = truth["xy16_driver"][:, subset].astype(np.float64) / 16 - 0.5
        seen = followed(video(folder / f"{clip}_driver.mp4"))[:, :468, :2]
        eyes = np.linalg.norm(true[:, 33] - true[:, 263], axis=-1)[:, None]
        gap = seen - true
        error = np.linalg.norm(gap, axis=-1)
        steady = np.linalg.norm(gap - gap.mean(axis=0), axis=-1)
        print(
            f"truth, {clip}: mean {error.mean():.2f} px = {100 * (error / eyes).mean():.2f} % of "
            f"the outer eye distance; without each point's own offset {steady.mean():.2f} px"
        )
        speed = np.gradient(true, axis=0)
        for name, points in (("lids", LIDS), ("lips", LIPS)):
            v, e = speed[:, points], -(gap - gap.mean(axis=0))[:, points]
            print(f"  lag of {name} behind the truth: {(v * e).sum() / (v * v).sum():.2f} frames")


def print_times(folder: Path | None, *, peer: bool) -> None:
    """Median time of a frame with one face at 720p, and the peer's on the same frames."""
    cv2.setNumThreads(1)
    if folder is not None:
        pictures = list(video(folder / "clip1_driver.mp4"))[:120]
    else:
        pictures = [scene(float(x)) for x in np.linspace(-60, 60, 60)]
    with FaceTracker() as tracker:
        runs: dict[str, Callable[[int, U8Array], object]] = {
            "mien track()": lambda i, picture: tracker.track(frame_of(i, picture))
        }
        for refine in (True, False) if peer else ():
            runs[f"MediaPipe FaceMesh, {478 if refine else 468} points"] = _face_mesh(refine)
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for index, picture in enumerate(pictures):
            for name, run in runs.items():
                wall, cpu = time.perf_counter(), time.process_time()
                run(index, picture)
                samples[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    for name, times in samples.items():
        wall_ms, cpu_ms = np.array(times[10:]).T * 1e3
        print(
            f"time, {name}: wall median {np.median(wall_ms):.2f} p95 "
            f"{np.percentile(wall_ms, 95):.2f} ms, CPU median {np.median(cpu_ms):.2f} ms"
        )


def _face_mesh(refine: bool) -> Callable[[int, U8Array], object]:
    from mediapipe.python.solutions.face_mesh import FaceMesh

    mesh = FaceMesh(max_num_faces=1, refine_landmarks=refine)
    return lambda _, picture: mesh.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--truth", type=Path, help="folder of the synthetic clips")
    parser.add_argument("--peer", action="store_true", help="time MediaPipe FaceMesh as well")
    options = parser.parse_args()
    os.environ.setdefault("GLOG_minloglevel", "2")
    print_jitter("astronaut", scene(0.0))
    if options.truth is not None:
        print_jitter("clip1 frame 0", next(video(options.truth / "clip1_driver.mp4")))
    print_lag()
    if options.truth is not None:
        print_truth(options.truth)
    print_times(options.truth, peer=options.peer)


if __name__ == "__main__":
    main()
