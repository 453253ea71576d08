"""Draws many looks at once with PyTorch, on a graphics card or a processor."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from mien.live_view import LIVE_SIZE

from .figure.anatomy import F32
from .figure.batch_finish import PAINTED, Skins, Surface
from .figure.batch_posing import Normals, along, express, project, turn
from .figure.batch_rasteriser import Cut, Seen, depth_maps, rasterise
from .figure.batch_shading import Lights, Shadows, look_at, shade
from .figure.shading import LIPS, MOUTH, RIM
from .figure.studio import axes_along
from .stage import SHADOW_SIZE, SHADOW_SPAN, SUPERSAMPLING, Actor, Anatomy, Costumed, Look, rim_of
from .worn_face import FaceShot

_Item = TypeVar("_Item")
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

# Figures drawn at once: a processor gains nothing from more. Fixed, because what free memory
# decides would not repeat itself.
_FIGURES = {"cpu": 4, "cuda": 16}
# Skin maps of a person take 25 MB.
_PEOPLE_KEPT, _COSTUMES_KEPT, _TOPOLOGIES_KEPT = 64, 64, 4


@dataclass(frozen=True, slots=True)
class _Topology:
    """What all costumes of a performer share, on the device."""

    cut: Cut
    normals: Normals
    material: torch.Tensor
    level: torch.Tensor
    casting: torch.Tensor
    follows: torch.Tensor
    displacements: torch.Tensor
    marks: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Costume:
    """A costume at rest, on the device: (n, ...) of the head, (N, ...) with the hair."""

    head: torch.Tensor
    hair: torch.Tensor
    hair_normals: torch.Tensor
    rest: torch.Tensor
    closed: torch.Tensor
    opened: torch.Tensor
    mix: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Posed:
    """A batch, posed and lit: (B, N, ...)."""

    topology: _Topology
    vertices: torch.Tensor
    normals: torch.Tensor
    rest: torch.Tensor
    attributes: torch.Tensor
    mix: torch.Tensor
    eye_point: torch.Tensor
    axes: torch.Tensor
    focal: torch.Tensor
    lights: Lights
    shadows: Shadows


class BatchDrawer:
    """Draws with PyTorch; see :class:`.drawing.Drawer`. Belongs to one thread.

    The same calls give the same bits on the same machine. Divided into other batches, pictures
    differ by rounding.

    Args:
        device: ``cpu`` or ``cuda``.
        figures: drawn at once; by default what suits the device.
    """

    def __init__(self, device: str, figures: int | None = None) -> None:
        self._device = torch.device(device)
        self._figures = figures or _FIGURES[self._device.type]
        where = "the processor"
        if self._device.type == "cuda":
            where = torch.cuda.get_device_name(self._device)
        self.name = f"PyTorch on {where}"
        self._topologies: _Kept[Actor, _Topology] = _Kept(_TOPOLOGIES_KEPT)
        self._costumes: _Kept[Costumed, _Costume] = _Kept(_COSTUMES_KEPT)
        self._people: _Kept[Actor, torch.Tensor] = _Kept(_PEOPLE_KEPT)
        self._units: _Kept[Anatomy, torch.Tensor] = _Kept(1)

    def draw(self, costumed: Costumed, looks: Sequence[Look]) -> Iterator[tuple[F32, F32]]:
        """See :class:`.drawing.Drawer`.

        Raises:
            ValueError: the backdrops are not of one size, or a material has no finish.
        """
        if len({look.backdrop.shape for look in looks}) > 1:
            raise ValueError("expected backdrops of one size; draw other sizes on their own")
        for batch in self._batches(looks):
            yield from self._draw(costumed, batch)

    def draw_faces(self, shots: Sequence[FaceShot], frame_size: int) -> Iterator[tuple[F32, F32]]:
        """See :class:`.drawing.Drawer`.

        Raises:
            ValueError: the faces are not on one performer, or a material has no finish.
        """
        if len({id(shot.worn.actor) for shot in shots}) > 1:
            raise ValueError("expected faces on one performer; draw other performers on their own")
        for batch in self._batches(shots):
            yield from self._draw_faces(batch, frame_size)

    def _batches(self, items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
        for start in range(0, len(items), self._figures):
            yield items[start : start + self._figures]

    @torch.inference_mode()
    def _draw(self, costumed: Costumed, looks: Sequence[Look]) -> list[tuple[F32, F32]]:
        size = len(looks[0].backdrop)
        side = size * SUPERSAMPLING
        posed = self._pose([costumed] * len(looks), looks)
        points = project(posed.vertices, posed.eye_point, posed.axes, posed.focal, side)
        seen = rasterise(points, posed.topology.cut, side)
        surface = _surface(seen, posed)
        backdrops = self._up(np.stack([look.backdrop for look in looks]))
        skins = self._skins([costumed] * len(looks), [costumed.actor] * len(looks))
        linear = _compose(shade(surface, skins, posed.lights), seen.pixel, backdrops)
        share = torch.zeros(backdrops.shape[:3], device=self._device)
        if costumed.other is not None:
            share = _share(seen, posed, len(looks) * side * side).view(-1, side, side)
            share = _shrunk(share[..., None])[..., 0]
            # Only where the other is seen, pixel by pixel.
            worn = torch.nonzero(share.flatten()[_pixel_of(seen.pixel, side)] > 0)[:, 0]
            skins = self._skins([costumed] * len(looks), [costumed.other] * len(looks))
            other = shade(surface.where(worn), skins, posed.lights)
            swapped = _compose(other, seen.pixel[worn], backdrops)
            linear = linear + (swapped - linear) * share[..., None]
        return _pictures(linear, share)

    @torch.inference_mode()
    def _draw_faces(self, shots: Sequence[FaceShot], frame_size: int) -> list[tuple[F32, F32]]:
        side = LIVE_SIZE * SUPERSAMPLING
        worn = [shot.worn for shot in shots]
        posed = self._pose(worn, [shot.look for shot in shots])
        points = project(posed.vertices, posed.eye_point, posed.axes, posed.focal, frame_size)
        crops = self._up(np.stack([shot.crop for shot in shots]))[:, None]
        # The camera's pixel centres lie at .5, the crop's at integers.
        x, y = points[..., 0] - 0.5, points[..., 1] - 0.5
        moved = [
            (x * crops[..., k, 0] + y * crops[..., k, 1] + crops[..., k, 2] + 0.5) * SUPERSAMPLING
            for k in range(2)
        ]
        seen = rasterise(torch.stack([*moved, points[..., 2]], -1), posed.topology.cut, side)
        share = _share(seen, posed, len(shots) * side * side)
        seen = seen.where(share[seen.pixel] > 0)
        skins = self._skins(worn, [face.face for face in worn])
        black = torch.zeros(len(shots), LIVE_SIZE, LIVE_SIZE, 3, device=self._device)
        linear = _compose(shade(_surface(seen, posed), skins, posed.lights), seen.pixel, black)
        # Colour of the samples that show the face, not darkened by those that do not.
        shown = torch.zeros_like(share)
        shown[seen.pixel] = 1
        linear = linear / _shrunk(shown.view(-1, side, side, 1)).clamp(min=1e-3)
        return _pictures(linear, _shrunk(share.view(-1, side, side, 1))[..., 0])

    def _pose(self, costumes: Sequence[Costumed], looks: Sequence[Look]) -> _Posed:
        first = costumes[0]
        topology = self._topologies.get(first.actor, lambda _actor: self._topology(first))
        worn = [self._costumes.get(one, self._costume) for one in costumes]
        strengths = self._up(np.stack([look.strengths for look in looks]))
        angles = self._up(np.radians(np.stack([look.angles_deg for look in looks])))
        head = express(torch.stack([one.head for one in worn]), strengths, topology.displacements)
        normals = torch.cat(
            [topology.normals(head), torch.stack([one.hair_normals for one in worn])], 1
        )
        pivot = self._up(first.actor.pivot)
        everything = torch.cat([head, torch.stack([one.hair for one in worn])], 1) - pivot
        vertices = turn(everything, angles, topology.follows) + pivot
        jaw = self._up([first.jaw(look) for look in looks])[:, None]
        openness = torch.stack([one.closed for one in worn]) * (1 - jaw)
        openness += torch.stack([one.opened for one in worn]) * jaw
        marks = topology.marks.expand(len(looks), -1, -1)
        lights = self._lights(looks)
        return _Posed(
            topology=topology,
            vertices=vertices,
            normals=turn(normals, angles, topology.follows),
            rest=torch.stack([one.rest for one in worn]),
            attributes=torch.cat([openness[..., None], marks], 2),
            mix=torch.stack([one.mix for one in worn]),
            eye_point=self._up(np.stack([look.camera.position for look in looks])),
            axes=self._up(np.stack([look.camera.axes for look in looks])),
            focal=self._up([look.camera.focal for look in looks]),
            lights=lights,
            shadows=self._cast_shadows(first, topology, vertices, looks),
        )

    def _cast_shadows(
        self, costumed: Costumed, topology: _Topology, vertices: torch.Tensor, looks: Sequence[Look]
    ) -> Shadows:
        axes = self._up(np.stack([axes_along(look.light.key_direction) for look in looks]))
        centre = self._up(costumed.shadow_centre).expand(len(looks), 3)
        scale = SHADOW_SIZE / SHADOW_SPAN
        seen = along(vertices - centre[:, None], axes[:, None])
        seen = torch.cat([seen[..., :2] * scale + SHADOW_SIZE / 2, seen[..., 2:]], 2)
        maps = depth_maps(seen, topology.casting, SHADOW_SIZE)
        return Shadows(maps=maps, axes=axes, centre=centre, scale=scale)

    def _lights(self, looks: Sequence[Look]) -> Lights:
        return Lights(
            **{
                name: self._up(np.stack([getattr(look.light, name) for look in looks]))
                for name in ("key_direction", "key", "fill_direction", "fill", "sky", "ground")
            },
            shine=self._up([look.light.shine for look in looks]),
        )

    def _skins(self, costumes: Sequence[Costumed], skins: Sequence[Actor]) -> Skins:
        people = {id(skin): skin for skin in skins}
        places = {key: place for place, key in enumerate(people)}
        layers = [
            self._people.get(one, lambda someone: self._up(someone.maps.layers))
            for one in people.values()
        ]
        return Skins(
            # One person's maps are taken as they are: a stack would be a copy.
            layers=layers[0][None] if len(layers) == 1 else torch.stack(layers),
            colours=self._up(
                np.stack([one.colours(skin) for one, skin in zip(costumes, skins, strict=True)])
            ),
            rim=self._up([rim_of(skin) for skin in skins]),
            worn=torch.tensor([places[id(skin)] for skin in skins], device=self._device),
        )

    def _topology(self, costumed: Costumed) -> _Topology:
        anatomy, head = costumed.anatomy, costumed.anatomy.head
        unknown = set(np.unique(costumed.materials).tolist()) - PAINTED
        if unknown:
            raise ValueError(f"expected materials of {sorted(PAINTED)}, got {sorted(unknown)}")
        marks = np.zeros((len(costumed.rest), 3), np.float32)
        for place, values in (
            (LIPS, head.masks["lips"]), (MOUTH, head.masks["inside-mouth"]), (RIM, head.lid_rim),
        ):  # fmt: skip
            marks[: head.count, place - 1] = values
        cut = Cut(
            costumed.triangles, costumed.levels, costumed.rest, costumed.actor.maps.strands,
            self._device,
        )  # fmt: skip
        return _Topology(
            cut=cut,
            normals=Normals(head.triangles, head.count, self._device),
            material=torch.from_numpy(costumed.materials.astype(np.int64)).to(self._device),
            level=cut.level,
            casting=cut.triangles[torch.from_numpy(costumed.casts).to(self._device)],
            follows=self._up(costumed.follows),
            displacements=self._units.get(anatomy, lambda shared: self._up(shared.displacements)),
            marks=self._up(marks),
        )

    def _costume(self, costumed: Costumed) -> _Costume:
        hair = costumed.hair
        mix = np.zeros(len(costumed.rest), np.float32)
        mix[: len(costumed.mix)] = costumed.mix
        closed, opened = (
            self._up(np.concatenate([state, *(tress.openness for tress in hair)]))
            for state in costumed.openness
        )
        return _Costume(
            head=self._up(costumed.vertices),
            hair=self._up(np.concatenate([tress.vertices for tress in hair])),
            hair_normals=self._up(np.concatenate([tress.normals for tress in hair])),
            rest=self._up(costumed.rest),
            closed=closed,
            opened=opened,
            mix=self._up(mix),
        )

    def _up(self, values: F32 | Sequence[float]) -> torch.Tensor:
        """On the device, in single precision."""
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self._device)


class _Kept(Generic[_Key, _Value]):
    """What was made for the latest keys; keys are held on to, so that their ids stay theirs.

    Args:
        limit: how many are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._made: OrderedDict[int, tuple[_Key, _Value]] = OrderedDict()

    def get(self, key: _Key, make: Callable[[_Key], _Value]) -> _Value:
        """What was made for the key, or is made now."""
        if id(key) not in self._made:
            self._made[id(key)] = (key, make(key))
            if len(self._made) > self._limit:
                self._made.popitem(last=False)
        self._made.move_to_end(id(key))
        return self._made[id(key)][1]


