"""How good the live generator's pictures are: error, identity, motion, speed, equivariance.

``python -m mien_benchmarks.live_generator FOLDER HELD [--weights FILE] [--sheet PNG]`` takes
the folder of the ONNX files and one of held-out portraits (``mien train portraits
--held-out``) and prints JSON. Drivers are people who were never trained on; every picture has
its true swap. Identity is judged where the truth is judged, on both over grey: the descriptor's
distance to the persona's own portrait, and whether that portrait is the nearest of the cast's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from mien.live_view import LIVE_SIZE
from mien.live_warp import input_grid
from mien.networks.live_onnx import ENCODER, GENERATOR, LATENTS
from mien.perception import FaceDescriptor, distance
from mien.personas import Library, cast_names, default_root
from mien.training.portrait_shards import read_portraits
from mien.training.shards import find_shards
from mien_benchmarks.equivariance import Draw, measure
from mien_benchmarks.live_motion import motion_agreement

_GREY = 0.4
_SHEET_ROWS = 16
_TIMED = 40
_EQUIVARIANCE_SAMPLES = 6

F32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One picture of the held-out takes, and what the generator made of it.

    Attributes:
        persona: name.
        driver: (S, S, 3) uint8.
        truth, drawn: (4, S, S) float32, BGR and matte.
        landmarks: (478, 2) float32, the driver's.
        condition, grid: what the networks were told.
    """

    persona: str
    driver: npt.NDArray[np.uint8]
    truth: F32Array
    drawn: F32Array
    landmarks: F32Array
    condition: F32Array
    grid: F32Array


class LiveOnnx:
    """Both networks in ONNX Runtime.

    Args:
        folder: of the ONNX files.
        threads: of a session.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._encoder = onnxruntime.InferenceSession(folder / ENCODER, options)
        self._generator = onnxruntime.InferenceSession(folder / GENERATOR, options)
        self.latents: dict[str, F32Array] = load_file(folder / LATENTS)
        self.layers = int(self._generator.get_inputs()[0].shape[1])

    def encode(self, condition: F32Array, latent: F32Array) -> F32Array:
        """(1, 256)."""
        feed = {"condition": condition[None], "latent": latent[None]}
        w: F32Array = self._encoder.run(None, feed)[0]
        return w

    def draw(self, w: F32Array, grid: F32Array) -> F32Array:
        """(4, S, S)."""
        feed = {"ws": np.repeat(w[:, None], self.layers, axis=1), "grid": grid[None]}
        image: F32Array = self._generator.run(None, feed)[0][0]
        return image


def cases(networks: LiveOnnx, held: Path, most: int) -> Iterator[Case]:
    """Pictures of the cast in the held-out takes, evenly spread."""
    from mien.training.synthetic.portraits import persona_names

    names = persona_names()
    takes = [read_portraits(path) for path in find_shards(held)]
    places = [
        (take, index)
        for take in takes
        for index, code in enumerate(take.personas.tolist())
        if names[code] in networks.latents
    ]
    for place in np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int):
        take, index = places[place]
        persona = names[int(take.personas[index])]
        condition = take.conditions[take.shots[index]]
        w = networks.encode(condition, networks.latents[persona])
        grid = input_grid(condition, take.transforms[index])
        yield Case(
            persona=persona,
            driver=take.drivers[take.shots[index]],
            truth=take.pictures[index].transpose(2, 0, 1).astype(np.float32) / 255,
            drawn=networks.draw(w, grid),
            landmarks=take.landmarks[index],
            condition=condition,
            grid=grid,
        )


def over_grey(picture: F32Array) -> npt.NDArray[np.uint8]:
    """(S, S, 3) uint8: the face where the matte says, grey elsewhere."""
    shown = picture[:3] * picture[3:] + _GREY * (1 - picture[3:])
    return np.asarray(np.round(np.clip(shown, 0, 1).transpose(1, 2, 0) * 255), np.uint8)


def errors(found: Sequence[Case]) -> dict[str, float]:
    """Error of colour over the face and of the matte."""
    squares, toneless, absolute, overlaps = [], [], [], []
    for case in found:
        matte = case.truth[3]
        area = float(matte.sum())
        apart = np.clip(case.drawn[:3], 0, 1) - case.truth[:3]
        squares.append(float((apart**2 * matte).sum()) / (3 * area))
        absolute.append(float((np.abs(apart) * matte).sum()) / (3 * area))
        mean = (apart * matte).sum(axis=(1, 2), keepdims=True) / area
        toneless.append(float(((apart - mean) ** 2 * matte).sum()) / (3 * area))
        mine, theirs = case.drawn[3] > 0.5, matte > 0.5
        overlaps.append(float((mine & theirs).sum() / max((mine | theirs).sum(), 1)))
    return {
        "psnr_db": _decibels(float(np.mean(squares))),
        "psnr_less_tone_db": _decibels(float(np.mean(toneless))),
        "error": 255 * float(np.mean(absolute)),
        "matte_iou": float(np.mean(overlaps)),
    }


def identity(found: Sequence[Case]) -> dict[str, float]:
    """How near truth and drawing are to the persona's portrait, and to whose they are nearest."""
    library = Library(default_root())
    portraits = {name: library.resolve(name).descriptor for name in cast_names()}
    totals: dict[str, list[float]] = {}
    descriptor = FaceDescriptor()
    for case in found:
        landmarks = np.concatenate([case.landmarks, np.zeros((len(case.landmarks), 1))], axis=1)
        seen = {
            kind: descriptor.describe(over_grey(picture), landmarks.astype(np.float32))
            for kind, picture in (("truth", case.truth), ("drawn", case.drawn))
        }
        for kind, code in seen.items():
            far = {name: distance(code, other) for name, other in portraits.items()}
            totals.setdefault(f"{kind}_to_portrait", []).append(far[case.persona])
            nearest = min(far, key=lambda name: far[name]) == case.persona
            totals.setdefault(f"{kind}_nearest", []).append(float(nearest))
        totals.setdefault("drawn_to_truth", []).append(distance(seen["drawn"], seen["truth"]))
    descriptor.close()
    return {name: float(np.mean(values)) for name, values in totals.items()}


