"""The command line: ``mien``."""

import os

# The matrices of a frame are tiny: threads that wait for each other over them took 4 ms of
# processor time a frame (13.5 against 9.4 for the whole loop at 720p), and more of the clock
# on a busy machine. NumPy reads this once, when it is first imported.
for _name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_name, "1")

from mien_streamer.cli.main import main, run  # noqa: E402

__all__ = ["main", "run"]
