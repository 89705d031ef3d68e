"""PNG files of at most 256 colours: a screen needs no more, and they are a third as large."""

import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterator

MOST_COLOURS = 256
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE, _NO_FILTER = 3, b"\0"


def written(pixels: bytes, width: int) -> bytes:
    """The file of a picture whose pixels are 4 bytes each (red, green, blue, opaqueness)."""
    colours = memoryview(pixels).cast("I")
    height = len(colours) // width
    palette, places = _reduced(Counter(colours))
    indices = bytes([places[colour] for colour in colours])
    rows = (_NO_FILTER + indices[at : at + width] for at in range(0, len(indices), width))
    head = struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0)
    return _SIGNATURE + b"".join(
        [
            _chunk(b"IHDR", head),
            _chunk(b"PLTE", palette),
            _chunk(b"IDAT", zlib.compress(b"".join(rows), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def size_of(file: bytes) -> tuple[int, int]:
    """The width and the height of a PNG file, in pixels."""
    width, height = struct.unpack(">II", file[16:24])
    return width, height


def _reduced(counted: Counter[int]) -> tuple[bytes, dict[int, int]]:
    """The palette, and the place in it of each colour.

    Colours that are alike get that of them which occurs most often, so large surfaces keep theirs.
    """
    for mask in _masks():
        chosen: dict[int, int] = {}
        for colour, _ in counted.most_common():
            chosen.setdefault(colour & mask, colour)
        if len(chosen) <= MOST_COLOURS:
            break
    order = {colour: place for place, colour in enumerate(chosen.values())}
    palette = b"".join(colour.to_bytes(4, sys.byteorder)[:3] for colour in order)
    return palette, {colour: order[chosen[colour & mask]] for colour in counted}


def _masks() -> Iterator[int]:
    """From all bits of red, green and blue down to two of each."""
    for dropped in range(7):
        kept = 0xFF << dropped & 0xFF
        yield int.from_bytes(bytes([kept, kept, kept, 0]), sys.byteorder)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
