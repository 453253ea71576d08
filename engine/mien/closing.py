"""``with`` support for whatever has to be closed."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Is closed where its ``with`` block ends, however that ends."""

    def close(self) -> None:
        """Lets go of what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
