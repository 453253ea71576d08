"""Renders the letters of badge, slate and captions, so that no font is needed at run time.

The font is Aileron Regular (CC0), which Pillow carries as its default. Run from the
repository's root; writes ``engine/mien/marking/assets/letters.png``, grey masks of the
letters side by side, and ``letters.json``, which letter starts where.
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ASSETS = Path(__file__).parent.parent / "engine" / "mien" / "marking" / "assets"
LETTERS = "".join(map(chr, range(32, 127))) + "\u00b7"
FONT_SIZE_PX = 96
GAP_PX = 8


def main() -> None:
    """Writes the masks."""
    ASSETS.mkdir(parents=True, exist_ok=True)
    font = ImageFont.load_default(size=FONT_SIZE_PX)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise SystemExit("this Pillow was built without FreeType")
    ascent, descent = font.getmetrics()
    advances = [round(font.getlength(letter)) for letter in LETTERS]
    sheet = Image.new("L", (sum(advances) + GAP_PX * (len(LETTERS) + 1), ascent + descent), 0)
    draw = ImageDraw.Draw(sheet)
    starts = []
    x = GAP_PX
    for letter, advance in zip(LETTERS, advances, strict=True):
        draw.text((x, 0), letter, fill=255, font=font)
        starts.append(x)
        x += advance + GAP_PX
    sheet.save(ASSETS / "letters.png", optimize=True)
    index = {"letters": LETTERS, "starts": starts, "advances": advances, "gap": GAP_PX}
    (ASSETS / "letters.json").write_text(json.dumps(index) + "\n", encoding="ascii")
    print(ASSETS / "letters.png", sheet.size)


if __name__ == "__main__":
    main()
