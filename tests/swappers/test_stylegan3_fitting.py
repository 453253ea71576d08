"""Latents found from photos, with networks whose answer is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.face_mesh import FACE_OVAL
from mien.swappers.stylegan3.fitting import Fit, Portrait, fit_latent
from mien.swappers.stylegan3.networks import LiveNetworks
from mien.types import F32Array, U8Array
from tests.swappers.faces import face_track, plain_picture
from tests.swappers.tiny_live import latent_of, write_live

SKIN = (0.35, 0.45, 0.6)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> LiveNetworks:
    return LiveNetworks(write_live(tmp_path_factory.mktemp("live"), split=True))


def portrait(yaw_deg: float = 0.0, skin: tuple[float, float, float] = SKIN) -> Portrait:
    track = face_track(yaw_deg=yaw_deg)
    picture = plain_picture((10, 20, 30))
    oval = np.round(track.landmarks[list(FACE_OVAL), :2]).astype(np.int32)
    cv2.fillPoly(picture, [oval], tuple(255 * value for value in skin))
    return Portrait(image_bgr=picture, track=track)


def known() -> dict[str, F32Array]:
    """Latents that differ in colour and in what is not seen."""
    rng = np.random.default_rng(5)
    latents = {}
    for number in range(6):
        latent = latent_of(tuple(rng.uniform(0.2, 0.8, 3)))
        latent[40:60] = rng.normal(size=20)
        latents[f"p{number}"] = latent
    return latents


def found(networks: LiveNetworks, **options: object) -> Fit:
    return fit_latent([portrait()], networks, known(), **options)  # type: ignore[arg-type]


def test_the_colour_of_a_photo_is_found(networks: LiveNetworks) -> None:
    told: list[float] = []
    fit = found(networks, progress=told.append)
    # What remains is the photo's background at the oval's edge.
    assert fit.after < 0.7 * fit.before
    # Blue is drawn by the first layer, red by the last, green by all.
    colour = np.array([fit.rows[0, 0], fit.rows[:, 1].mean(), fit.rows[-1, 2]])
    assert np.abs(colour - SKIN).max() < 0.03
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert fit.pictures < 500
    assert np.isnan(fit.distance_after)


def test_the_same_photo_gives_the_same_latent(networks: LiveNetworks) -> None:
    one, two = (found(networks, iterations=(1, 1, 1)) for _ in range(2))
    assert (one.rows == two.rows).all()


def test_several_photos_are_served_together(networks: LiveNetworks) -> None:
    darker = (0.25, 0.35, 0.5)
    fit = fit_latent([portrait(), portrait(20.0, darker)], networks, known(), iterations=(2, 1, 1))
    middle = np.mean([SKIN, darker], axis=0)
    assert abs(fit.rows[-1, 2] - middle[2]) < 0.03


def test_a_descriptor_pulls_where_colours_cannot(networks: LiveNetworks) -> None:
    """The descriptor sees only how blue the middle is; the photo's own says: much bluer."""
    described = []

    def describe(image_bgr: U8Array, landmarks: F32Array) -> F32Array:
        x, y = np.clip(np.round(landmarks[4, :2]).astype(int), 0, len(image_bgr) - 1)
        blue = float(image_bgr[y, x, 0]) / 255.0
        descriptor = np.zeros(128, np.float32)
        descriptor[0] = blue if described else blue + 0.3
        described.append(blue)
        return descriptor

    photo = portrait()
    plain = fit_latent([photo], networks, known(), iterations=(2, 0, 0))
    pulled = fit_latent([photo], networks, known(), describe=describe, iterations=(2, 0, 0))
    assert pulled.rows[0, 0] > plain.rows[0, 0] + 0.01
    assert pulled.distance_after < pulled.distance_before


def test_nothing_to_go_by_is_refused(networks: LiveNetworks) -> None:
    with pytest.raises(ValueError):
        fit_latent([], networks, known())
    with pytest.raises(ValueError):
        fit_latent([portrait()], networks, {})
    lone = {"one": latent_of(SKIN)}
    fit = fit_latent([portrait()], networks, lone, iterations=(1, 1, 0))
    assert fit.after <= fit.before


def test_bad_networks_are_never_silent(tmp_path: Path) -> None:
    broken = LiveNetworks(write_live(tmp_path, scale=float("nan")))
    with pytest.raises(FloatingPointError):
        fit_latent([portrait()], broken, known())
