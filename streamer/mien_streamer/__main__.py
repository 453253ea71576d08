"""``python -m mien_streamer``: the command line, where no ``mien`` is on the path."""

from mien_streamer.cli import main

if __name__ == "__main__":
    main()
