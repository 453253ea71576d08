"""The stage with a net that takes red for a cover."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mien.compositing import Compositor
from mien.config import GuardConfig, OcclusionConfig, PipelineConfig
from mien.errors import ModelError
from mien.occlusion import OcclusionStage, open_occlusion
from mien.occlusion_view import INPUT_CHANNELS
from mien.types import F32Array, FaceTrack, HeadPose, Patch, U8Array

from .conftest import plain_landmarks

onnx = pytest.importorskip("onnx", reason="builds a small network")

SIZE = 240


def red_net(
    channels: int = INPUT_CHANNELS, weights: dict[int, float] | None = None, bias: float = -30.0
) -> bytes:
    """ONNX whose output is 1 where the crop is red, or where weighted channels say."""
    helper, numbers = onnx.helper, onnx.numpy_helper
    weight = np.zeros((1, channels, 1, 1), np.float32)
    for channel, value in (weights or {0: -60.0, 1: -60.0, 2: 60.0}).items():
        weight[0, channel, 0, 0] = value
    nodes = [
        helper.make_node("Conv", ["inputs", "w", "b"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["covered"]),
    ]
    shape = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("inputs", shape, [1, channels, 128, 128])],
        [helper.make_tensor_value_info("covered", shape, [1, 1, 128, 128])],
        [numbers.from_array(weight, "w"), numbers.from_array(np.array([bias], np.float32), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def track_of(landmarks: F32Array, number: int = 1) -> FaceTrack:
    pose = HeadPose(
        rotation=np.eye(3, dtype=np.float32), scale=1.0, translation=np.zeros(3, np.float32)
    )
    return FaceTrack(
        track_id=number, landmarks=landmarks, pose=pose, quality=1.0, age=0, is_performer=True
    )


@pytest.fixture
def track() -> FaceTrack:
    return track_of(plain_landmarks(SIZE))


@pytest.fixture
def stage() -> Iterator[OcclusionStage]:
    one = OcclusionStage(red_net())
    yield one
    one.close()


def _frame(red: tuple[slice, slice] | None = None) -> U8Array:
    frame = np.full((SIZE, SIZE, 3), 120, np.uint8)
    if red is not None:
        frame[red] = (0, 0, 255)
    return frame


def _patch() -> Patch:
    """A green persona over the middle of the picture."""
    matte = np.full((120, 120), 255, np.uint8)
    bgr = np.zeros((120, 120, 3), np.uint8)
    bgr[..., 1] = 200
    return Patch(left=60, top=60, bgr=bgr, matte=matte)


def _shown(stage: OcclusionStage, frame: U8Array, track: FaceTrack) -> U8Array:
    view = stage.look(frame, track)
    patch = _patch()
    Compositor().composite(frame, patch, track)
    stage.restore(frame, patch, view)
    return frame


SMALL = (slice(100, 130), slice(100, 130))


def test_what_covers_the_face_stays_before_the_persona(
    stage: OcclusionStage, track: FaceTrack
) -> None:
    for _ in range(4):
        frame = _shown(stage, _frame(SMALL), track)
    assert tuple(frame[115, 115]) == (0, 0, 255)
    assert tuple(frame[150, 150]) == (0, 200, 0)
    assert tuple(frame[20, 20]) == (120, 120, 120)


def test_an_uncovered_face_loses_nothing(stage: OcclusionStage, track: FaceTrack) -> None:
    wanted = _frame()
    Compositor().composite(wanted, _patch(), track)
    assert stage.look(_frame(), track) is None
    assert np.array_equal(_shown(stage, _frame(), track), wanted)


def test_a_face_that_is_covered_whole_shows_the_persona_whole(
    stage: OcclusionStage, track: FaceTrack
) -> None:
    everything = (slice(0, SIZE), slice(0, SIZE))
    for _ in range(4):
        frame = _shown(stage, _frame(everything), track)
    assert (frame[65:175, 65:175] == (0, 200, 0)).all()


def test_stricter_guards_cut_less(track: FaceTrack) -> None:
    # Between a third and a half of the persona.
    band = (slice(60, 105), slice(60, 180))
    seen = {}
    for guard in ("hold", "slate"):
        stage = OcclusionStage(red_net(), guard=guard)  # type: ignore[arg-type]
        for _ in range(4):
            frame = _shown(stage, _frame(band), track)
        seen[guard] = int(frame[80, 120, 2])
    assert seen["hold"] > 240
    assert seen["slate"] < 200


def test_a_glimpse_shows_less_than_a_thing_that_stays(track: FaceTrack) -> None:
    stage = OcclusionStage(red_net())
    for _ in range(3):
        _shown(stage, _frame(), track)
    glimpse = int(_shown(stage, _frame(SMALL), track)[115, 115, 2])
    for _ in range(3):
        stayed = int(_shown(stage, _frame(SMALL), track)[115, 115, 2])
    assert glimpse < stayed == 255


def test_faces_are_remembered_apart_and_forgotten(stage: OcclusionStage, track: FaceTrack) -> None:
    other = track_of(track.landmarks, number=2)
    for _ in range(3):
        stage.look(_frame(SMALL), track)
    assert stage.look(_frame(), other) is None
    stage.reset()
    assert stage.look(_frame(), track) is None


def test_every_second_picture_is_looked_at_where_looks_are_dear(track: FaceTrack) -> None:
    stage = OcclusionStage(red_net(), OcclusionConfig(mode="on", budget_ms=1e-6))
    for _ in range(4):
        view = stage.look(_frame(SMALL), track)
    assert view is not None
    # The net ran on pictures 1 and 3; picture 4 and 6 take over what it said.
    runs = []
    original = stage._run

    def counted(*arguments: object) -> F32Array:
        runs.append(1)
        return original(*arguments)  # type: ignore[arg-type]

    stage._run = counted  # type: ignore[method-assign]
    for _ in range(6):
        stage.look(_frame(SMALL), track)
    assert len(runs) == 3


def test_a_bare_face_is_remembered_to_compare_with(track: FaceTrack) -> None:
    # Takes for a cover what is darker than it was: blue's difference is channel 8.
    stage = OcclusionStage(red_net(weights={8: -60.0}, bias=22.0))
    darker = _frame()
    darker[SMALL] = 60
    for _ in range(4):
        # It was so from the first: nothing is news.
        assert stage.look(darker, track) is None
    stage.reset()
    for _ in range(20):
        assert stage.look(_frame(), track) is None
    for _ in range(3):
        frame = _shown(stage, darker.copy(), track)
    assert tuple(frame[115, 115]) == (60, 60, 60)
    assert tuple(frame[150, 150]) == (0, 200, 0)


def test_a_face_at_the_picture_s_edge_is_fine(stage: OcclusionStage) -> None:
    landmarks = plain_landmarks(SIZE)
    landmarks[:, :2] -= 110
    everything = (slice(0, 40), slice(0, 40))
    for _ in range(3):
        frame = _frame(everything)
        view = stage.look(frame, track_of(landmarks))
    assert view is not None
    assert view.left == 0
    assert view.top == 0
    stage.restore(frame, _patch(), view)


def test_a_file_that_is_no_occlusion_net_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be run"):
        OcclusionStage(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="cannot be run"):
        OcclusionStage(b"junk")
    with pytest.raises(ModelError, match="takes"):
        OcclusionStage(red_net(channels=3))


@pytest.mark.parametrize(
    ("mode", "guard", "opens"),
    [
        ("off", "hold", False),
        ("on", "hold", True),
        ("on", "slate", True),
        ("auto", "hold", True),
        ("auto", "off", True),
        ("auto", "blur", False),
        ("auto", "slate", False),
    ],
)
def test_it_is_opened_where_it_is_wanted(mode: str, guard: str, opens: bool) -> None:
    config = PipelineConfig(
        occlusion=OcclusionConfig(mode=mode),  # type: ignore[arg-type]
        guard=GuardConfig(mode=guard),  # type: ignore[arg-type]
    )
    assert (open_occlusion(config) is not None) == opens


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="auto, on or off"):
        OcclusionConfig(mode="maybe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        OcclusionConfig(budget_ms=-1.0)
