"""What samples of skin, eyes, teeth, hair and cloth are made of, many at once, with PyTorch.

The formulas are :mod:`.shading`'s, which works one sample at a time; here each material's
samples are painted together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch

from .anatomy import EYE, HAIR, LASHES, SKIN, TEETH, TONGUE
from .batch_posing import normalised
from .batch_rasteriser import unroll
from .shading import (
    EYE_RADIUS,
    EYE_X,
    EYE_Y,
    EYE_Z,
    HAIR_RGB,
    IRIS_RGB,
    LIP_RGB,
    LIPS,
    MOUTH,
    OPENNESS,
    RIM,
    SHIRT_RGB,
)

# Channels of the skin maps: colour, slopes, gloss, strands.
_SLOPES, _GLOSS, _STRANDS = slice(3, 5), 5, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Skins:
    """What people look like.

    Attributes:
        layers: (P, h, w, 7), see :class:`.skin.SkinMaps`.
        colours: (B, 15) of each picture, see :func:`.studio.mix_colours`.
        rim: (B,) how dark the rims of the lids are.
        worn: (B,) int64, whose layers each picture takes.
    """

    layers: torch.Tensor
    colours: torch.Tensor
    rim: torch.Tensor
    worn: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What does not depend on whose skin it is, of m samples.

    Attributes:
        item, material: (m,) int64; ``level`` (m,), see :func:`.rasteriser.rasterise`.
        normal, view, rest: (m, 3); the view is the direction to the camera.
        attributes: (m, 4), see :mod:`.shading`.
        lit: (m,) 0..1 of the key light that arrives.
    """

    item: torch.Tensor
    material: torch.Tensor
    level: torch.Tensor
    normal: torch.Tensor
    view: torch.Tensor
    rest: torch.Tensor
    attributes: torch.Tensor
    lit: torch.Tensor

    def where(self, chosen: torch.Tensor) -> Surface:
        """The samples that ``chosen``, (k,) int64, names."""
        return Surface(
            item=self.item[chosen],
            material=self.material[chosen],
            level=self.level[chosen],
            normal=self.normal[chosen],
            view=self.view[chosen],
            rest=self.rest[chosen],
            attributes=self.attributes[chosen],
            lit=self.lit[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How k samples take light: (k, 3) colour, normal and wrap, (k,) the others."""

    colour: torch.Tensor
    normal: torch.Tensor
    openness: torch.Tensor
    rough: torch.Tensor
    gloss: torch.Tensor
    mirror: torch.Tensor
    wrap: torch.Tensor


def _finish(
    part: Surface,
    colour: torch.Tensor,
    *,
    normal: torch.Tensor | None = None,
    openness: torch.Tensor | None = None,
    rough: torch.Tensor | float = 0.45,
    gloss: torch.Tensor | float = 1.0,
    mirror: float = 0.028,
    wrap: torch.Tensor | tuple[float, float, float] = (0.30, 0.12, 0.08),
) -> Finish:
    """A finish; numbers hold for all samples, what is not named is the surface's."""

    def each(value: torch.Tensor | float) -> torch.Tensor:
        if isinstance(value, torch.Tensor):
            return value
        return torch.full_like(part.lit, value)

    return Finish(
        colour=colour,
        normal=part.normal if normal is None else normal,
        openness=part.attributes[:, OPENNESS] if openness is None else openness,
        rough=each(rough),
        gloss=each(gloss),
        mirror=each(mirror),
        wrap=wrap if isinstance(wrap, torch.Tensor) else _plain(part, *wrap),
    )


def finished(surface: Surface, skins: Skins, shine: torch.Tensor) -> Finish:
    """The finish of every sample, material by material.

    Args:
        surface: m samples.
        skins: what the people look like.
        shine: (B,) scales the skin's highlights.
    """
    blank = torch.zeros_like(surface.lit)
    whole = _finish(surface, torch.zeros_like(surface.normal), openness=blank, rough=blank.clone())
    whole = Finish(**{field.name: getattr(whole, field.name).clone() for field in fields(Finish)})
    for material, paint in _FINISHES.items():
        here = torch.nonzero(surface.material == material)[:, 0]
        if len(here):
            part = paint(surface.where(here), skins, shine)
            for field in fields(Finish):
                getattr(whole, field.name)[here] = getattr(part, field.name)
    return whole


def _hair(part: Surface, skins: Skins, shine: torch.Tensor) -> Finish:
    strand = _look_up(skins, part)[:, _STRANDS]
    depth = torch.where(part.level >= 0, part.level, 0.8)
    tone = (0.35 + 0.65 * depth) * (0.6 + 0.8 * strand)
    x, y, z = part.normal.unbind(1)
    # Strands turn the normal, which breaks the highlight up.
    turned = torch.stack([x + (strand - 0.5) * 0.5 * y, y + (strand - 0.5) * 0.7, z], 1)
    return _finish(
        part,
        _colour(skins, part, HAIR_RGB) * tone[:, None],
        normal=normalised(turned),
        openness=part.attributes[:, OPENNESS] * (0.35 + 0.65 * depth),
        rough=0.42,
        gloss=0.9,
        mirror=0.045,
        wrap=(0.25, 0.25, 0.25),
    )


def _eyes(part: Surface, skins: Skins, shine: torch.Tensor) -> Finish:
    """White with faint veins, iris with fibres and a dark limbus, pupil."""
    x, y, z = part.rest.unbind(1)
    across = (x - torch.where(x > 0, EYE_X, -EYE_X)) / EYE_RADIUS
    up = (y - EYE_Y) / EYE_RADIUS
    radius, angle = torch.sqrt(across * across + up * up), torch.atan2(up, across)
    vein = 0.5 + 0.5 * torch.sin(angle * 9 + radius * 14) * torch.sin(angle * 23)
    white = torch.stack(
        [0.60 - 0.06 * radius, 0.55 - 0.09 * radius - 0.02 * vein,
         0.52 - 0.10 * radius - 0.02 * vein], 1,
    )  # fmt: skip
    fibre = torch.sin(angle * 37 + 3 * torch.sin(angle * 11)) * torch.sin(angle * 61)
    shade = 0.75 + 0.25 * fibre + 0.25 * (radius - 0.25)
    shade = shade * (1 - 0.75 * ((radius - 0.34) / 0.1).clamp(0, 1))
    iris = _colour(skins, part, IRIS_RGB) * shade[:, None]
    coloured = _blend(white, iris, ((0.475 - radius) / 0.05).clamp(0, 1))
    coloured = _blend(
        coloured, torch.full_like(coloured, 0.004), ((0.19 - radius) / 0.04).clamp(0, 1)
    )
    return _finish(
        part,
        torch.where((z > EYE_Z)[:, None], coloured, white),
        openness=part.attributes[:, OPENNESS] * 0.9 + 0.05,
        rough=0.12,
        mirror=0.035,
    )


def _teeth(part: Surface, skins: Skins, shine: torch.Tensor) -> Finish:
    inside = 0.25 + 0.75 * ((part.rest[:, 2] - 0.95) / 0.45).clamp(0, 1)
    return _finish(
        part,
        _plain(part, 0.62, 0.56, 0.45),
        openness=part.attributes[:, OPENNESS] * inside,
        rough=0.2,
        gloss=0.8,
    )


def _tongue(part: Surface, skins: Skins, shine: torch.Tensor) -> Finish:
    return _finish(
        part,
        _plain(part, 0.38, 0.13, 0.12),
        openness=part.attributes[:, OPENNESS] * 0.8,
        rough=0.3,
        gloss=0.7,
    )


def _lashes(part: Surface, skins: Skins, shine: torch.Tensor) -> Finish:
    return _finish(
        part,
        _colour(skins, part, HAIR_RGB) * 0.3,
        gloss=0.2,
    )


def _skin(part: Surface, skins: Skins, shine: torch.Tensor) -> Finish:
    """Bare skin with lips, and the shirt below the collar."""
    bare, shirt = _bare_skin(part, skins, shine), _shirt(part, skins)
    x, y, z = part.rest.unbind(1)
    spread = (x.abs() / 0.8).clamp(max=1.5)
    collar = 5.62 + 0.18 * spread * spread
    collar = collar + torch.where(z > 0.3, -0.10, 0.25 * (0.3 - z).clamp(0, 1))
    dressed = y < collar
    weave = torch.where(y < collar - 0.06, 1.0, 0.7) * (0.96 + 0.04 * torch.sin(x * 55))
    wide = dressed[:, None]
    return _finish(
        part,
        torch.where(wide, shirt.colour * weave[:, None], bare.colour),
        normal=torch.where(wide, shirt.normal, bare.normal),
        openness=torch.where(dressed, shirt.openness, bare.openness),
        rough=torch.where(dressed, shirt.rough, bare.rough),
        gloss=torch.where(dressed, shirt.gloss, bare.gloss),
        wrap=torch.where(wide, torch.full_like(bare.colour, 0.1), _plain(part, 0.30, 0.12, 0.08)),
    )


def _shirt(part: Surface, skins: Skins) -> Finish:
    return _finish(
        part,
        _colour(skins, part, SHIRT_RGB),
        rough=0.8,
        gloss=0.3,
    )


def _bare_skin(part: Surface, skins: Skins, shine: torch.Tensor) -> Finish:
    painted = _look_up(skins, part)
    share = ((part.attributes[:, LIPS] - 0.25) / 0.5).clamp(0, 1)
    share = share * share * (3 - 2 * share) * 0.85
    colour = _blend(painted[:, :3], _colour(skins, part, LIP_RGB), share)
    inner = ((part.attributes[:, MOUTH] - 0.4) / 0.4).clamp(0, 1) * (1 - share)
    colour = _blend(colour, _plain(part, 0.22, 0.06, 0.055), inner)
    behind = 1 - ((part.rest[:, 2] - 0.85) / 0.5).clamp(0, 1)
    rim = part.attributes[:, RIM] * skins.rim[part.item]
    colour = colour * (1 - rim[:, None] * _plain(part, 0.55, 0.62, 0.62))
    # The bump map's slopes, in a tangent frame of a vertical cylinder.
    across, up = painted[:, _SLOPES].unbind(1)
    x, y, z = part.normal.unbind(1)
    length = torch.sqrt(z * z + x * x + 1e-6)
    tangent_x, tangent_z = z / length, -x / length
    bumped = torch.stack(
        [x - across * tangent_x - up * (y * tangent_z),
         y - up * (z * tangent_x - x * tangent_z),
         z - across * tangent_z - up * (-y * tangent_x)], 1,
    )  # fmt: skip
    return _finish(
        part,
        colour,
        normal=normalised(bumped),
        openness=part.attributes[:, OPENNESS] * (1 - inner * behind * 0.8),
        rough=0.48 - 0.14 * share,
        gloss=painted[:, _GLOSS] * shine[part.item],
    )


_FINISHES: dict[int, Callable[[Surface, Skins, torch.Tensor], Finish]] = {
    SKIN: _skin, EYE: _eyes, TEETH: _teeth, TONGUE: _tongue, LASHES: _lashes, HAIR: _hair,
}  # fmt: skip

PAINTED = frozenset(_FINISHES)
"""The materials that can be painted."""


def _look_up(skins: Skins, part: Surface) -> torch.Tensor:
    """(k, 7) the skin maps at a surface, bilinear."""
    _, height, width, channels = skins.layers.shape
    u, v = unroll(part.rest)
    x = (u * width - 0.5).clamp(0, width - 1.001)
    y = (v * height - 0.5).clamp(0, height - 1.001)
    column, row = x.to(torch.int64), y.to(torch.int64)
    right, down = (x - column)[:, None], (y - row)[:, None]
    table = skins.layers.view(-1, channels)
    corner = (skins.worn[part.item] * height + row) * width + column
    top = table[corner] * (1 - right) + table[corner + 1] * right
    bottom = table[corner + width] * (1 - right) + table[corner + width + 1] * right
    return top * (1 - down) + bottom * down


def _colour(skins: Skins, part: Surface, first: int) -> torch.Tensor:
    return skins.colours[part.item, first : first + 3]


def _plain(part: Surface, red: float, green: float, blue: float) -> torch.Tensor:
    """(3,) one colour."""
    return torch.tensor([red, green, blue], device=part.item.device).expand(len(part.item), 3)


def _blend(one: torch.Tensor, other: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    return one + (other - one) * share[:, None]
