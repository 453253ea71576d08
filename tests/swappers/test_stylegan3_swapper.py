"""The StyleGAN3 swapper with networks whose picture is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mien.compositing import Compositor
from mien.config import PipelineConfig, StyleGAN3SwapperConfig
from mien.errors import ModelError, PersonaError
from mien.live_view import LATENT_SIZE, head_from_frame
from mien.look import Blend
from mien.patch_fault import patch_fault
from mien.personas.persona import Persona
from mien.swappers.stylegan3 import LiveFiles, StyleGAN3Swapper
from mien.swappers.stylegan3.wearing import (
    Wearing,
    layer_amounts,
    morph,
    rows_of,
    toward,
    wear,
    with_fine,
)
from mien.swappers.stylegan3.window import Window
from mien.types import FaceTrack, Frame, U8Array
from tests.pipeline.fakes import make_persona
from tests.swappers.faces import SIZE, face_track, frame_of, plain_picture
from tests.swappers.tiny_live import (
    COLOURS,
    HALF_HEIGHT,
    HALF_WIDTH,
    LAYERS,
    latent_of,
    write_encoder,
    write_live,
)

AS_DRAWN = PipelineConfig(stylegan3=StyleGAN3SwapperConfig(tone=1.0))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveFiles:
    return write_live(tmp_path_factory.mktemp("live"))


@pytest.fixture
def swapper(live: LiveFiles) -> StyleGAN3Swapper:
    return StyleGAN3Swapper(AS_DRAWN, live)


def cast_persona(name: str) -> Persona:
    worn = make_persona(name)
    return replace(worn, consent=replace(worn.consent, given_by="fictional"))


def grey(index: int = 0) -> Frame:
    return frame_of(plain_picture((60, 60, 60)), index)


def shown(swapper: StyleGAN3Swapper, frame: Frame, track: FaceTrack, state: object) -> U8Array:
    patch = swapper.swap(frame, track, state)
    assert patch_fault(patch, frame, track) == ""
    bgr = frame.bgr.copy()
    Compositor().composite(bgr, patch, track)
    return bgr


def ellipse_in_frame(track: FaceTrack, grow: float) -> U8Array:
    """Where the ellipse of the head's square lies in the frame."""
    height, width = SIZE
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    head = head_from_frame(track.pose, 1)
    u = head[0, 0] * x + head[0, 1] * y + head[0, 2]
    v = head[1, 0] * x + head[1, 1] * y + head[1, 2]
    return (u / HALF_WIDTH) ** 2 + (v / HALF_HEIGHT) ** 2 < grow**2


@pytest.mark.parametrize(
    ("roll_deg", "scale", "centre"),
    [
        (0.0, 14.0, (240.0, 180.0)),
        (25.0, 14.0, (240.0, 180.0)),
        (-40.0, 9.0, (150.3, 140.7)),
        (10.0, 3.0, (200.0, 100.0)),
        (0.0, 14.0, (60.0, 180.0)),
        (0.0, 20.0, (240.0, 330.0)),
    ],
)
def test_what_is_drawn_lies_where_the_head_is_at_any_size_and_turn(
    swapper: StyleGAN3Swapper, roll_deg: float, scale: float, centre: tuple[float, float]
) -> None:
    track = face_track(roll_deg=roll_deg, scale=scale, centre=centre)
    before = grey()
    after = shown(swapper, before, track, swapper.prepare(cast_persona("ada")))
    inside, outside = ellipse_in_frame(track, 0.85), ~ellipse_in_frame(track, 1.2)
    wanted = np.array(COLOURS["ada"]) * 255.0
    assert np.abs(after[inside] - wanted).max() <= 2.0
    assert (after[outside] == 60).all()


