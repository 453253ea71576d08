"""A stream's place on a GPU, and on the next one where that is lost."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.errors import DeviceError, GpuLostError, MienError
from mien.gpu.choice import Placement
from mien.gpu.load import Busy
from mien.gpu.rasteriser import FallingBack
from mien.gpu.shared_frame import SharedFrame
from mien.types import U8Array

if TYPE_CHECKING:
    from mien.gpu.fleet import Fleet

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlace:
    """Where a stream draws, for people and programs.

    Attributes:
        stream: its name.
        device: ``cpu`` or ``cuda:0 (NAME)``.
        reason: why there.
        busy_share: 0..1, how much of the last seconds the card drew for it.
        moves: how often a card was lost under it.
    """

    stream: str
    device: str
    reason: str
    busy_share: float
    moves: int


class Berth:
    """A stream's place; draws and paints as :class:`~mien.gpu.choice.Placement` does.

    The stream's loop draws in one thread; ``where`` may be asked for from any.

    Attributes:
        stream: its name.
        moves: how often a card was lost under it.
    """

    def __init__(self, fleet: Fleet, stream: str, devices: list[str]) -> None:
        self._fleet, self.stream, self._devices = fleet, stream, devices
        self._refused: set[str] = set()
        self._now: Placement | None = None
        self._next: Placement | None = None
        self._lent: SharedFrame | None = None
        self._taken = self._left = ""
        self._moving = self._closed = False
        self._busy = Busy(fleet.clock)
        self._handover = threading.Lock()
        self.moves = 0

    @property
    def device(self) -> str:
        """For stages that are placed by their own means: ``cpu``, ``auto`` or ``cuda:N``."""
        return self._taken or "cpu"

    @property
    def index(self) -> int:
        """Number of the card that draws, or is going to; -1 for the CPU."""
        return card_of(self._taken) if self._taken else -1

    @property
    def share(self) -> float:
        """How busy the stream keeps its card, 0..1; a guess before it was measured."""
        return self._busy.expected()

    def where(self) -> StreamPlace:
        """Where it is at present."""
        now = self._now
        on_card = now is not None and not self._left
        return StreamPlace(
            stream=self.stream,
            device=now.device if now is not None and on_card else "cpu",
            reason=now.reason if now is not None and on_card else self._left,
            busy_share=round(self._busy.share(), 4),
            moves=self.moves,
        )

    def open(self) -> None:
        """Takes the best place that there is.

        Raises:
            DeviceError: no card that was asked for by number can be used.
        """
        if not self._devices:
            self._now = self._fleet.place_on("cpu")
            return
        placed, refusals = self._take()
        refusals = {**self._fleet.lost_among(self._devices), **refusals}
        first = next(iter(refusals.values()), None)
        if placed is None and first is not None and self._devices[0].startswith("auto"):
            placed = replace(self._fleet.place_on("cpu"), reason=first.what)
        if placed is None:
            assert first is not None
            if len(refusals) == 1:
                raise first
            raise DeviceError(
                "no GPU can be used: " + "; ".join(f"{k}: {e.what}" for k, e in refusals.items()),
                first.hint or "use --device cpu",
            )
        for device, error in refusals.items():
            logger.warning("%s is not used: %s", device, error.what)
        self._settle(placed)

    def lines(self) -> list[str]:
        """For people: what runs where."""
        if self._left:
            return [f"everything runs on the CPU; {self._left}"]
        return self._now.lines() if self._now is not None else []

    @property
    def gpu_ms(self) -> float:
        """What GPUs have worked for the stream so far, by their own clocks."""
        return self._busy.total_ms

    def draw(self, *arguments: Any, **named: Any) -> None:
        """See :class:`~mien.gpu.rasteriser.Rasteriser`."""
        now = self._here()
        try:
            now.draw(*arguments, **named)
        except DeviceError as error:
            self._leave_card(error)
            raise
        self._busy.note(now.gpu_ms)

    def paint(self, *arguments: Any) -> tuple[U8Array, U8Array] | None:
        """See :class:`~mien.gpu.rasteriser.Painter`; None where the CPU draws."""
        now = self._here()
        if now.paint is None:
            return None
        try:
            return now.paint(*arguments)
        except DeviceError as error:
            self._leave_card(error)
            raise
        finally:
            self._busy.note(now.gpu_ms)

    def lend(self, frame: SharedFrame) -> None:
        """Draws from pixels that are on a card already, for as long as it is this one."""
        self._lent = frame
        if self._now is not None:
            self._now.lend(frame)

    def close(self) -> None:
        """Lets go of the card and leaves the fleet; a move under way is undone when it is done."""
        with self._handover:
            if self._closed:
                return
            self._closed = True
            held, self._now, self._next = [self._now, self._next], None, None
        for placed in held:
            if placed is not None:
                placed.close()
        self._fleet.leave(self)

    def _here(self) -> Placement:
        """The placement of this frame: a new one that is ready, else the one there was."""
        if self._next is not None:
            with self._handover:
                placed, self._next = self._next, None
            if placed is not None:
                self._settle(placed)
                logger.warning("%s goes on on %s", self.stream, placed.device)
        now = self._now
        if now is None:
            raise RuntimeError("the stream is closed")
        if self._taken and not self._moving and self._fleet.is_lost(self.index):
            # Another stream found out first: this one loses no frame.
            self._move(f"{now.device} was lost")
        return now

    def _settle(self, placed: Placement) -> None:
        self._now = placed
        if self._lent is not None:
            placed.lend(self._lent)
        self._busy.start(placed.gpu_ms)
        self._moving, self._left = False, ""
        if len(self._devices) > 1 and isinstance(placed.draw, FallingBack):
            placed.draw.afterwards = "faces are drawn on the CPU until another GPU is ready"

    def _leave_card(self, error: DeviceError) -> None:
        if isinstance(error, GpuLostError):
            self._fleet.lose(self.index, error.what)
        self._move(error.what)

    def _move(self, why: str) -> None:
        """Draws on the CPU at once, and has the next card got ready beside that."""
        if self._moving or not self._taken:
            return
        left = self._now
        self._moving = True
        self.moves += 1
        self._refused.add(self._taken)
        self._taken, self._left = "", why
        if left is not None and isinstance(left.draw, FallingBack):
            left.draw.give_up(why)
        if self._candidates():
            logger.warning("%s leaves its GPU; another one is got ready", self.stream)
            self._fleet.start(self._find_another)
        # Without another card it stays with this placement, which draws on the CPU from now on.

    def _find_another(self) -> None:
        placed, refusals = self._take()
        for device, error in refusals.items():
            logger.warning("%s does not take over %s: %s", device, self.stream, error.what)
        if placed is None:
            logger.warning("%s stays on the CPU", self.stream)
            return
        with self._handover:
            if not self._closed:
                left, self._next = self._now, placed
                placed = None
        if placed is not None:  # the stream ended meanwhile
            placed.close()
        elif left is not None:
            left.close()

    def _candidates(self) -> list[str]:
        open_to = [one for one in self._devices if one not in self._refused]
        return self._fleet.in_order(open_to, self)

    def _take(self) -> tuple[Placement | None, dict[str, MienError]]:
        """The first candidate that works, and why those before it do not.

        ``auto`` may come to the CPU, which is as good as a card: the last such answer is kept.
        """
        refusals: dict[str, MienError] = {}
        on_cpu: Placement | None = None
        for device in self._candidates():
            self._taken = device  # counts as this card's already while it is looked at
            try:
                placed = self._fleet.place_on(device)
            except MienError as error:
                refusals[device] = error
                self._refused.add(device)
                if isinstance(error, GpuLostError):
                    self._fleet.lose(card_of(device), error.what)
                continue
            if placed.device != "cpu":
                return placed, refusals
            on_cpu = on_cpu or placed
            self._refused.add(device)
        self._taken = ""
        return on_cpu, refusals


def card_of(device: str) -> int:
    """The card's number in ``cuda:N`` or ``auto:N``."""
    return int(device.partition(":")[2] or 0)
