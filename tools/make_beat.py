"""Writes the demo show's backing beat as a WAV file: ``python tools/make_beat.py beat.wav``.

``mien demo --show`` computes the same beat when it runs; this is for those who want to hear
or use it by itself. CC0 1.0.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mien_streamer.demo import beat
from mien_streamer.show_audio import write_wav

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/make_beat.py OUTPUT.wav")
    write_wav(Path(sys.argv[1]), beat.render(), beat.RATE)
