"""Whether there is time to mend."""

from __future__ import annotations

# The first frames load code and data; their times say nothing.
_WARM_UP = 5
# Means settle over this many frames, a second or less.
_SETTLE_FRAMES = 24
# Mending starts again only once there is this share of the budget to spare, so that it does
# not come and go.
_SPARE = 0.15


class Allowance:
    """Lets the refiner mend while whole frames stay within a budget; belongs to one thread.

    Args:
        budget_ms: longest mean time of a frame, all stages together; 0 = however long it takes.
    """

    def __init__(self, budget_ms: float = 0.0) -> None:
        if budget_ms < 0:
            raise ValueError(f"budget_ms must not be negative, got {budget_ms}")
        self._budget_ms = budget_ms
        self._frames = 0
        self._rest_ms = self._mending_ms = 0.0
        self.mends = True
        """Whether the next face may be mended."""

    def spent(self, rest_ms: float, mending_ms: float) -> None:
        """Books a frame.

        Args:
            rest_ms: time of all other stages.
            mending_ms: time of mending; 0 where nothing was mended.
        """
        self._frames += 1
        if self._budget_ms == 0 or self._frames <= _WARM_UP:
            return
        share = 1 / min(self._frames - _WARM_UP, _SETTLE_FRAMES)
        self._rest_ms += (rest_ms - self._rest_ms) * share
        if mending_ms > 0:
            self._mending_ms += (mending_ms - self._mending_ms) * share
        whole = self._rest_ms + self._mending_ms
        limit = self._budget_ms * (1.0 if self.mends else 1.0 - _SPARE)
        self.mends = whole <= limit
