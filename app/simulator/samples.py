"""Small files to send: pictures, a voice, a video. Made here, so that nothing foreign is shipped."""

import struct
import zlib
from typing import NamedTuple


class Sample(NamedTuple):
    name: str
    mime: str
    body: bytes


_SIDE = 120
_PICTURES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "sunrise": ((250, 140, 60), (90, 60, 140)),
    "leaf": ((150, 200, 90), (20, 110, 60)),
    "sea": ((120, 200, 240), (10, 60, 120)),
}
PICTURES = tuple(_PICTURES)


def picture(preset: str) -> Sample:
    """A PNG of 120 by 120 points with a disc on a gradient. Raises `KeyError` for another preset."""
    top, bottom = _PICTURES[preset]
    rows = bytearray()
    for y in range(_SIDE):
        rows.append(0)
        blend = y / (_SIDE - 1)
        ground = bytes(round(a + (b - a) * blend) for a, b in zip(top, bottom, strict=True))
        for x in range(_SIDE):
            inside = (x - 60) ** 2 + (y - 52) ** 2 < 30**2
            rows += b"\xff\xf4\xd6" if inside else ground
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    body = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + _chunk(b"IEND", b"")
    )
    return Sample(f"{preset}.png", "image/png", body)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def voice() -> Sample:
    """One second of silence as AMR narrow-band, 4.75 kbit/s."""
    frame = b"\x04" + bytes(12)
    return Sample("voice.amr", "audio/amr", b"#!AMR\n" + frame * 50)


def video() -> Sample:
    """The shortest MP4: a header and an empty movie. It has the form of a video, not its pictures."""
    header = _box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isomiso2mp41")
    identity = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    movie = struct.pack(">5I", 0, 0, 0, 1000, 1000) + struct.pack(">IH", 0x10000, 0x100) + bytes(10)
    movie += identity + bytes(24) + struct.pack(">I", 1)
    return Sample("video.mp4", "video/mp4", header + _box(b"moov", _box(b"mvhd", movie)))


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data