def motion(found: Sequence[Case]) -> dict[str, float]:
    """How far what is drawn moves as the true swap does, -1..1."""
    return motion_agreement(
        (case.persona, over_grey(case.drawn), over_grey(case.truth), case.landmarks)
        for case in found
    )


def speed(folder: Path, case: Case) -> dict[str, float]:
    """Milliseconds of both networks, processor time of one thread and wall time of two."""
    results = {}
    for threads in (1, 2):
        networks = LiveOnnx(folder, threads)
        latent = networks.latents[case.persona]
        clock = time.process_time if threads == 1 else time.perf_counter
        spent: dict[str, list[float]] = {"encoder": [], "generator": []}
        for _ in range(_TIMED):
            start = clock()
            w = networks.encode(case.condition, latent)
            middle = clock()
            networks.draw(w, case.grid)
            spent["encoder"].append(middle - start)
            spent["generator"].append(clock() - middle)
        for name, values in spent.items():
            results[f"{name}_ms_{threads}"] = 1e3 * float(np.median(values))
    return results


def equivariance(networks: LiveOnnx, found: Sequence[Case]) -> dict[str, Any]:
    """EQ-T and EQ-R of the trained network, of what it draws for held-out drivers."""

    def drawer(case: Case) -> Draw:
        w = networks.encode(case.condition, networks.latents[case.persona])

        def draw(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            # The measure's full range is 2, as of pictures in -1..1.
            grid = input_grid(case.condition, matrix.astype(np.float32))
            return 2.0 * networks.draw(w, grid).astype(np.float64)

        return draw

    places = np.linspace(0, len(found) - 1, _EQUIVARIANCE_SAMPLES).round().astype(int)
    return asdict(measure([drawer(found[place]) for place in places], LIVE_SIZE))


def draw_sheet(found: Sequence[Case], path: Path) -> None:
    """Driver, true swap and drawn face, in four columns of three.

    Faces lie in a crop that is a little off the driver's, as they do in training.
    """
    rows = []
    for place in np.linspace(0, len(found) - 1, _SHEET_ROWS).round().astype(int):
        case = found[place]
        rows.append(np.hstack([case.driver, over_grey(case.truth), over_grey(case.drawn)]))
    columns = [np.vstack(rows[start : start + 4]) for start in range(0, len(rows), 4)]
    cv2.imwrite(str(path), np.hstack(columns))


def _decibels(mean_square: float) -> float:
    return -10.0 * float(np.log10(max(mean_square, 1e-12)))


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="mien_benchmarks.live_generator", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the ONNX files")
    parser.add_argument("held", type=Path, help="folder of held-out portraits")
    parser.add_argument("--most", type=int, default=120, help="pictures to judge")
    parser.add_argument("--sheet", type=Path, help="write a picture of some of them")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    networks = LiveOnnx(options.folder)
    found = list(cases(networks, options.held, options.most))
    results: dict[str, Any] = {
        "pictures": len(found),
        **errors(found),
        "identity": identity(found),
        "motion": motion(found),
        "speed": speed(options.folder, found[0]),
        "equivariance": equivariance(networks, found),
    }
    text = json.dumps(results, indent=1)
    sys.stdout.write(text + "\n")
    if options.json:
        options.json.write_text(text + "\n")
    if options.sheet:
        draw_sheet(found, options.sheet)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
