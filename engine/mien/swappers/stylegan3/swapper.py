"""Draws a persona with a generator that was trained on it: StyleGAN3, live.

What the performer does goes in as numbers (landmarks less the performer's own neutral face,
gaze, pose, light), who the persona is as a latent, and where the head and the parts of its
face lie in the crop as the places at which the generator's input is sampled. What comes out is
a head and its matte, which goes back to where the crop was.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mien.config import PipelineConfig
from mien.errors import DeviceError, MienError, PersonaError
from mien.face_light import colour_reach, mean_skin, skin_weights, vertex_colours
from mien.live_view import LATENT_SIZE, input_transform, observe_driver
from mien.live_warp import input_grid
from mien.look import Blend
from mien.personas.persona import Persona
from mien.refiner_view import crop_from_frame, frame_from_crop
from mien.swappers.mesh.performer import PerformerModel
from mien.swappers.stylegan3.networks import LiveFiles, LiveNetworks, shipped_folder
from mien.swappers.stylegan3.on_gpu import difference, laid, open_heads, probe
from mien.swappers.stylegan3.placing import Placer, scaled_side
from mien.swappers.stylegan3.tuned import tuned_generator
from mien.swappers.stylegan3.wearing import (
    Wearing,
    mean_latent,
    morph,
    rows_of,
    toward,
    wear,
    with_fine,
)
from mien.swappers.stylegan3.window import Window
from mien.types import F32Array, FaceTrack, Frame, Patch

if TYPE_CHECKING:
    from mien.gpu import SharedFrame, Tone

logger = logging.getLogger(__name__)

_MOST_PERFORMERS = 16

# Share of the newest skin tone, while the same persona is drawn; the gain's bounds.
_NEWEST_TONE = 0.15
_MOST_GAIN = 2.5


@dataclass(slots=True)
class _Seat:
    """One performer, over time."""

    window: Window
    performer: PerformerModel = field(default_factory=PerformerModel)
    frame: tuple[int, int] = (-1, -1)
    condition: F32Array = field(default_factory=lambda: np.zeros(0, np.float32))
    crop: F32Array = field(default_factory=lambda: np.zeros((2, 3), np.float32))
    ratio: F32Array | None = None
    drawn: F32Array = field(default_factory=lambda: np.zeros((0, LATENT_SIZE), np.float32))


class StyleGAN3Swapper:
    """The personas that the shipped generator knows, and those with a latent of their own.

    ``swap`` and ``mix`` belong to one thread; ``prepare`` and ``set_likeness`` may be called
    from any. Patches are views into buffers that the next ``swap`` overwrites.

    Args:
        config: the engine's settings.
        live: the networks' files; those that ship by default.

    Raises:
        ModelError: a file is missing, damaged or of another version.
    """

    name = "stylegan3"

    mixes = ("morph",)
    """What :meth:`mix` can do; the rest is for whoever draws two patches."""

    def __init__(self, config: PipelineConfig, live: LiveFiles | None = None) -> None:
        self._config = config.stylegan3
        self._live = live or LiveFiles(folder=shipped_folder())
        self._cast = self._live.latents()
        self._mean = mean_latent(list(self._cast.values()))
        self._key = self._live.key()
        self._networks = LiveNetworks(
            self._live, device=config.device, threads=config.tracker.threads
        )
        self._networks.warm_up()
        self._placer = Placer(self._networks.size)
        self._seats: dict[int, _Seat] = {}
        self._likeness = self._config.likeness
        self._lock = threading.Lock()
        self._heads, self._apart_because = open_heads(self._live, self._networks)
        self._check_heads()
        self._networks.settle()

    @property
    def where(self) -> list[str]:
        """What runs where, and why, in lines for people."""
        if self._heads is not None and not self._networks.lost:
            return [self._heads.line]
        apart = f"; placing and blending on the CPU: {self._apart_because}"
        return [self._networks.where + (apart if self._apart_because else "")]

    @property
    def gpu_ms(self) -> float:
        """What the GPU has worked on heads so far, by its own clock; 0 where it does not."""
        return self._heads.gpu_ms if self._heads is not None else 0.0

    def lend(self, frame: SharedFrame) -> None:
        """Draws from pixels that are on the GPU already, where heads are drawn on that one."""
        if self._heads is not None:
            self._heads.lend(frame)

    def prepare(self, persona: Persona) -> Wearing:
        """The persona, ready to be drawn.

        Raises:
            PersonaError: it has no latent for this generator, or an unfit one.
            MissingError: it has layers of its own, and the package onnx, which makes the
                first file of them, is not installed.
        """
        rows = rows_of(persona, self._key, self._cast)
        tuning = persona.tunings.get(self._key)
        name = ""
        if tuning is not None:
            path = tuned_generator(self._live, persona, tuning)
            name = path.stem
            self._networks.add(name, path)
            if self._heads is not None and not self._networks.lost:
                self._add_to_heads(name)
            self._networks.settle()
        try:
            return wear(rows, self._networks.layers, name)
        except ValueError as error:
            raise PersonaError(
                f"the latent of {persona.name} is not for this generator: {error}",
                f"make it anew: mien persona latent {persona.name}",
            ) from error

    def prepare_mixed(self, persona: Persona, fine: Persona) -> Wearing:
        """Style mixing: the shape of one persona in the skin of another.

        Raises:
            PersonaError: one of them has no latent for this generator, or an unfit one.
        """
        layers = self._networks.layers
        coarse, skin = (rows_of(who, self._key, self._cast) for who in (persona, fine))
        try:
            return wear(with_fine(coarse, skin, layers), layers)
        except ValueError as error:
            raise PersonaError(
                f"{persona.name} and {fine.name} cannot be mixed: {error}",
                "make their latents anew: mien persona latent NAME",
            ) from error

    def set_likeness(self, likeness: float) -> None:
        """How much of the persona is worn, 0..1, from the next frame.

        At 0 it is nobody in particular: the mean of the cast. This swapper draws whole
        heads and cannot draw the performer's.
        """
        with self._lock:
            self._likeness = likeness

    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch:
        """Draws the persona on one face.

        Args:
            frame: the frame; not painted into.
            track: the face.
            state: what ``prepare``, ``mix`` or ``with_dials`` returned.

        Raises:
            TypeError: ``state`` was prepared by another swapper.
            FloatingPointError: the generator failed.
            DeviceError: the GPU failed; the next face is drawn on the CPU.
        """
        wearing = _wearing(state)
        if wearing is None:
            raise TypeError("the performer's own face is not drawn")
        seat = self._seat(frame, track)
        wearing = toward(wearing, self._mean, self._likeness)
        if self._goes_at_once(wearing, track):
            return self._drawn_at_once(frame, track, seat, wearing)
        return self._drawn_apart(frame, track, seat, wearing)

    def mix(
        self, base: object, top: object, blend: Blend, track: FaceTrack, *, keep: bool = False
    ) -> Wearing:
        """Two personas as one head: shape first, skin later.

        Args:
            base, top: what ``prepare`` or ``mix`` returned; None is the performer's own face.
            blend: how much; its names are not looked at.
            track: not looked at.
            keep: not looked at; a result may always be kept.

        Raises:
            ValueError: a blend of another kind than :attr:`mixes` says.
        """
        del track, keep
        if blend.how not in self.mixes:
            raise ValueError(f"this swapper mixes by {', '.join(self.mixes)}, not {blend.how}")
        return morph(_wearing(base), _wearing(top), blend.amount, blend.skin)

    def with_dials(self, state: object, *, likeness: float, iris: float) -> Wearing:
        """The same with less of the persona; there is no dial for the irises alone."""
        del iris
        wearing = _wearing(state)
        if wearing is None:
            raise TypeError("the performer's own face has no dials")
        return toward(wearing, self._mean, likeness)

    def close(self) -> None:
        """Forgets all performers and closes the networks."""
        self._seats.clear()
        if self._heads is not None:
            self._heads.close()
        self._networks.close()

    def _seat(self, frame: Frame, track: FaceTrack) -> _Seat:
        """The performer, once this frame was looked at; once only, if drawn twice."""
        seat = self._seats.get(track.track_id)
        if seat is None:
            if len(self._seats) >= _MOST_PERFORMERS:
                self._seats.pop(next(iter(self._seats)))
            seat = self._seats[track.track_id] = _Seat(Window(self._networks.size))
        now = (frame.index, frame.pts_ns)
        if seat.frame == now:
            return seat
        if track.age == 0:
            seat.window.forget()
            seat.performer.forget_light()
        seat.frame = now
        self._observe(frame, track, seat)
        return seat

    def _observe(self, frame: Frame, track: FaceTrack, seat: _Seat) -> None:
        seat.condition = observe_driver(frame.bgr, track, seat.performer)
        seat.crop = seat.window.follow(crop_from_frame(track.landmarks, self._networks.size))

    def _drawn_apart(self, frame: Frame, track: FaceTrack, seat: _Seat, wearing: Wearing) -> Patch:
        """A patch that is yet to be blended: networks first, then everything else on the CPU."""
        image = self._draw(seat, track, wearing)
        gain = self._gain(frame, track, seat, wearing, image)
        picture = self._placer.picture(image, gain, wearing.opacity)
        return self._placer.place(picture, frame_from_crop(seat.crop), frame)

    def _goes_at_once(self, wearing: Wearing, track: FaceTrack) -> bool:
        """Whether networks, placing and blending are one piece of work on a GPU."""
        heads = self._heads
        if heads is None or self._networks.lost:
            return False
        (name, _), *others = wearing.generators
        return not others and heads.can(name, len(wearing.latents), track.softening_px)

    def _drawn_at_once(
        self, frame: Frame, track: FaceTrack, seat: _Seat, wearing: Wearing
    ) -> Patch:
        """A patch that a GPU has blended already."""
        from mien.gpu import Head

        assert self._heads is not None
        way = frame_from_crop(seat.crop)
        head = Head(
            condition=seat.condition,
            latents=wearing.latents,
            shares=wearing.shares,
            place=self._grid(seat, track),
            frame_from_crop=way,
            side=scaled_side(self._networks.size, way),
            opacity=wearing.opacity,
            tone=self._tone(frame, track, seat, wearing),
            generator=wearing.generators[0][0],
        )
        try:
            patch, ratio = self._heads.draw(head, frame, track.softening_px)
        except DeviceError as error:
            self._networks.lose(error.what)
            raise
        if self._config.tone < 1.0:
            seat.ratio, seat.drawn = ratio, wearing.latents
        return patch

    def _check_heads(self) -> None:
        """Draws one head both ways; a GPU whose picture is another is not taken."""
        if self._heads is None:
            return
        frame, track = probe()
        wearing = wear(next(iter(self._cast.values()))[None], self._networks.layers)
        pictures = []
        try:
            for draw in (self._drawn_apart, self._drawn_at_once):
                seat = _Seat(Window(self._networks.size))
                self._observe(frame, track, seat)
                pictures.append(laid(frame, draw(frame, track, seat, wearing), track))
            self._apart_because = difference(*pictures)
        except (MienError, FloatingPointError) as error:
            self._apart_because = str(getattr(error, "what", error))
        if self._apart_because:
            self._heads.close()
            self._heads = None

    def _add_to_heads(self, name: str) -> None:
        """Has a persona's own generator draw at once too, if it can."""
        assert self._heads is not None
        try:
            self._heads.add(name, self._networks.runner(name))
        except MienError as error:
            logger.warning("%s; this persona is placed on the CPU", error.what)

    def _draw(self, seat: _Seat, track: FaceTrack, wearing: Wearing) -> F32Array:
        """(4, S, S) float32, by every generator that has a share in it."""
        rows = self._rows(seat.condition, wearing)
        grid = self._grid(seat, track)
        (name, share), *others = wearing.generators
        image = self._networks.draw(rows, grid, name)
        if not others:
            return image
        mixed = image * np.float32(share)
        for name, share in others:
            mixed += self._networks.draw(rows, grid, name) * np.float32(share)
        return mixed

    def _grid(self, seat: _Seat, track: FaceTrack) -> F32Array:
        """What the generator is told of where the head lies."""
        transform = input_transform(seat.crop, track.pose, self._networks.size)
        return input_grid(seat.condition, transform)

    def _rows(self, condition: F32Array, wearing: Wearing) -> F32Array:
        """(1, layers, 256) float32: what every layer is told."""
        w = np.empty((len(wearing.latents), LATENT_SIZE), np.float32)
        for row, latent in zip(w, wearing.latents, strict=True):
            row[:] = self._networks.encode(condition, latent)
        return np.ascontiguousarray((wearing.shares @ w)[None], np.float32)

    def _gain(
        self, frame: Frame, track: FaceTrack, seat: _Seat, wearing: Wearing, image: F32Array
    ) -> F32Array:
        """(3,) float32: from the drawn skin's tone towards the performer's."""
        share = np.float32(1.0 - self._config.tone)
        if share <= 0.0:
            return np.ones(3, np.float32)
        picture = np.clip(image[:3] * np.float32(255.0), 0.0, 255.0).astype(np.uint8)
        placed, scale, normals = self._skin_in_crop(track, seat)
        # Both under the same light and from the same side, so that their ratio is steady.
        drawn = mean_skin(
            vertex_colours(np.ascontiguousarray(picture.transpose(1, 2, 0)), placed, scale),
            normals,
        )
        own = mean_skin(vertex_colours(frame.bgr, track.landmarks, track.pose.scale), normals)
        ratio = np.clip(np.maximum(own, 4.0) / np.maximum(drawn, 4.0), 1 / _MOST_GAIN, _MOST_GAIN)
        if seat.ratio is None or not np.array_equal(seat.drawn, wearing.latents):
            seat.ratio, seat.drawn = ratio, wearing.latents
        seat.ratio = seat.ratio + (ratio - seat.ratio) * np.float32(_NEWEST_TONE)
        return np.asarray(seat.ratio**share, np.float32)

    def _tone(self, frame: Frame, track: FaceTrack, seat: _Seat, wearing: Wearing) -> Tone:
        """What :meth:`_gain` is made from, for whoever has the picture elsewhere."""
        from mien.gpu import Tone

        placed, scale, normals = self._skin_in_crop(track, seat)
        weights = skin_weights(normals)
        same = seat.ratio is not None and np.array_equal(seat.drawn, wearing.latents)
        return Tone(
            points=np.ascontiguousarray(placed[: len(weights), :2]),
            weights=np.asarray(weights / weights.sum(), np.float32),
            reach=colour_reach(scale),
            own=mean_skin(vertex_colours(frame.bgr, track.landmarks, track.pose.scale), normals),
            ratio=seat.ratio if same else None,
            newest=_NEWEST_TONE,
            most=_MOST_GAIN,
            share=max(1.0 - self._config.tone, 0.0),
        )

    def _skin_in_crop(self, track: FaceTrack, seat: _Seat) -> tuple[F32Array, float, F32Array]:
        """The landmarks in the crop, its pixels a centimetre (not too few), and the normals."""
        points = track.landmarks[:, :2] @ seat.crop[:, :2].T + seat.crop[:, 2]
        placed = np.concatenate([points, track.landmarks[:, 2:]], axis=1).astype(np.float32)
        scale = track.pose.scale * float(np.hypot(*seat.crop[:, 0]))
        normals = seat.performer.normals @ track.pose.rotation.T
        return placed, max(scale, self._networks.size / 64.0), normals


def _wearing(state: object) -> Wearing | None:
    if state is not None and not isinstance(state, Wearing):
        raise TypeError(f"expected a state that StyleGAN3Swapper.prepare made, got {type(state)}")
    return state