def _surface(seen: Seen, posed: _Posed) -> Surface:
    topology = posed.topology
    return look_at(
        seen,
        triangles=topology.cut.triangles,
        material=topology.material,
        level=topology.level,
        vertices=posed.vertices,
        normals=posed.normals,
        rest=posed.rest,
        attributes=posed.attributes,
        eye_point=posed.eye_point,
        shadows=posed.shadows,
    )


def _share(seen: Seen, posed: _Posed, samples: int) -> torch.Tensor:
    """(samples,) 0..1, how much of each sample is the other person's."""
    share = torch.zeros(samples, device=posed.mix.device)
    share[seen.pixel] = seen.interpolate(posed.mix[..., None], posed.topology.cut.triangles)[:, 0]
    return share


def _pixel_of(sample: torch.Tensor, side: int) -> torch.Tensor:
    """Number of the pixel that each sample is in, both among all of a batch."""
    row = torch.div(sample, side, rounding_mode="floor")
    x = torch.div(sample - row * side, SUPERSAMPLING, rounding_mode="floor")
    return torch.div(row, SUPERSAMPLING, rounding_mode="floor") * (side // SUPERSAMPLING) + x


def _shrunk(samples: torch.Tensor) -> torch.Tensor:
    """(B, S, S, C) means over the samples of each pixel."""
    batch, side, _, channels = samples.shape
    size = side // SUPERSAMPLING
    return samples.view(batch, size, SUPERSAMPLING, size, SUPERSAMPLING, channels).mean((2, 4))


def _compose(rgb: torch.Tensor, sample: torch.Tensor, backdrops: torch.Tensor) -> torch.Tensor:
    """(B, S, S, 3) what is seen at some samples, before backdrops (B, S, S, 3)."""
    batch, side = len(backdrops), backdrops.shape[1] * SUPERSAMPLING
    samples = torch.zeros(batch * side * side, 4, device=rgb.device)
    samples[sample, :3] = rgb
    samples[sample, 3] = 1
    small = _shrunk(samples.view(batch, side, side, 4))
    return small[..., :3] + backdrops * (1 - small[..., 3:])


def _pictures(linear: torch.Tensor, share: torch.Tensor) -> list[tuple[F32, F32]]:
    """On the processor, picture by picture."""
    return list(zip(linear.cpu().numpy(), share.cpu().numpy(), strict=True))