def test_a_square_that_lags_moves_nothing_that_is_drawn(swapper: StyleGAN3Swapper) -> None:
    state = swapper.prepare(cast_persona("ada"))
    for index, x in enumerate((200.0, 212.0, 219.0, 251.0, 240.0)):
        track = replace(face_track(centre=(x, 180.0), roll_deg=3.0 * index), age=index)
        after = shown(swapper, grey(index), track, state)
        assert np.abs(after[ellipse_in_frame(track, 0.85)] - np.array([51, 102, 204])).max() <= 3


def test_the_square_follows_calmly_and_never_loses_the_face() -> None:
    window, exact = Window(64), np.array([[0.5, 0, -20], [0, 0.5, -30]], np.float32)
    assert np.allclose(window.follow(exact), exact, atol=1e-4)
    rng = np.random.default_rng(1)
    shaken = [
        window.follow(exact + rng.normal(0, [[0, 0, 1]] * 2).astype(np.float32)) for _ in range(200)
    ]
    moved = np.array([one[:, 2] for one in shaken])
    assert moved.std(axis=0).max() < 0.6
    far = exact + np.array([[0, 0, -40], [0, 0, 0]], np.float32)
    assert np.abs(window.follow(far)[:, 2] - far[:, 2]).max() < 64 * 0.05
    window.forget()
    assert np.allclose(window.follow(exact), exact, atol=1e-4)


def test_the_square_takes_the_short_way_round() -> None:
    window = Window(64)

    def turned(degrees: float) -> np.ndarray:
        a = np.radians(degrees)
        return np.array([[np.cos(a), -np.sin(a), 5], [np.sin(a), np.cos(a), 5]], np.float32)

    window.follow(turned(179.0))
    after = window.follow(turned(-179.0))
    assert after[0, 0] < -0.99


def test_two_faces_are_drawn_each_as_its_own(swapper: StyleGAN3Swapper) -> None:
    frame = grey()
    left = face_track(scale=8.0, centre=(120.0, 180.0))
    right = face_track(scale=8.0, centre=(360.0, 180.0), track_id=2, roll_deg=15.0)
    compositor = Compositor()
    for track, name in ((left, "ada"), (right, "kai")):
        patch = swapper.swap(frame, track, swapper.prepare(cast_persona(name)))
        compositor.composite(frame.bgr, patch, track)
    for track, name in ((left, "ada"), (right, "kai")):
        inside = ellipse_in_frame(track, 0.8)
        assert np.abs(frame.bgr[inside] - np.array(COLOURS[name]) * 255.0).max() <= 2.0


def test_the_same_frames_give_the_same_bytes(live: LiveFiles) -> None:
    def run() -> list[bytes]:
        swapper = StyleGAN3Swapper(PipelineConfig(), live)
        state = swapper.prepare(cast_persona("ada"))
        out = []
        for index in range(4):
            track = replace(face_track(yaw_deg=5.0 * index), age=index)
            patch = swapper.swap(grey(index), track, state)
            out.append(patch.bgr.tobytes() + patch.matte.tobytes())
        swapper.close()
        return out

    assert run() == run()


def test_a_frame_drawn_twice_is_looked_at_once(swapper: StyleGAN3Swapper) -> None:
    state = swapper.prepare(cast_persona("ada"))
    frame, track = grey(), face_track()
    first = swapper.swap(frame, track, state).bgr.copy()
    assert (swapper.swap(frame, track, state).bgr == first).all()
    assert swapper._seats[track.track_id].performer.frames == 1
    swapper.swap(grey(1), replace(track, age=1), state)
    assert swapper._seats[track.track_id].performer.frames == 2


def test_tone_goes_from_the_performers_skin_to_the_personas(live: LiveFiles) -> None:
    track = face_track()
    middles = []
    for tone in (0.0, 0.5, 1.0):
        config = PipelineConfig(stylegan3=StyleGAN3SwapperConfig(tone=tone))
        swapper = StyleGAN3Swapper(config, live)
        frame = frame_of(plain_picture((60, 90, 160)))
        after = shown(swapper, frame, track, swapper.prepare(cast_persona("ada")))
        middles.append(after[ellipse_in_frame(track, 0.5)].mean(axis=0))
    drawn = np.array(COLOURS["ada"]) * 255.0
    assert np.allclose(middles[2], drawn, atol=1.5)
    assert np.allclose(middles[0], (60, 90, 160), atol=3.0)
    assert np.allclose(middles[1], np.sqrt(drawn * (60, 90, 160)), rtol=0.03)


