"""Measure the occlusion net: overlap with the truth, false cuts on bare faces, time.

    python tools/measure_occlusion.py --held FACES SPRITES       people and things never seen
    python tools/measure_occlusion.py --bare CLIP|PHOTO ...      faces that nothing covers
    python tools/measure_occlusion.py --covered CLIP OCCLUDER    a clip and what covers it, as in
                                                                 the truth benchmark's sets
    python tools/measure_occlusion.py --pasted PHOTO ... --sprites SPRITES
                                                                 held-out things on photographs

``--model`` takes another ONNX file than the one that ships. FACES and SPRITES are what
``mien train faces --held-out`` and ``mien train occluders --held-out`` wrote. Needs the
extra ``train``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import onnxruntime as ort

from mien.face_mesh import FACE_OVAL
from mien.models.catalogue import model_path
from mien.occlusion import OcclusionStage
from mien.perception import FaceTracker
from mien.refiner_view import crop_from_frame, crop_landmarks, cut_crop
from mien.training.occlusion_batches import CoveredDeck
from mien.training.occlusion_covering import cover, draw_place
from mien.training.occlusion_shards import SIDE, BareFace
from mien.training.occlusion_sprites import KINDS, Sprite, read_sprites
from mien.types import F32Array, FaceTrack, Frame, U8Array

_VIDEO = (".mp4", ".mov", ".mkv", ".webm")
# A cut smaller than this share of a face is not seen.
_VISIBLE = 0.005


def oval_of(landmarks: F32Array, size: tuple[int, int]) -> U8Array:
    """(H, W) uint8: 255 inside the face's outline."""
    area = np.zeros(size, np.uint8)
    points = np.round(landmarks[list(FACE_OVAL), :2]).astype(np.int32)
    cv2.fillPoly(area, [points], (255,))
    return area


def cut_of(stage: OcclusionStage, picture: U8Array, track: FaceTrack) -> U8Array:
    """(H, W) uint8: what the stage would cut of a persona there."""
    whole = np.zeros(picture.shape[:2], np.uint8)
    view = stage.look(picture, track)
    if view is not None:
        rows, columns = view.cut.shape
        whole[view.top : view.top + rows, view.left : view.left + columns] = view.cut
    return whole


