"""Several swappers as one, and what two patches become between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.compositing import Compositor
from mien.config import PipelineConfig
from mien.errors import UsageError
from mien.look import Blend, Look, Side
from mien.mending import is_refined
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.swappers import Ensemble, chosen_swapper
from mien.swappers.dissolve import dissolve, front_map
from mien.types import FaceTrack, Frame, Patch, U8Array
from mien.wings import Wear, Wings
from tests.pipeline.fakes import make_persona
from tests.swappers.faces import face_track, frame_of, plain_picture


class Painter:
    """Paints the face box in one colour, always into the same buffer."""

    def __init__(self, name: str, colour: int, *, shift: int = 0) -> None:
        self.name, self.colour, self.shift = name, colour, shift
        self.likeness = -1.0
        self.is_closed = False
        self._bgr = np.empty((400, 400, 3), np.uint8)
        self._matte = np.empty((400, 400), np.uint8)

    def prepare(self, persona: Persona) -> object:
        return persona.name

    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch:
        left, top, right, bottom = (int(edge) for edge in track.box)
        rows, columns = bottom - top, right - left
        bgr, matte = self._bgr[:rows, :columns], self._matte[:rows, :columns]
        bgr[:], matte[:] = self.colour, 255
        return Patch(left=left + self.shift, top=top, bgr=bgr, matte=matte)

    def set_likeness(self, likeness: float) -> None:
        self.likeness = likeness

    def close(self) -> None:
        self.is_closed = True


class MixingPainter(Painter):
    def mix(
        self, base: object, top: object, blend: Blend, track: FaceTrack, *, keep: bool = False
    ) -> object:
        return f"{base}+{top}"

    def with_dials(self, state: object, *, likeness: float, iris: float) -> object:
        return f"{state}@{likeness}"


def ensemble_of(*painters: Painter) -> Ensemble:
    known = {painter.name: painter for painter in painters}
    return Ensemble(painters[0].name, PipelineConfig(), make=lambda name, _: known[name])


def half(how: str = "morph", amount: float = 0.5, side: Side = "right") -> Blend:
    return Blend(base="a", top="b", amount=amount, how=how, side=side)  # type: ignore[arg-type]


def shown(frame: Frame, patch: Patch, track: FaceTrack) -> U8Array:
    bgr = frame.bgr.copy()
    Compositor().composite(bgr, patch, track)
    return bgr


def test_two_swappers_dissolve_evenly_and_leave_the_rest_of_the_picture_alone() -> None:
    frame, track = frame_of(plain_picture((50, 50, 50))), face_track()
    both = ensemble_of(Painter("mesh", 100), Painter("stylegan3", 200, shift=30))
    one = both.prepare(make_persona("ada"))
    two = both.prepare_with("stylegan3", make_persona("kai"))
    left, top, right, bottom = (int(edge) for edge in track.box)
    for amount in (0.0, 0.25, 0.5, 1.0):
        state = both.mix(one, two, half(amount=amount), track)
        after = shown(frame, both.swap(frame, track, state), track)
        y = (top + bottom) // 2
        # Only the first, both, only the second.
        assert after[y, left + 10, 0] == pytest.approx(100 + (50 - 100) * amount, abs=1)
        assert after[y, (left + right) // 2, 0] == pytest.approx(100 + 100 * amount, abs=1)
        assert after[y, right + 20, 0] == pytest.approx(50 + 150 * amount, abs=1)
        assert (after[: top - 4] == 50).all()
        assert (after[:, right + 40 :] == 50).all()


def test_where_shape_and_skin_part_a_dissolve_goes_by_the_skin() -> None:
    frame, track = frame_of(plain_picture((50, 50, 50))), face_track()
    both = ensemble_of(Painter("mesh", 100), Painter("stylegan3", 200))
    one = both.prepare(make_persona("ada"))
    two = both.prepare_with("stylegan3", make_persona("kai"))
    x, y = (int(v) for v in track.landmarks[1, :2])
    # The shape has arrived, the skin is a quarter on its way; likewise out of the bare face.
    blend = Blend(base="a", top="b", amount=1.0, skin=0.25)
    for base, level in ((one, 125), (None, 50 + 150 * 0.25)):
        after = shown(frame, both.swap(frame, track, both.mix(base, two, blend, track)), track)
        assert after[y, x, 0] == pytest.approx(level, abs=1)
    # A front has one place: it goes by its own amount.
    wipe = replace(blend, how="wipe")
    after = shown(frame, both.swap(frame, track, both.mix(one, two, wipe, track)), track)
    assert after[y, x, 0] == 200


def test_one_swapper_that_mixes_does_so_itself_and_keeps_its_dials() -> None:
    mixing = MixingPainter("mesh", 100)
    both = ensemble_of(mixing, Painter("stylegan3", 200))
    track = face_track()
    one, two = both.prepare(make_persona("ada")), both.prepare(make_persona("kai"))
    mixed = both.mix(one, two, half(), track)
    assert "ada+kai" in repr(mixed)
    assert "ada+kai@0.5" in repr(both.with_dials(mixed, likeness=0.5, iris=1.0))
    other = both.prepare_with("stylegan3", make_persona("mio"))
    deep = both.with_dials(both.mix(mixed, other, half(), track), likeness=0.5, iris=1.0)
    assert "ada+kai@0.5" in repr(deep)
    assert "mio@" not in repr(deep)
    with pytest.raises(TypeError):
        both.with_dials(None, likeness=1.0, iris=1.0)


def test_a_face_that_comes_out_of_the_performers_own_fades_in() -> None:
    frame, track = frame_of(plain_picture((50, 50, 50))), face_track()
    lone = ensemble_of(Painter("mesh", 200))
    state = lone.prepare(make_persona())
    x, y = (int(v) for v in track.landmarks[1, :2])
    for base, top, level in ((None, state, 0.25), (state, None, 0.75)):
        mixed = lone.mix(base, top, half(amount=0.25), track)
        after = shown(frame, lone.swap(frame, track, mixed), track)
        assert after[y, x, 0] == pytest.approx(50 + 150 * level, abs=1)


@pytest.mark.parametrize(("side", "first"), [("right", 0), ("left", -1), ("down", 0), ("up", -1)])
def test_a_wipe_comes_in_from_its_side_and_never_goes_back(side: Side, first: int) -> None:
    track = face_track(roll_deg=8.0)
    left, top, right, bottom = (int(edge) for edge in track.box)
    size = (bottom - top, right - left)
    before = np.zeros(size, np.uint8)
    for amount in np.linspace(0.0, 1.0, 9):
        front = front_map(track, side, float(amount), left, top, size)
        assert (front >= before).all()
        before = front
        if 0.3 < amount < 0.7:
            line = front[size[0] // 2] if side in ("left", "right") else front[:, size[1] // 2]
            assert line[first] > 250
            assert line[-1 - first] < 5
    assert (before == 255).all()


def test_a_wipe_between_two_swappers_shows_each_on_its_own_side() -> None:
    frame, track = frame_of(plain_picture((50, 50, 50))), face_track()
    both = ensemble_of(Painter("mesh", 100), Painter("stylegan3", 200))
    one = both.prepare(make_persona())
    two = both.prepare_with("stylegan3", make_persona())
    after = shown(
        frame, both.swap(frame, track, both.mix(one, two, half("wipe", 0.45), track)), track
    )
    left, top, right, bottom = (int(edge) for edge in track.box)
    y = (top + bottom) // 2
    assert (after[y, left + 5, 0], after[y, right - 5, 0]) == (200, 100)
    lone = both.mix(None, two, half("wipe", 0.45), track)
    after = shown(frame, both.swap(frame, track, lone), track)
    assert (after[y, left + 5, 0], after[y, right - 5, 0]) == (200, 50)


def test_a_patch_that_shows_nothing_leaves_the_other_alone() -> None:
    frame, track = frame_of(plain_picture((50, 50, 50))), face_track()
    empty = Patch(
        left=0, top=0, bgr=np.zeros((0, 0, 3), np.uint8), matte=np.zeros((0, 0), np.uint8)
    )
    painter = Painter("mesh", 200)
    patch = dissolve(frame, track, half(), lambda: empty, lambda: painter.swap(frame, track, ""))
    x, y = (int(v) for v in track.landmarks[1, :2])
    assert shown(frame, patch, track)[y, x, 0] == pytest.approx(125, abs=1)
    nothing = dissolve(frame, track, half(), lambda: empty, lambda: empty)
    assert nothing.matte.size == 0
    with pytest.raises(ValueError):
        dissolve(frame, track, half(), None, None)


def test_dials_reach_swappers_that_come_later_and_all_are_closed() -> None:
    first, second = Painter("mesh", 100), Painter("stylegan3", 200)
    both = ensemble_of(first, second)
    both.set_likeness(0.25)
    both.prepare_with("stylegan3", make_persona())
    assert (first.likeness, second.likeness) == (0.25, 0.25)
    both.close()
    assert first.is_closed
    assert second.is_closed


def test_only_faces_that_the_refiner_knows_are_mended() -> None:
    mesh = MixingPainter("mesh", 100)
    mesh.refined = True  # type: ignore[attr-defined]
    both, track = ensemble_of(mesh, Painter("stylegan3", 200)), face_track()
    one, other = both.prepare(make_persona()), both.prepare_with("stylegan3", make_persona())
    assert is_refined(both, one)
    assert is_refined(both, both.mix(one, None, half(), track))
    assert not is_refined(both, other)
    assert not is_refined(both, both.mix(one, other, half(), track))
    # Whoever says nothing has all mended.
    assert is_refined(object(), "anything")


def test_strange_states_and_names_are_refused() -> None:
    lone = ensemble_of(Painter("mesh", 100))
    frame, track = frame_of(plain_picture()), face_track()
    with pytest.raises(TypeError):
        lone.swap(frame, track, "ada")
    with pytest.raises(TypeError):
        lone.mix("ada", None, half(), track)
    with pytest.raises(UsageError, match="mush"):
        lone.prepare_with("mush", make_persona())


def test_auto_names_a_swapper_that_is_there() -> None:
    assert chosen_swapper("auto") == "mesh"
    with pytest.raises(UsageError, match="auto"):
        chosen_swapper("mush")


def test_a_persona_in_the_wings_may_ask_for_its_own_swapper() -> None:
    both = ensemble_of(Painter("mesh", 100), Painter("stylegan3", 200))
    wings = Wings(both)
    worn = make_persona("kai")
    wings.call({"kai": lambda: Wear(persona=worn, swapper="stylegan3")}, wait=True)
    frame, track = frame_of(plain_picture()), face_track()
    assert both.swap(frame, track, wings.dress(Look(face="kai"), track)).bgr[5, 5, 0] == 200
    lone = Wings(Painter("mesh", 100))
    with pytest.raises(UsageError, match="stylegan3"):
        lone.call({"kai": lambda: Wear(persona=worn, swapper="stylegan3")}, wait=True)


def test_the_pipeline_takes_any_name_and_says_what_is_wrong_with_it() -> None:
    with pytest.raises(UsageError, match="mush"):
        Pipeline.create(PipelineConfig(), "mush")


class LendingPainter(Painter):
    lent: object = None

    def lend(self, frame: object) -> None:
        self.lent = frame


def test_pixels_on_a_gpu_are_lent_to_every_swapper_that_can_use_them() -> None:
    first, second, third = (
        LendingPainter("mesh", 1),
        LendingPainter("stylegan3", 2),
        Painter("mesh", 3),
    )
    frame: object = object()
    both = ensemble_of(first, second)
    both.lend(frame)  # type: ignore[arg-type]
    assert first.lent is frame
    both.prepare_with("stylegan3", make_persona("kai"))  # made only now
    assert second.lent is frame
    ensemble_of(third).lend(frame)  # type: ignore[arg-type]
