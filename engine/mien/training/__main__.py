"""``python -m mien.training refiner SHARDS OUT``: trains, or goes on training, a network."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from mien.errors import MienError
from mien.training.recipe import RefinerRecipe, read_recipe


def main() -> int:
    """Parse the arguments and train; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mien.training", description=__doc__)
    networks = parser.add_subparsers(dest="network", required=True)
    refiner = networks.add_parser("refiner", help="mends the mesh swapper's faces")
    refiner.add_argument("shards", type=Path, help="folder of training takes")
    refiner.add_argument("out", type=Path, help="folder of the run; goes on from what is there")
    refiner.add_argument("--held", type=Path, help="folder of takes of people never trained on")
    refiner.add_argument("--recipe", type=Path, help="TOML file; see docs/training.md")
    refiner.add_argument("--until", type=int, help="stop after this step")
    refiner.add_argument("--device", help="cpu, cuda, ...; the best there is by default")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = False

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    try:
        from mien.training.refiner_trainer import RefinerTrainer

        recipe = read_recipe(arguments.recipe) if arguments.recipe else RefinerRecipe()
        trainer = RefinerTrainer(
            arguments.shards, arguments.held, arguments.out, recipe, arguments.device
        )
        trainer.train(arguments.until, should_stop=lambda: stop)
    except ImportError as error:
        print(f"error: {error}; install the extra: pip install 'mien[train]'", file=sys.stderr)
        return 4
    except MienError as error:
        print(f"error: {error.what}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
