"""
Small pictures of web pages: a PNG with a colour for each pixel becomes one with a palette.

Pages have few colours, but for the edges of letters; these get the nearest of the 256 that there are most of.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Colour = tuple[int, int, int]


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The parts of a PNG by name."""
    found, at = [], len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def paeth(left: int, above: int, corner: int) -> int:
    """The predictor of filter 4."""
    a, b, c = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    return left if a <= b and a <= c else above if b <= c else corner


def unfiltered(data: bytes, width: int, height: int, octets: int) -> list[bytearray]:
    """The rows as they are (PNG section 9)."""
    rows, before, at = [], bytearray(width * octets), 0
    for _ in range(height):
        kind, row = data[at], bytearray(data[at + 1 : at + 1 + width * octets])
        at += 1 + width * octets
        for i in range(len(row)):
            left = row[i - octets] if i >= octets else 0
            if kind == 1:
                row[i] = (row[i] + left) & 255
            elif kind == 2:
                row[i] = (row[i] + before[i]) & 255
            elif kind == 3:
                row[i] = (row[i] + (left + before[i]) // 2) & 255
            elif kind == 4:
                row[i] = (row[i] + paeth(left, before[i], before[i - octets] if i >= octets else 0)) & 255
        rows.append(row)
        before = row
    return rows


def nearest(colour: Colour, palette: list[Colour]) -> int:
    """The place of the colour that is most like it."""
    return min(range(len(palette)), key=lambda i: sum((a - b) ** 2 for a, b in zip(palette[i], colour, strict=True)))


def shrunk(data: bytes) -> bytes:
    """The same picture with a palette."""
    parts = chunks(data)
    width, height, depth, kind = struct.unpack(">IIBB", parts[0][1][:10])
    if depth != 8 or kind not in (2, 6):
        return data
    octets = 3 if kind == 2 else 4
    rows = unfiltered(zlib.decompress(b"".join(body for name, body in parts if name == b"IDAT")), width, height, octets)
    pixels = [[tuple(row[i : i + 3]) for i in range(0, len(row), octets)] for row in rows]
    counted = Counter(pixel for row in pixels for pixel in row)
    palette = [colour for colour, _ in counted.most_common(256)]
    places = {colour: place for place, colour in enumerate(palette)}
    for colour in counted:
        places.setdefault(colour, nearest(colour, palette))  # type: ignore[arg-type]
    packed = zlib.compress(b"".join(b"\0" + bytes(places[pixel] for pixel in row) for row in pixels), 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colours = b"".join(bytes(colour) for colour in palette)
    return SIGNATURE + b"".join(
        chunk(name, body) for name, body in ((b"IHDR", head), (b"PLTE", colours), (b"IDAT", packed), (b"IEND", b""))
    )
