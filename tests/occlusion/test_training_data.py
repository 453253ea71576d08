"""Samples follow from their seed, and say truly what is covered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from mien.errors import MediaError  # noqa: E402
from mien.occlusion_view import UNCHANGED  # noqa: E402
from mien.training.occlusion_batches import CoveredDeck  # noqa: E402
from mien.training.occlusion_covering import Place, cover, draw_place  # noqa: E402
from mien.training.occlusion_harm import draw_tones, dress_face, soften_and_spoil  # noqa: E402
from mien.training.occlusion_shards import read_faces  # noqa: E402
from mien.training.occlusion_sprites import read_sprites  # noqa: E402
from mien.types import U8Array  # noqa: E402

from .conftest import draw_disc, draw_face  # noqa: E402


def test_a_seed_says_all_of_a_batch(faces: Path, sprites: Path) -> None:
    paths = sorted(faces.glob("*.safetensors"))
    one, other = CoveredDeck(paths, sprites), CoveredDeck(paths, sprites)
    first, again = one.batch(7, 4, 3), other.batch(7, 4, 3)
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.covered, again.covered)
    assert not torch.equal(first.inputs, one.batch(8, 4, 3).inputs)
    one.close()
    other.close()


def test_bare_samples_have_nothing_covered_and_others_have(faces: Path, sprites: Path) -> None:
    deck = CoveredDeck(sorted(faces.glob("*.safetensors")), sprites)
    bare = [deck.sample([1, n], bare=True) for n in range(12)]
    covered = [deck.sample([1, n], bare=False) for n in range(12)]
    deck.close()
    assert all(not sample.covered.any() for sample in bare)
    assert sum(bool((sample.covered > 128).any()) for sample in covered) >= 9
    assert all((sample.face > 128).mean() > 0.2 for sample in (*bare, *covered))


def test_a_covered_pixel_shows_the_sprite_and_a_free_one_the_face() -> None:
    face = draw_face(0)
    place = Place(anchor=(112.0, 112.0), target=(128.0, 128.0), turn_deg=30.0, scale=0.5)
    black = draw_disc(colour=0)
    picture, alpha = cover(face.picture, face, black, place, np.random.default_rng(2))
    assert alpha[128, 128] == pytest.approx(1.0, abs=0.01)
    assert alpha[20, 20] == 0
    # Light that falls on it makes black a little grey, never as bright as the face.
    assert picture[128, 128].mean() < 0.6 * face.picture[128, 128].mean()
    assert np.array_equal(picture[5, 5], face.picture[5, 5])


def test_a_shadow_alone_covers_nothing() -> None:
    face = draw_face(1)
    place = Place(anchor=(112.0, 112.0), target=(128.0, 128.0), turn_deg=0.0, scale=0.5)
    random = np.random.default_rng(3)
    picture, alpha = cover(face.picture, face, draw_disc(), place, random, only_shadow=True)
    assert picture.dtype == np.uint8
    assert not alpha.any()
    assert picture.astype(int).sum() <= face.picture.astype(int).sum()


def test_a_place_turns_counter_clockwise_about_its_anchor() -> None:
    place = Place(anchor=(10.0, 20.0), target=(50.0, 60.0), turn_deg=90.0, scale=2.0)
    matrix = place.matrix()
    assert matrix @ [10, 20, 1] == pytest.approx([50, 60], abs=1e-4)
    # What lay to the right of the anchor lies above it.
    assert matrix @ [11, 20, 1] == pytest.approx([50, 58], abs=1e-4)


@pytest.mark.parametrize("kind", ["hand", "microphone", "boom", "hair", "cloth", "lump"])
def test_things_go_where_the_face_is(kind: str) -> None:
    landmarks = draw_face(0).landmarks
    centre, tall = landmarks[:, :2].mean(axis=0), np.ptp(landmarks[:, 1])
    random = np.random.default_rng(5)
    for _ in range(20):
        place = draw_place(draw_disc(kind), landmarks, random)
        assert np.abs(np.array(place.target) - centre).max() < 1.2 * tall
        assert 0.2 < place.scale < 3


def test_harm_keeps_size_and_kind_and_follows_its_seed() -> None:
    face = draw_face(2)

    def harmed(seed: int) -> U8Array:
        random = np.random.default_rng(seed)
        dressed = dress_face(face.picture, face.landmarks, random)
        return soften_and_spoil(draw_tones(random)(dressed), random)

    for seed in range(12):
        one = harmed(seed)
        assert one.shape == face.picture.shape
        assert one.dtype == np.uint8
        assert np.array_equal(one, harmed(seed))


def test_a_moment_from_before_shows_what_covers_now(faces: Path, sprites: Path) -> None:
    deck = CoveredDeck(sorted(faces.glob("*.safetensors")), sprites)
    inside, outside, alone = [], [], []
    for n in range(24):
        sample = deck.sample([2, n], bare=False, remembered=True)
        news = np.abs(sample.inputs[..., 8:11].astype(int) - UNCHANGED).mean(axis=2)
        known = sample.inputs[..., 11] > 128
        if ((sample.covered > 200) & known).sum() > 50:
            inside.append(news[(sample.covered > 200) & known].mean())
            outside.append(news[(sample.covered == 0) & known].mean())
        alone.append(deck.sample([2, n], bare=False, remembered=False).inputs[..., 11].any())
    deck.close()
    assert len(inside) > 8
    assert np.mean(inside) > 1.5 * np.mean(outside)
    assert not any(alone)


def test_files_that_are_not_ours_are_refused(tmp_path: Path, faces: Path, sprites: Path) -> None:
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"no")
    with pytest.raises(MediaError, match="cannot be read"):
        read_faces(junk)
    with pytest.raises(MediaError, match="cannot be read"):
        read_sprites(junk)
    with pytest.raises(MediaError, match="does not hold"):
        read_faces(sprites)
    with pytest.raises(MediaError, match="is not"):
        read_sprites(next(faces.glob("*.safetensors")))
    assert len(read_sprites(sprites)) == 3
