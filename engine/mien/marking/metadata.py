"""The statement in a file that its faces are synthetic, and how to find it again.

The vocabulary is IPTC's Digital Source Type. Video containers carry the statement as tags
(``comment`` holds JSON, ``description`` a sentence); PNG and JPEG carry an XMP packet with
the same JSON. Tags are plain text: they inform honest readers and survive no one's wish to
remove them.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from dataclasses import dataclass
from html import escape, unescape
from importlib.metadata import PackageNotFoundError, version

from mien.personas.persona import Persona

COMPOSITE_SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"
"""IPTC: a mix of captured and synthetic elements."""

_KEY = "mien"
_FIELDS = ("version", "persona", "consent_sha256", "digitalSourceType")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_PNG = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Which tool drew which persona, with whose consent.

    Attributes:
        tool_version: version of mien that wrote the file.
        persona: name of the persona worn.
        consent_sha256: hash of the words of the consent, so that they can be checked
            without being published.
        source_type: IPTC Digital Source Type.
    """

    tool_version: str
    persona: str
    consent_sha256: str
    source_type: str = COMPOSITE_SYNTHETIC

    @classmethod
    def about(cls, persona: Persona) -> Statement:
        """The statement for a file in which this persona is worn."""
        words = f"{persona.consent.given_by}\n{persona.consent.statement}".encode()
        return cls(
            tool_version=tool_version(),
            persona=persona.name,
            consent_sha256=hashlib.sha256(words).hexdigest(),
        )

    @property
    def sentence(self) -> str:
        """For people."""
        return (
            f"Synthetic media: a face in it was replaced with the persona "
            f"{self.persona} by mien {self.tool_version}."
        )

    def to_json(self) -> str:
        """For programs; one line."""
        body = {
            "version": self.tool_version,
            "persona": self.persona,
            "consent_sha256": self.consent_sha256,
            "digitalSourceType": self.source_type,
        }
        return json.dumps({_KEY: body}, ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Statement | None:
        """The statement in a text, or None when it holds none that mien could have made.

        The text may be anybody's: what is shown to people holds no control characters.
        """
        try:
            body = json.loads(text)[_KEY]
            values = [body[key] for key in _FIELDS]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not all(isinstance(value, str) and value.isprintable() for value in values):
            return None
        tool, persona, consent, source_type = values
        if source_type != COMPOSITE_SYNTHETIC:
            return None
        return cls(tool_version=tool, persona=persona, consent_sha256=consent)

    def container_tags(self) -> dict[str, str]:
        """Tags for a video container."""
        return {"comment": self.to_json(), "description": self.sentence}

    def embed(self, image: bytes) -> bytes:
        """An encoded PNG or JPEG with the statement in it; other formats come back as they are."""
        packet = self._xmp().encode()
        if image.startswith(_PNG_SIGNATURE):
            header_end = len(_PNG_SIGNATURE) + 25  # IHDR: length, name, 13 bytes, CRC
            chunk = b"iTXt" + _XMP_PNG + packet
            framed = struct.pack(">I", len(chunk) - 4) + chunk
            framed += struct.pack(">I", zlib.crc32(chunk))
            return image[:header_end] + framed + image[header_end:]
        if image.startswith(b"\xff\xd8"):
            body = _XMP_JPEG + packet
            position = _end_of_jfif(image)
            segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
            return image[:position] + segment + image[position:]
        return image

    def _xmp(self) -> str:
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about=""'
            ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
            ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
            f"<Iptc4xmpExt:DigitalSourceType>{escape(self.source_type)}"
            "</Iptc4xmpExt:DigitalSourceType>"
            '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
            f"{escape(self.to_json())}</rdf:li></rdf:Alt></dc:description>"
            '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
        )


def find_in_image(image: bytes) -> Statement | None:
    """The statement in an encoded PNG or JPEG, or None when it holds none."""
    if image.startswith(_PNG_SIGNATURE):
        packets = _png_texts(image)
    elif image.startswith(b"\xff\xd8"):
        packets = _jpeg_packets(image)
    else:
        return None
    for packet in packets:
        match = re.search(rb"<rdf:li[^>]*>(.*?)</rdf:li>", packet, re.DOTALL)
        if match:
            statement = Statement.from_json(unescape(match[1].decode("utf-8", "replace")))
            if statement is not None:
                return statement
    return None


def tool_version() -> str:
    """Version of the installed mien; ``0+source`` when it runs from a bare checkout."""
    try:
        return version("mien")
    except PackageNotFoundError:
        return "0+source"


def _png_texts(image: bytes) -> list[bytes]:
    texts = []
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(image):
        (length,) = struct.unpack_from(">I", image, position)
        name = image[position + 4 : position + 8]
        body = image[position + 8 : position + 8 + length]
        if name == b"iTXt" and body.startswith(_XMP_PNG):
            texts.append(body[len(_XMP_PNG) :])
        position += 12 + length
    return texts


def _jpeg_packets(image: bytes) -> list[bytes]:
    packets = []
    position = 2
    while position + 4 <= len(image) and image[position] == 0xFF and image[position + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", image, position + 2)
        body = image[position + 4 : position + 2 + length]
        if image[position + 1] == 0xE1 and body.startswith(_XMP_JPEG):
            packets.append(body[len(_XMP_JPEG) :])
        position += 2 + max(length, 2)
    return packets


def _end_of_jfif(image: bytes) -> int:
    """Where the next segment may go: after the start mark and, if present, JFIF's own."""
    if image[2:4] == b"\xff\xe0":
        (length,) = struct.unpack_from(">H", image, 4)
        return 4 + int(length)
    return 2
