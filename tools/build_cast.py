"""Builds the cast: portraits to .persona files and the contact sheet for the docs.

    python tools/build_cast.py

The portraits are those that ``python -m tools.render_cast`` wrote and that are kept beside
it. Rebuilding with the same portraits and models gives the same files, byte for byte.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.perception import FaceDescriptor, FaceTracker
from mien.personas import Consent, Persona, create_persona, save_persona

ROOT = Path(__file__).resolve().parent.parent
PORTRAITS = ROOT / "tools/render_cast/portraits"
CAST_FOLDER = ROOT / "engine/mien/personas/cast"
SHEET = ROOT / "docs/images/cast.png"
VIEWS = ("front", "left", "right")
# Fixed, so that the files can be rebuilt byte for byte.
CREATED = "2025-01-01T00:00:00+00:00"
CONSENT = Consent(
    statement="Fictional, rendered from CC0 shapes: nobody real is shown. CC0 1.0.",
    given_by="fictional",
)
MAX_BYTES = 1_500_000

# Contact sheet, pixels.
_CELL, _GAP, _LABEL, _COLUMNS = 240, 20, 44, 5
_PAPER, _INK = (24, 25, 28), (235, 235, 232)
_CORNER = 14


def main() -> None:
    """Parse the arguments and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portraits", type=Path, default=PORTRAITS, help="their folder")
    arguments = parser.parse_args()
    names = sorted(
        path.name.removesuffix("_front.webp") for path in arguments.portraits.glob("*_front.webp")
    )
    if not names:
        parser.error(f"there are no portraits in {arguments.portraits}")
    CAST_FOLDER.mkdir(exist_ok=True)
    with FaceTracker() as tracker:
        descriptor = FaceDescriptor()
        for name in names:
            persona = build_member(name, arguments.portraits, tracker, descriptor)
            path = CAST_FOLDER / f"{name}.persona"
            save_persona(persona, path, overwrite=True)
            size = path.stat().st_size
            print(f"{name}: texture {persona.texture.shape[0]}, {size / 1024:.0f} KiB")
            if size > MAX_BYTES:
                raise SystemExit(f"{path.name} is larger than {MAX_BYTES} bytes")
    SHEET.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(names, arguments.portraits).save(SHEET, optimize=True)


def build_member(
    name: str, portraits: Path, tracker: FaceTracker, descriptor: FaceDescriptor
) -> Persona:
    """One member of the cast from its three portraits."""
    return create_persona(
        name,
        [portraits / f"{name}_{view}.webp" for view in VIEWS],
        CONSENT,
        finder=tracker,
        descriptor=descriptor,
        created=CREATED,
    )


def draw_sheet(names: list[str], portraits: Path) -> Image.Image:
    """All frontal portraits with their names beneath."""
    rows = -(-len(names) // _COLUMNS)
    width = _COLUMNS * (_CELL + _GAP) + _GAP
    height = rows * (_CELL + _LABEL + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=22)
    mask = Image.new("L", (_CELL * 4, _CELL * 4), 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, _CELL * 4 - 1, _CELL * 4 - 1), _CORNER * 4, fill=255
    )
    mask = mask.resize((_CELL, _CELL), Image.Resampling.LANCZOS)
    for number, name in enumerate(names):
        left = _GAP + (number % _COLUMNS) * (_CELL + _GAP)
        top = _GAP + (number // _COLUMNS) * (_CELL + _LABEL + _GAP)
        with Image.open(portraits / f"{name}_front.webp") as portrait:
            side = int(min(portrait.size) * 0.88)
            x, y = (portrait.width - side) // 2, 0
            cell = portrait.crop((x, y, x + side, y + side)).resize(
                (_CELL, _CELL), Image.Resampling.LANCZOS
            )
        sheet.paste(cell, (left, top), mask)
        draw.text((left + _CELL / 2, top + _CELL + 10), name, _INK, font=font, anchor="ma")
    return Image.fromarray(np.asarray(sheet))


if __name__ == "__main__":
    main()
