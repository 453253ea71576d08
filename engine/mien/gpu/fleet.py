"""The GPUs of a process and the streams that they draw for: each goes where the least load is.

A stream is whatever has a pipeline of its own: a file that is swapped, a studio's stage. Its
loop draws on one card. A card that is lost hands its streams over, one after another, to the
cards that are left, and at last to the CPU, which also draws while another card is got ready.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cache

from mien.errors import DeviceError, GpuLostError, MienError
from mien.gpu.berth import Berth, StreamPlace, card_of
from mien.gpu.choice import Placement, parse_devices, place
from mien.gpu.driver import require_pycuda

Start = Callable[[Callable[[], None]], None]
"""Has something done beside the loop."""


class Fleet:
    """Which stream draws on which card; any thread may use it.

    Args:
        place_on: opens a device and checks what it draws; see :func:`mien.gpu.choice.place`.
        count_gpus: how many cards the machine has; raises DeviceError where none can be asked.
        start: runs what takes long, in a thread of its own unless a test says otherwise.
        clock: seconds.
    """

    def __init__(
        self,
        place_on: Callable[[str], Placement] = place,
        count_gpus: Callable[[], int] | None = None,
        start: Start | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place_on = place_on
        self._count = count_gpus or _count_gpus
        self.start = start or _in_a_thread
        self.clock = clock
        self._lock = threading.Lock()
        self._berths: list[Berth] = []
        self._lost: dict[int, str] = {}

    def join(self, stream: str, device: str) -> Berth:
        """A place for a new stream on the card with the least load.

        Args:
            stream: its name; a number is added where it is taken.
            device: ``cpu``, ``auto``, ``cuda:N``, ``cuda:0,1`` or ``cuda:all``.

        Raises:
            UsageError: there is no such device.
            DeviceError: none of the cards asked for can be used.
        """
        wanted = self._expand(device)
        with self._lock:
            berth = Berth(self, self._free_name(stream), wanted)
            self._berths.append(berth)
        try:
            berth.open()
        except BaseException:
            self.leave(berth)
            raise
        return berth

    def width(self, device: str) -> int:
        """How many loops side by side the device is worth: one a card; one on the CPU, whose cores
        one loop fills.

        Raises:
            UsageError: there is no such device.
            DeviceError: no card can be asked for.
        """
        return max(len(self._expand(device)), 1)

    def cards(self, device: str) -> list[int]:
        """Numbers of the cards that a device stands for; empty for the CPU.

        Raises:
            UsageError: there is no such device.
            DeviceError: no card can be asked for.
        """
        return [card_of(one) for one in self._expand(device)]

    def leave(self, berth: Berth) -> None:
        """Forgets a stream."""
        with self._lock:
            if berth in self._berths:
                self._berths.remove(berth)

    def streams(self) -> list[StreamPlace]:
        """Every stream and where it is, in the order in which they came."""
        with self._lock:
            return [berth.where() for berth in self._berths]

    def berth(self, stream: str) -> Berth | None:
        """The place of a stream, if it has one."""
        with self._lock:
            return next((one for one in self._berths if one.stream == stream), None)

    def lose(self, index: int, reason: str) -> None:
        """A card is gone for good: nobody is sent there, and whoever is there leaves."""
        with self._lock:
            self._lost[index] = reason

    def is_lost(self, index: int) -> bool:
        """Whether a card is gone for good."""
        return index in self._lost

    def lost_among(self, devices: Sequence[str]) -> dict[str, MienError]:
        """Those of some devices that are gone for good, and why."""
        return {
            one: GpuLostError(f"it failed before: {self._lost[card_of(one)]}", "start mien again")
            for one in devices
            if card_of(one) in self._lost
        }

    def in_order(self, devices: Sequence[str], but_for: Berth) -> list[str]:
        """Devices that are not lost, the least busy first; of equals the one with fewer streams."""
        with self._lock:
            others = [one for one in self._berths if one is not but_for]
            left = [one for one in devices if card_of(one) not in self._lost]
        mine = {one: [b for b in others if b.index == card_of(one)] for one in left}

        def load(one: str) -> tuple[float, int, int]:
            return sum(b.share for b in mine[one]), len(mine[one]), card_of(one)

        return sorted(left, key=load)

    def _free_name(self, stream: str) -> str:
        taken = {one.stream for one in self._berths}
        name, number = stream, 2
        while name in taken:
            name, number = f"{stream} ({number})", number + 1
        return name

    def _expand(self, device: str) -> list[str]:
        """The devices that may be taken, each one card's; empty for the CPU."""
        wanted = parse_devices(device)
        if wanted == ["cpu"]:
            return []
        if wanted == ["auto"]:
            try:
                count = self._count()
            except DeviceError:  # whoever opens the first says it again
                return ["auto"]
            return ["auto", *(f"auto:{index}" for index in range(1, count))]
        if wanted == ["cuda:all"]:
            return [f"cuda:{index}" for index in range(self._count())]
        return wanted


@cache
def process_fleet() -> Fleet:
    """The fleet of this process: cards belong to processes, so there is one."""
    return Fleet()


def _count_gpus() -> int:
    return int(require_pycuda().Device.count())


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="mien-move", daemon=True).start()