def test_colours_off_the_matte_do_not_bleed_in(tmp_path: Path) -> None:
    """Every channel of the picture is scaled alike: twice as much is clipped, not wrapped."""
    swapper = StyleGAN3Swapper(AS_DRAWN, write_live(tmp_path, scale=2.0))
    track = face_track()
    after = shown(swapper, grey(), track, swapper.prepare(cast_persona("ada")))
    inside = ellipse_in_frame(track, 0.8)
    assert np.abs(after[inside] - (102, 204, 255)).max() <= 2


def test_a_generator_that_fails_raises_and_the_next_frame_is_tried_again(tmp_path: Path) -> None:
    swapper = StyleGAN3Swapper(AS_DRAWN, write_live(tmp_path, scale=float("nan")))
    state = swapper.prepare(cast_persona("ada"))
    for _ in range(2):
        with pytest.raises(FloatingPointError):
            swapper.swap(grey(), face_track(), state)


def half(amount: float) -> Blend:
    return Blend(base="a", top="b", amount=amount)


def test_a_morph_ends_at_both_ends_and_moves_evenly_between(swapper: StyleGAN3Swapper) -> None:
    one, two = (swapper.prepare(cast_persona(name)) for name in ("ada", "kai"))
    frame, track = grey(), face_track()
    inside = ellipse_in_frame(track, 0.5)
    steps = []
    for amount in np.linspace(0.0, 1.0, 11):
        state = swapper.mix(one, two, half(float(amount)), track)
        steps.append(shown(swapper, frame, track, state)[inside].mean(axis=0))
    path = np.array(steps)
    assert np.allclose(path[0], np.array(COLOURS["ada"]) * 255, atol=1)
    assert np.allclose(path[-1], np.array(COLOURS["kai"]) * 255, atol=1)
    moved = np.diff(path, axis=0) * np.sign(path[-1] - path[0])
    assert (moved >= -0.6).all()
    assert (moved.max(axis=0) < 2.0 * moved.mean(axis=0)).all()


def test_shape_moves_before_skin(tmp_path: Path) -> None:
    swapper = StyleGAN3Swapper(AS_DRAWN, write_live(tmp_path, split=True))
    one, two = (swapper.prepare(cast_persona(name)) for name in ("ada", "kai"))
    track = face_track()
    middle = shown(swapper, grey(), track, swapper.mix(one, two, half(0.5), track))
    blue, _, red = middle[ellipse_in_frame(track, 0.5)].mean(axis=0) / 255.0
    share_first = (blue - 0.2) / (0.8 - 0.2)
    share_last = (red - 0.8) / (0.1 - 0.8)
    assert share_first > 0.65
    assert share_last < 0.35


def test_layers_take_turns() -> None:
    assert (layer_amounts(0.0, 8) == 0).all()
    assert np.allclose(layer_amounts(1.0, 8), 1)
    assert (np.diff(layer_amounts(0.5, 8)) < 0).all()


def test_a_show_may_say_which_layers_go_first() -> None:
    assert np.allclose(layer_amounts(1.0, 5, skin=0.0), [1.0, 0.75, 0.5, 0.25, 0.0])
    rng = np.random.default_rng(4)
    one, two = (wear(rng.normal(size=(1, 256)).astype(np.float32), 5) for _ in range(2))
    mixed = morph(one, two, 1.0, skin=0.0)
    rows = mixed.shares @ mixed.latents
    assert np.allclose(rows[0], two.latents[0], atol=1e-5), "the shape is the new one's"
    assert np.allclose(rows[-1], one.latents[0], atol=1e-5), "and the skin the old one's"
    assert morph(None, two, 1.0, skin=0.25).opacity == 0.25


