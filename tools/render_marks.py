"""Renders the lettering of the badge and the slate, so that no font is needed at run time.

The font is Aileron Regular (CC0), which Pillow carries as its default. Run from the
repository's root; writes ``engine/mien/marking/assets/*.png``, grey masks of the letters.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ASSETS = Path(__file__).parent.parent / "engine" / "mien" / "marking" / "assets"
LETTER_HEIGHT_PX = 160


def render_text(text: str, tracking: float) -> Image.Image:
    """White letters on black with extra space between them (in parts of the height)."""
    font = ImageFont.load_default(size=LETTER_HEIGHT_PX)
    assert isinstance(font, ImageFont.FreeTypeFont)
    step = tracking * LETTER_HEIGHT_PX
    width = sum(font.getlength(letter) + step for letter in text) - step
    ascent, descent = font.getmetrics()
    image = Image.new("L", (round(width) + 8, ascent + descent), 0)
    draw = ImageDraw.Draw(image)
    x = 4.0
    for letter in text:
        draw.text((x, 0), letter, fill=255, font=font)
        x += font.getlength(letter) + step
    return image


def main() -> None:
    """Writes the masks."""
    ASSETS.mkdir(parents=True, exist_ok=True)
    for name, text, tracking in (
        ("badge", "mien \u00b7 synthetic", 0.02),
        ("slate", "one moment", 0.06),
    ):
        image = render_text(text, tracking)
        image.save(ASSETS / f"{name}.png", optimize=True)
        print(ASSETS / f"{name}.png", image.size)


if __name__ == "__main__":
    main()
