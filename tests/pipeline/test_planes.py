"""4:2:0 planes beside the pixels: what was painted is in them, and nobody is shown bare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from mien import _kernels
from mien.compositing import Compositor
from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.guard import Guard
from mien.marking import Marker, draw_slate
from mien.pipeline import Outcome, Pipeline
from mien.planes import Planes, as_it_came, planes_for_sink
from mien.types import FaceTrack, Frame, Patch, U8Array
from mien.yuv import Matrix
from tests.pipeline.fakes import FakeTracker, make_persona, make_track

SIZE = (240, 320)
PATCH = (101, 71, 60, 77)  # odd on purpose: left, top, columns, rows


def decoded(index: int = 0, matrix: Matrix = "bt709") -> Frame:
    """A frame of noise as a decoder gives it."""
    rng = np.random.default_rng(index)
    height, width = SIZE
    y = rng.integers(16, 236, SIZE, np.uint8)
    u, v = (rng.integers(90, 160, (height // 2, width // 2), np.uint8) for _ in range(2))
    bgr = np.empty((*SIZE, 3), np.uint8)
    _kernels.i420_to_bgr(y, u, v, bgr, matrix)
    planes = Planes(y=y, u=u, v=v, matrix=matrix, bgr=bgr)
    pts_ns = index * 40_000_000
    return Frame(index=index, bgr=bgr, capture_ns=index, pts_ns=pts_ns, decoded=planes)


class Swapper:
    """Paints noise with a soft edge; may be told to fail."""

    name = "noise"

    def __init__(self) -> None:
        self.fails = False

    def prepare(self, persona: object) -> object:
        return persona

    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch:
        if self.fails:
            raise RuntimeError("no")
        left, top, columns, rows = PATCH
        rng = np.random.default_rng(7)
        bgr = rng.integers(0, 256, (rows, columns, 3), np.uint8)
        return Patch(left=left, top=top, bgr=bgr, matte=np.full((rows, columns), 200, np.uint8))

    def close(self) -> None:
        pass


def run(
    frames: list[Frame], mode: str = "hold", *, badge: bool = True, fails_from: int = 99
) -> list[Outcome]:
    config = PipelineConfig(
        guard=GuardConfig(mode=mode, hold_s=0.05),  # type: ignore[arg-type]
        mark=MarkConfig(badge=badge),
    )
    swapper = Swapper()
    pipeline = Pipeline(
        config,
        tracker=FakeTracker([[make_track(centre=(130.0, 110.0))]] * len(frames)),
        swapper=swapper,
        compositor=Compositor(),
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
    )
    with pipeline:
        pipeline.set_persona(make_persona(), wait=True)
        outcomes = []
        for number, frame in enumerate(frames):
            swapper.fails = number >= fails_from
            outcomes.append(pipeline.process(frame))
    return outcomes


def whole(bgr: U8Array, matrix: Matrix) -> tuple[U8Array, U8Array, U8Array]:
    height, width = SIZE
    y = np.empty(SIZE, np.uint8)
    u, v = (np.empty((height // 2, width // 2), np.uint8) for _ in range(2))
    _kernels.bgr_to_i420(bgr, y, u, v, matrix)
    return y, u, v


@pytest.mark.parametrize("matrix", ["bt709", "bt601"])
@pytest.mark.parametrize("badge", [True, False])
def test_what_was_painted_is_as_a_whole_conversion_and_the_rest_as_decoded(
    matrix: Matrix, badge: bool
) -> None:
    frame, before = decoded(matrix=matrix), decoded(matrix=matrix)
    assert before.decoded is not None
    [outcome] = run([frame], badge=badge)
    planes = planes_for_sink(outcome.frame, matrix)
    assert planes is not None
    full = whole(outcome.frame.bgr, matrix)
    painted = np.zeros(SIZE, bool)
    left, top, columns, rows = PATCH
    even(painted, left, top, left + columns, top + rows)
    if badge:
        marker = Marker(MarkConfig())
        marker.apply(decoded().bgr)
        assert marker.box is not None
        even(painted, *marker.box)
    half = painted[::2, ::2]
    came = before.decoded
    planes_of = [
        (planes.y, full[0], came.y, painted),
        (planes.u, full[1], came.u, half),
        (planes.v, full[2], came.v, half),
    ]
    for got, converted, decoded_to, mask in planes_of:
        assert np.array_equal(got[mask], converted[mask])
        assert np.array_equal(got[~mask], decoded_to[~mask])
        assert not np.array_equal(got[mask], decoded_to[mask])
    changed = (outcome.frame.bgr != before.bgr).any(axis=2)
    assert not changed[~painted].any()


def even(mask: npt.NDArray[np.bool_], left: int, top: int, right: int, bottom: int) -> None:
    """Sets a box grown to even pixels."""
    mask[top & ~1 : bottom + bottom % 2, left & ~1 : right + right % 2] = True


def test_a_second_conversion_of_the_whole_would_round_what_nobody_touched() -> None:
    frame = decoded()
    assert frame.decoded is not None
    assert not np.array_equal(whole(frame.bgr, "bt709")[1], frame.decoded.u)


@pytest.mark.parametrize("mode", ["hold", "blur", "slate"])
def test_a_guarded_frame_never_goes_out_by_the_planes_that_came(mode: str) -> None:
    frames = [decoded(index) for index in range(4)]
    outcomes = run(frames, mode, fails_from=1)
    assert planes_for_sink(outcomes[0].frame, "bt709") is not None
    for outcome in outcomes[1:]:
        assert outcome.guarded
        assert planes_for_sink(outcome.frame, "bt709") is None


def test_without_a_guard_a_frame_that_was_not_swapped_is_converted() -> None:
    [outcome] = run([decoded()], "off", fails_from=0)
    assert planes_for_sink(outcome.frame, "bt709") is None


def test_planes_of_another_matrix_are_not_taken() -> None:
    [outcome] = run([decoded()])
    assert planes_for_sink(outcome.frame, "bt601") is None


def test_planes_belong_to_the_pixels_that_were_made_of_them() -> None:
    [outcome] = run([decoded()])
    frame = outcome.frame
    assert planes_for_sink(replace(frame, bgr=frame.bgr.copy()), "bt709") is None
    other = replace(decoded(), bgr=np.zeros((*SIZE, 3), np.uint8))
    assert planes_for_sink(as_it_came(other), "bt709") is None
    [outcome] = run([other])
    assert planes_for_sink(outcome.frame, "bt709") is None


def test_pixels_that_may_not_be_painted_on_are_copied_and_lose_their_planes() -> None:
    frame = decoded()
    frame.bgr.flags.writeable = False
    [outcome] = run([frame])
    assert outcome.swapped == 1
    assert planes_for_sink(outcome.frame, "bt709") is None


def test_a_bare_face_by_wish_goes_out_as_it_came() -> None:
    frame = decoded()
    assert frame.decoded is not None
    before = [plane.copy() for plane in (frame.decoded.y, frame.decoded.u, frame.decoded.v)]
    config = PipelineConfig()
    with Pipeline(
        config,
        tracker=FakeTracker([[make_track()]]),
        swapper=Swapper(),
        compositor=Compositor(),
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
    ) as pipeline:
        pipeline.set_persona(None)
        outcome = pipeline.process(frame)
    planes = planes_for_sink(outcome.frame, "bt709")
    assert planes is not None
    for plane, came in zip((planes.y, planes.u, planes.v), before, strict=True):
        assert np.array_equal(plane, came)


def test_planes_of_odd_sides_or_other_pixels_are_refused() -> None:
    odd, half = np.zeros((3, 4), np.uint8), np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="even sides"):
        Planes(y=odd, u=half, v=half, matrix="bt709", bgr=np.zeros((3, 4, 3), np.uint8))
    even = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="expected pixels"):
        Planes(y=even, u=half, v=half, matrix="bt709", bgr=np.zeros((4, 2, 3), np.uint8))