def test_a_storm_of_morphs_stays_cheap() -> None:
    rng = np.random.default_rng(3)
    state: Wearing | None = None
    for _ in range(20):
        state = morph(state, wear(rng.normal(size=(1, 256)).astype(np.float32), 5), 0.5)
    assert state is not None
    assert len(state.latents) <= 6
    assert np.allclose(state.shares.sum(axis=1), 1.0, atol=1e-5)


def test_a_face_comes_out_of_the_performers_own(swapper: StyleGAN3Swapper) -> None:
    one = swapper.prepare(cast_persona("ada"))
    track = face_track()
    mixed = swapper.mix(None, one, half(0.25), track)
    after = shown(swapper, grey(), track, mixed)
    wanted = 60 + (np.array(COLOURS["ada"]) * 255 - 60) * 0.25
    assert np.abs(after[ellipse_in_frame(track, 0.8)] - wanted).max() <= 2
    with pytest.raises(ValueError):
        swapper.mix(None, None, half(0.5), track)
    with pytest.raises(ValueError, match="wipe"):
        swapper.mix(one, one, Blend(base="a", top="b", amount=0.5, how="wipe"), track)


def test_likeness_goes_from_nobody_to_the_persona(swapper: StyleGAN3Swapper) -> None:
    one, track = swapper.prepare(cast_persona("ada")), face_track()
    nobody = np.mean(list(COLOURS.values()), axis=0) * 255.0
    drawn = np.array(COLOURS["ada"]) * 255.0
    inside = ellipse_in_frame(track, 0.6)
    for likeness in (0.0, 0.5, 1.0):
        state = swapper.with_dials(one, likeness=likeness, iris=0.3)
        after = shown(swapper, grey(), track, state)[inside].mean(axis=0)
        assert np.allclose(after, nobody + (drawn - nobody) * likeness, atol=1.5)
    swapper.set_likeness(0.5)
    after = shown(swapper, grey(), track, one)[inside].mean(axis=0)
    assert np.allclose(after, nobody + (drawn - nobody) * 0.5, atol=1.5)


def test_style_mixing_takes_the_first_layers_of_one_and_the_last_of_another(
    tmp_path: Path,
) -> None:
    live = write_live(tmp_path, split=True)
    swapper = StyleGAN3Swapper(AS_DRAWN, live)
    rows = with_fine(latent_of(COLOURS["ada"])[None], latent_of(COLOURS["kai"])[None], LAYERS)
    worn = replace(make_persona("both"), latents={live.key(): rows})
    track = face_track()
    after = shown(swapper, grey(), track, swapper.prepare(worn))
    blue, green, red = after[ellipse_in_frame(track, 0.5)].mean(axis=0) / 255.0
    assert (blue, green, red) == pytest.approx((0.2, 0.5, 0.1), abs=0.01)


def test_a_latent_of_its_own_wins_and_one_of_other_networks_is_refused(live: LiveFiles) -> None:
    own = latent_of((0.5, 0.5, 0.5))[None]
    cast = live.latents()
    worn = replace(cast_persona("ada"), latents={live.key(): own})
    assert rows_of(worn, live.key(), cast) is own
    with pytest.raises(PersonaError, match="has no latent") as caught:
        rows_of(make_persona("mira"), live.key(), cast)
    assert "mien persona latent mira" in caught.value.hint
    stale = replace(make_persona("mira"), latents={"live-000000000000": own})
    with pytest.raises(PersonaError, match="of this version"):
        rows_of(stale, live.key(), cast)
    wrong = replace(make_persona("mira"), latents={live.key(): own[:, :7]})
    with pytest.raises(PersonaError, match="shape"):
        rows_of(wrong, live.key(), cast)
    someone = replace(worn.consent, given_by="Ada Lind")
    # A person of the same name is not the member of the cast.
    with pytest.raises(PersonaError, match="has no latent"):
        rows_of(replace(worn, consent=someone, latents={}), live.key(), cast)
    with pytest.raises(ValueError):
        wear(np.zeros((3, LATENT_SIZE), np.float32), LAYERS)


