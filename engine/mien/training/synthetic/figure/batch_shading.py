"""Light on skin, eyes, teeth, hair and cloth, all samples of a batch at once, with PyTorch.

The formulas, and their sources, are :mod:`.shading`'s, which works one sample at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .anatomy import HAIR, SKIN
from .batch_finish import Finish, Skins, Surface, finished
from .batch_posing import along, dot, normalised
from .batch_rasteriser import Seen

_SHADOW_BIAS, _SHADOW_FALL, _SHADOW_STEP = 0.03, 25.0, 3.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Lights:
    """The light of each picture: (B, 3) each, and the skin's ``shine`` (B,)."""

    key_direction: torch.Tensor
    key: torch.Tensor
    fill_direction: torch.Tensor
    fill: torch.Tensor
    sky: torch.Tensor
    ground: torch.Tensor
    shine: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadows:
    """Depth seen from each key light.

    Attributes:
        maps: (B, S, S).
        axes: (B, 3, 3) right, up and the light's direction, as rows.
        centre: (B, 3), the middle of the map.
        scale: texels a decimetre.
    """

    maps: torch.Tensor
    axes: torch.Tensor
    centre: torch.Tensor
    scale: float


def look_at(
    seen: Seen,
    *,
    triangles: torch.Tensor,
    material: torch.Tensor,
    level: torch.Tensor,
    vertices: torch.Tensor,
    normals: torch.Tensor,
    rest: torch.Tensor,
    attributes: torch.Tensor,
    eye_point: torch.Tensor,
    shadows: Shadows,
) -> Surface:
    """The surface at what is seen.

    Args:
        seen: m samples.
        triangles, material, level: (t, 3) and (t,), shared by the batch.
        vertices, normals: (B, n, 3), posed.
        rest: (B, n, 3).
        attributes: (B, n, 4).
        eye_point: (B, 3), the cameras.
        shadows: of the key lights.
    """
    table = torch.cat([vertices, normals, rest, attributes], 2)
    values = seen.interpolate(table, triangles)
    position, normal = values[:, :3], normalised(values[:, 3:6])
    view = normalised(eye_point[seen.item] - position)
    kind = material[seen.triangle]
    away = (dot(normal, view) < 0) & ((kind == SKIN) | (kind == HAIR))
    return Surface(
        item=seen.item,
        material=kind,
        level=level[seen.triangle],
        normal=torch.where(away[:, None], -normal, normal),
        view=view,
        rest=values[:, 6:9],
        attributes=values[:, 9:],
        lit=_lit_share(position, seen.item, shadows),
    )


def shade(surface: Surface, skins: Skins, lights: Lights) -> torch.Tensor:
    """(m, 3) linear RGB of a surface."""
    return _light_up(surface, finished(surface, skins, lights.shine), lights)


def _lit_share(position: torch.Tensor, item: torch.Tensor, shadows: Shadows) -> torch.Tensor:
    """0..1 of the key light that arrives, averaged over 16 samples of the shadow map."""
    size = shadows.maps.shape[1]
    at = along(position - shadows.centre[item], shadows.axes[item])
    table, first = shadows.maps.view(-1), item * (size * size)
    total = torch.zeros_like(at[:, 0])
    offsets = [(tap - 1.5) * _SHADOW_STEP for tap in range(4)]
    places = at[:, :2] * shadows.scale + size / 2
    columns = [(places[:, 0] + offset).to(torch.int64) for offset in offsets]
    for down in offsets:
        row = (places[:, 1] + down).to(torch.int64)
        for column in columns:
            outside = (row < 0) | (column < 0) | (row >= size) | (column >= size)
            texel = first + row.clamp(0, size - 1) * size + column.clamp(0, size - 1)
            above = table[texel] - at[:, 2] - _SHADOW_BIAS
            total += torch.where(outside, 1.0, (1 - above * _SHADOW_FALL).clamp(0, 1))
    return total / 16


def _light_up(surface: Surface, finish: Finish, lights: Lights) -> torch.Tensor:
    item, lit, normal = surface.item, surface.lit, finish.normal
    of_skin = surface.material == SKIN
    key, fill, sky, ground = (
        lamp[item] for lamp in (lights.key, lights.fill, lights.sky, lights.ground)
    )
    key_direction, fill_direction = lights.key_direction[item], lights.fill_direction[item]
    # Red light scatters furthest under the skin: softer shadows, lighter hollows.
    lit_rgb = torch.stack([torch.where(of_skin, lit**0.75, lit), lit, lit], 1)
    openness = finish.openness
    open_rgb = torch.stack([openness.clamp(min=0) ** 0.8, openness, openness], 1)
    filled = ((dot(normal, fill_direction) + 0.3) / 1.3).clamp(min=0)[:, None]
    up = (0.5 + 0.5 * normal[:, 1])[:, None]
    wrap = finish.wrap
    wrapped = ((dot(normal, key_direction)[:, None] + wrap) / (1 + wrap)).clamp(min=0)
    arriving = key * wrapped * lit_rgb + open_rgb * (sky * up + ground * (1 - up) + fill * filled)
    facing = dot(normal, surface.view).clamp(min=0.02)
    limit = torch.where(of_skin, 0.5, 6.0)
    rough, gloss, mirror = finish.rough, finish.gloss, finish.mirror
    shines = []
    for direction, arrives in ((key_direction, lit), (fill_direction, openness)):
        spot = _highlight(normal, surface.view, direction, rough, mirror, facing)
        shines.append((torch.minimum(gloss * spot, limit) * arrives)[:, None])
    edge = torch.where(surface.material == HAIR, 0.05, 0.12)
    rest = (mirror + edge * (1 - facing) ** 5) * gloss * openness * (1 - rough * 0.7)
    reflected = shines[0] * key + shines[1] * fill + rest[:, None] * sky
    return finish.colour * arriving + reflected


def _highlight(
    normal: torch.Tensor,
    view: torch.Tensor,
    direction: torch.Tensor,
    rough: torch.Tensor,
    mirror: torch.Tensor,
    facing: torch.Tensor,
) -> torch.Tensor:
    """(m,) GGX with Schlick's Fresnel; nothing where the light is behind."""
    towards = dot(normal, direction)
    half = normalised(direction + view)
    square = rough**4
    spread = dot(normal, half).square() * (square - 1) + 1
    k = (rough + 1) ** 2 / 8
    masking = 1 / ((towards * (1 - k) + k) * (facing * (1 - k) + k) * 4)
    fresnel = mirror + (1 - mirror) * (1 - dot(view, half)) ** 5
    spot = square / spread.square() * masking * fresnel * towards
    return torch.where(towards > 0, spot, 0.0)
