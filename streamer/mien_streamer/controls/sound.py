"""Orders by sound: timecode and onsets, from a live input."""

from __future__ import annotations

import logging
import queue
import threading

from mien.shows import ShowPlayer
from mien.shows.ears import Ears
from mien.shows.follow import FollowedClock, TimecodeHand
from mien.types import F32Array
from mien_streamer.controls.sound_input import SoundInput
from mien_streamer.show_sound import tell

logger = logging.getLogger(__name__)

_MOST_BLOCKS = 200
_POLL_S = 0.2


class SoundControl:
    """Listens in a thread of its own; what it hears reaches the player as orders.

    Args:
        player: whom to order.
        sound: an input that was not started; closed with this.
        follow: the clock of a show that follows timecode as sound.

    Attributes:
        heard: labels and onsets so far.
        lost: blocks that came faster than they could be listened to.
    """

    def __init__(
        self, player: ShowPlayer, sound: SoundInput, *, follow: FollowedClock | None = None
    ) -> None:
        self._player, self._sound = player, sound
        self._hand = TimecodeHand(player, follow, player.show.zero)
        self.heard = self.lost = 0
        self._blocks: queue.Queue[tuple[F32Array, float]] = queue.Queue(_MOST_BLOCKS)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="mien-ears", daemon=True)
        self._thread.start()
        try:
            sound.start(self._take)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening."""
        self._sound.close()
        self._closed.set()
        self._thread.join(2.0)

    def _take(self, block: F32Array, first_s: float) -> None:
        try:
            self._blocks.put_nowait((block, first_s))
        except queue.Full:
            self.lost += 1

    def _listen(self) -> None:
        ears = Ears(self._player.show, self._sound.rate, self._sound.channels)
        fed = 0
        while not self._closed.is_set():
            try:
                block, first_s = self._blocks.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            # Where the input's first sample would lie on the run's clock by this block: the
            # two clocks may drift, and blocks may have been lost.
            begun_s = first_s - fed / self._sound.rate
            fed += block.shape[1]
            for one in ears.feed(block):
                self.heard += 1
                tell(one, begun_s, self._player, self._hand)