def test_toward_nobody_keeps_rows_whole() -> None:
    state = wear(latent_of((1, 1, 1))[None], 4)
    assert toward(state, np.zeros(LATENT_SIZE, np.float32), 1.0) is state
    less = toward(state, np.zeros(LATENT_SIZE, np.float32), 0.25)
    assert np.allclose(less.shares @ less.latents, 0.25 * latent_of((1, 1, 1)))


def test_missing_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    config = PipelineConfig()
    with pytest.raises(ModelError, match="missing"):
        StyleGAN3Swapper(config, LiveFiles(folder=tmp_path / "nowhere"))
    torn = write_live(tmp_path / "torn")
    torn.generator.write_bytes(torn.generator.read_bytes()[:-500])
    with pytest.raises(ModelError, match=r"generator\.onnx"):
        StyleGAN3Swapper(config, torn)
    foreign = write_live(tmp_path / "foreign")
    write_encoder(foreign.encoder, condition_size=999)
    with pytest.raises(ModelError, match="condition"):
        StyleGAN3Swapper(config, foreign)
    swapped = write_live(tmp_path / "swapped")
    write_encoder(swapped.generator)
    with pytest.raises(ModelError, match="grid"):
        StyleGAN3Swapper(config, swapped)
    for number, latents in enumerate(
        ({"ada": np.zeros(7, np.float32)}, {"ada": np.full(256, np.nan, np.float32)})
    ):
        odd = write_live(tmp_path / f"odd{number}")
        save_file(latents, odd.folder / "latents.safetensors")
        with pytest.raises(ModelError, match="ada"):
            StyleGAN3Swapper(config, odd)
    noise = write_live(tmp_path / "noise")
    (noise.folder / "latents.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="damaged"):
        StyleGAN3Swapper(config, noise)


def test_other_sizes_and_layers_are_taken_as_they_are(tmp_path: Path) -> None:
    live = write_live(tmp_path, layers=9, size=96)
    swapper = StyleGAN3Swapper(AS_DRAWN, live)
    track = face_track()
    after = shown(swapper, grey(), track, swapper.prepare(cast_persona("kai")))
    inside = ellipse_in_frame(track, 0.8)
    assert np.abs(after[inside] - np.array(COLOURS["kai"]) * 255.0).max() <= 2
    assert "onnxruntime" in swapper.where[0]


def test_a_state_of_another_swapper_is_refused(swapper: StyleGAN3Swapper) -> None:
    with pytest.raises(TypeError):
        swapper.swap(grey(), face_track(), "ada")
    with pytest.raises(TypeError):
        swapper.swap(grey(), face_track(), None)
    with pytest.raises(TypeError):
        swapper.with_dials(None, likeness=1.0, iris=1.0)


def test_a_new_face_has_its_own_tone_at_once(live: LiveFiles) -> None:
    """What was drawn before leaves nothing behind in the next persona's colours."""
    config = PipelineConfig(stylegan3=StyleGAN3SwapperConfig(tone=0.5))
    track = face_track()
    swapper, fresh = StyleGAN3Swapper(config, live), StyleGAN3Swapper(config, live)
    first, second = (swapper.prepare(cast_persona(name)) for name in ("ada", "kai"))
    for index in range(3):
        shown(swapper, grey(index), replace(track, age=index), first)
    after = shown(swapper, grey(3), replace(track, age=3), second)
    alone = shown(fresh, grey(3), track, fresh.prepare(cast_persona("kai")))
    assert np.abs(after.astype(int) - alone).max() <= 2