def pictures_of(path: Path) -> Iterator[U8Array]:
    """The frames of a clip, or a photograph 12 times over, moved by fractions of a pixel."""
    if path.suffix.lower() in _VIDEO:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield np.ascontiguousarray(frame.to_ndarray(format="bgr24"))
        return
    photo = np.asarray(cv2.imread(str(path)), np.uint8)
    height, width = photo.shape[:2]
    random = np.random.default_rng(3)
    for _ in range(12):
        shift = random.normal(0, 0.7, 2)
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
        moved = cv2.warpAffine(photo, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        yield np.ascontiguousarray(moved, np.uint8)


def measure_held(model: Path, faces: Path, sprites: Path, count: int) -> None:
    """Raw guesses on single pictures of held-out people behind held-out things."""
    deck = CoveredDeck(sorted(faces.glob("*.safetensors")), sprites)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    for remembered in (False, True):
        both = either = 0
        cuts: list[float] = []
        times: list[float] = []
        for index in range(count):
            bare = index % 3 == 2
            sample = deck.sample([99, index], bare=bare, remembered=remembered)
            inputs = sample.inputs.transpose(2, 0, 1)[None].astype(np.float32) / 255
            start = time.perf_counter()
            found = session.run(None, {"inputs": inputs})[0][0, 0] > 0.5
            times.append((time.perf_counter() - start) * 1000)
            face, covered = sample.face > 127, sample.covered > 127
            if bare:
                cuts.append(float((found & face).sum() / face.sum()))
            else:
                both += int((found & covered & face).sum())
                either += int(((found | covered) & face).sum())
        print(
            f"held-out people and things, {count} pictures, the bare face "
            f"{'seen before' if remembered else 'never seen'}: IoU {both / max(either, 1):.3f}"
        )
        print(
            f"  bare faces: mean share cut {np.mean(cuts):.4f}, worst {np.max(cuts):.3f}, "
            f"{np.mean(np.array(cuts) > _VISIBLE):.3f} of them visibly"
        )
        print(f"  net: {np.median(times):.2f} ms (p50), one thread")
    deck.close()


def measure_bare(model: Path, paths: list[Path]) -> None:
    """What the whole stage, over time, would cut of faces that nothing covers."""
    for path in paths:
        stage = OcclusionStage(model)
        shares: list[float] = []
        times: list[float] = []
        with FaceTracker() as tracker:
            for index, picture in enumerate(pictures_of(path)):
                time_ns = int(index / 30 * 1e9)
                frame = Frame(index=index, bgr=picture, capture_ns=time_ns, pts_ns=time_ns)
                for track in tracker.track(frame)[:1]:
                    oval = oval_of(track.landmarks, frame.size) > 0
                    start = time.perf_counter()
                    cut = cut_of(stage, picture, track)
                    times.append((time.perf_counter() - start) * 1000)
                    shares.append(float(cut[oval].sum() / 255 / max(oval.sum(), 1)))
        seen = np.array(shares)
        print(
            f"{path.name}: {len(seen)} pictures, mean share cut {seen.mean():.5f}, worst "
            f"{seen.max():.4f}, visible in {(seen > _VISIBLE).sum()}; look "
            f"{np.median(times):.2f} ms (p50)"
        )


def measure_covered(model: Path, clip: Path, occluder: Path) -> None:
    """What the whole stage, over time, cuts of a face that something passes."""
    stage = OcclusionStage(model)
    both = either = 0
    with FaceTracker() as tracker:
        pairs = zip(pictures_of(clip), pictures_of(occluder), strict=False)
        for index, (picture, mask) in enumerate(pairs):
            time_ns = int(index / 30 * 1e9)
            frame = Frame(index=index, bgr=picture, capture_ns=time_ns, pts_ns=time_ns)
            for track in tracker.track(frame)[:1]:
                oval = oval_of(track.landmarks, frame.size) > 0
                found = (cut_of(stage, picture, track) > 127) & oval
                true = (mask[..., 0] > 127) & oval
                both += int((found & true).sum())
                either += int((found | true).sum())
    print(f"{clip}: IoU over all pictures {both / max(either, 1):.3f}")


def measure_pasted(
    model: Path, paths: list[Path], sprites: Path, count: int, bare: int, sheet: Path | None
) -> None:
    """Held-out things pasted on photographs: overlap of what the stage cuts with the truth.

    ``bare`` pictures of the bare face come first: 4 are too few to remember it.
    """
    library = read_sprites(sprites)
    with FaceTracker() as finder:
        faces = [_photographed(path, finder) for path in paths]
    by_kind: dict[str, list[int]] = {}
    rows: list[U8Array] = []
    for index in range(count):
        random = np.random.default_rng([77, index])
        face = faces[index % len(faces)]
        sprite = library[int(random.integers(len(library)))]
        counts, row = _pasted(model, face, sprite, bare, random)
        if counts is None:
            continue
        sums = by_kind.setdefault(KINDS[sprite.kind], [0, 0])
        sums[0] += counts[0]
        sums[1] += counts[1]
        rows.append(row)
    both, either = (sum(sums[k] for sums in by_kind.values()) for k in (0, 1))
    print(f"things pasted on {len(paths)} photographs, {len(rows)} pictures, ", end="")
    print(f"{bare} bare ones before each: ", end="")
    print(f"IoU {both / max(either, 1):.3f}")
    for kind, (shared, joined) in sorted(by_kind.items()):
        print(f"  {kind}: {shared / max(joined, 1):.3f}")
    if sheet is not None and rows:
        shown = rows[: len(rows) // 4 * 4]
        lines = [np.hstack(shown[first : first + 4]) for first in range(0, len(shown), 4)]
        cv2.imwrite(str(sheet), np.vstack(lines[:10]))


def _photographed(path: Path, finder: FaceTracker) -> BareFace:
    photo = np.asarray(cv2.imread(str(path)), np.uint8)
    marks = finder.find(photo)[0].landmarks
    # As the studio cuts its faces: half as much again as the tight crop.
    cut = np.asarray(crop_from_frame(marks, SIDE) / 1.5, np.float32)
    cut[:, 2] += np.float32((SIDE - 1) / 2 * (1 - 1 / 1.5))
    return BareFace(
        picture=cut_crop(photo, cut, SIDE),
        landmarks=crop_landmarks(marks, cut),
        light=np.array([0.2, 0.4, 0.9, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4], np.float32),
    )


def _pasted(
    model: Path, face: BareFace, sprite: Sprite, bare: int, random: np.random.Generator
) -> tuple[tuple[int, int] | None, U8Array]:
    place = draw_place(sprite, face.landmarks, random)
    picture, alpha = cover(face.picture, face, sprite, place, random)
    stage = OcclusionStage(model)
    cut = np.zeros(alpha.shape, np.uint8)
    landmarks = None
    with FaceTracker() as tracker:
        # Bare first, so that the tracker knows the face, and the stage remembers it; then
        # covered until all is calm.
        for index in range(bare + 4):
            now = face.picture if index < bare else picture
            time_ns = int(index / 30 * 1e9)
            frame = Frame(index=index, bgr=now.copy(), capture_ns=time_ns, pts_ns=time_ns)
            for track in tracker.track(frame)[:1]:
                landmarks = track.landmarks
                cut = cut_of(stage, frame.bgr, track)
    tint = picture.astype(np.float32)
    tint[..., 2] = np.maximum(tint[..., 2], cut)
    row = np.hstack([picture, np.clip(tint, 0, 255).astype(np.uint8)])
    if landmarks is None:
        return None, row
    oval = oval_of(landmarks, picture.shape[:2]) > 0
    found, true = (cut > 127) & oval, (alpha > 0.5) & oval
    return (int((found & true).sum()), int((found | true).sum())), row


def main() -> None:
    """Reads the options and measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--held", type=Path, nargs=2, metavar=("FACES", "SPRITES"))
    parser.add_argument("--bare", type=Path, nargs="+", default=[])
    parser.add_argument("--covered", type=Path, nargs=2, metavar=("CLIP", "OCCLUDER"))
    parser.add_argument("--pasted", type=Path, nargs="+", default=[])
    parser.add_argument("--sprites", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--sheet", type=Path, help="write a picture of what was pasted")
    chosen = parser.parse_args()
    if chosen.pasted and chosen.sprites is None:
        parser.error("--pasted needs --sprites")
    model = chosen.model or model_path("occlusion")
    if chosen.held:
        measure_held(model, *chosen.held, chosen.count)
    measure_bare(model, chosen.bare)
    if chosen.covered:
        measure_covered(model, *chosen.covered)
    if chosen.pasted:
        for bare in (4, 20):
            measure_pasted(model, chosen.pasted, chosen.sprites, chosen.count, bare, chosen.sheet)


if __name__ == "__main__":
    main()
