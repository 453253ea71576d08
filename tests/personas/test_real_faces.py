"""Creation with the real detector and descriptor, on a real face and on the cast's portraits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.personas.fakes import CONSENT

from mien.errors import PhotoError
from mien.perception import FaceDescriptor, FaceTracker
from mien.personas import Library, Persona, cast_names, create_ad_hoc, create_persona

ORIENTATION = 0x0112
PORTRAITS = Path(__file__).resolve().parents[2] / "tools/render_cast/portraits"


@pytest.fixture(scope="module")
def finder() -> Iterator[FaceTracker]:
    with FaceTracker() as tracker:
        yield tracker


@pytest.fixture(scope="module")
def descriptor() -> FaceDescriptor:
    return FaceDescriptor()


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    """A public-domain portrait; the face is about 110 pixels wide."""
    data = pytest.importorskip("skimage.data")
    return Image.fromarray(data.astronaut())


def make(path: Path, finder: FaceTracker, descriptor: FaceDescriptor, *more: Path) -> Persona:
    return create_persona("x", [path, *more], CONSENT, finder=finder, descriptor=descriptor)


def distance(one: Persona, other: Persona) -> float:
    return float(np.linalg.norm(one.descriptor - other.descriptor))


@pytest.fixture(scope="module")
def plain(
    astronaut: Image.Image,
    finder: FaceTracker,
    descriptor: FaceDescriptor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Persona:
    path = tmp_path_factory.mktemp("plain") / "astronaut.png"
    astronaut.save(path)
    return make(path, finder, descriptor)


def test_real_portrait_becomes_a_persona(plain: Persona) -> None:
    blue, green, red = plain.skin_bgr
    assert red > green > blue > 40
    assert 10 < np.ptp(plain.shape[:, 1]) < 25
    assert plain.coverage.mean() > 60


@pytest.mark.parametrize("kind", ["rotated", "grey", "cmyk", "16-bit", "large", "cutout"])
def test_every_kind_of_photo_shows_the_same_person(
    kind: str,
    astronaut: Image.Image,
    plain: Persona,
    finder: FaceTracker,
    descriptor: FaceDescriptor,
    tmp_path: Path,
) -> None:
    path = tmp_path / "photo.png"
    if kind == "rotated":
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        turned = astronaut.transpose(Image.Transpose.ROTATE_90)
        turned.save(path, exif=exif)
    elif kind == "grey":
        astronaut.convert("L").save(path)
    elif kind == "cmyk":
        path = tmp_path / "photo.tiff"
        astronaut.convert("CMYK").save(path)
    elif kind == "16-bit":
        deep = np.asarray(astronaut.convert("L")).astype(np.uint16) * 257
        Image.fromarray(deep).save(path)
    elif kind == "large":
        path = tmp_path / "photo.jpg"
        astronaut.resize((5000, 5000)).save(path)
    else:
        astronaut.convert("RGBA").save(path)
    assert distance(make(path, finder, descriptor), plain) < 0.35


def test_two_like_faces_are_listed_and_can_be_chosen(
    astronaut: Image.Image, finder: FaceTracker, descriptor: FaceDescriptor, tmp_path: Path
) -> None:
    both = Image.new("RGB", (1024, 512))
    both.paste(astronaut, (0, 0))
    with Image.open(PORTRAITS / "bram_front.webp") as other:
        both.paste(other.resize((240, 240)), (640, 60))
    path = tmp_path / "both.png"
    both.save(path)
    with pytest.raises(PhotoError, match=r"both\.png shows 2 faces"):
        make(path, finder, descriptor)
    chosen = create_ad_hoc(path, finder=finder, descriptor=descriptor, choose="right")
    assert distance(chosen, Library("nowhere").resolve("bram")) < 0.35


def test_photos_of_two_people_are_refused(
    astronaut: Image.Image, finder: FaceTracker, descriptor: FaceDescriptor, tmp_path: Path
) -> None:
    path = tmp_path / "astronaut.png"
    astronaut.save(path)
    with pytest.raises(PhotoError, match=r"astronaut\.png and bram_front\.webp"):
        make(path, finder, descriptor, PORTRAITS / "bram_front.webp")


def test_tiny_and_missing_faces_are_refused(
    astronaut: Image.Image, finder: FaceTracker, descriptor: FaceDescriptor, tmp_path: Path
) -> None:
    astronaut.resize((300, 300)).save(tmp_path / "tiny.png")
    with pytest.raises(PhotoError, match=r"tiny\.png is \d+ pixels wide"):
        make(tmp_path / "tiny.png", finder, descriptor)
    for size in ((1, 1), (3, 900), (640, 480)):
        Image.new("RGB", size, (90, 90, 90)).save(tmp_path / "wall.png")
        with pytest.raises(PhotoError, match="no face was found"):
            make(tmp_path / "wall.png", finder, descriptor)


def test_cast_members_look_unlike_each_other() -> None:
    members = [Library("nowhere").resolve(name) for name in cast_names()]
    for number, one in enumerate(members):
        for other in members[:number]:
            assert distance(one, other) > 0.3, (one.name, other.name)


def test_cast_member_is_recognised_in_each_of_its_portraits(
    finder: FaceTracker, descriptor: FaceDescriptor
) -> None:
    ada = Library("nowhere").resolve("ada")
    for view in ("front", "left", "right"):
        path = PORTRAITS / f"ada_{view}.webp"
        assert distance(make(path, finder, descriptor), ada) < 0.45, view
