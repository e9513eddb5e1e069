"""Write Opus packets into an Ogg file as they are: RFC 3533 pages, RFC 7845 headers. Nothing is encoded here.

No kept library for Python writes given Opus packets, and this needs one page layout only.
"""

import struct
import zlib
from typing import BinaryIO

PRE_SKIP_SAMPLES = 312
"""libopus's look-ahead at 48 kHz: what a decoder puts out before the first sample that went into the encoder."""

PAGE_SAMPLES = 48_000
"""A page a second: a player seeks quickly, a reader of a cut file loses little."""

_MAX_SEGMENTS = 255
_FIRST_PAGE, _LAST_PAGE = 0x02, 0x04
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class OggOpusWriter:
    """One mono or stereo stream. Give it packets without holes; `close` ends it at an exact sample."""

    def __init__(self, file: BinaryIO, *, channels: int, serial: int, comments: dict[str, str]) -> None:
        self._file = file
        self._serial = serial & 0xFFFFFFFF
        self._page_number = 0
        self._segments = bytearray()
        self._body = bytearray()
        self._granule = 0
        self._page_granule = 0
        head = b"OpusHead" + struct.pack("<BBHIhB", 1, channels, PRE_SKIP_SAMPLES, 48_000, 0, 0)
        self._write_header(head, _FIRST_PAGE)
        self._write_header(_tags(comments), 0)

    @property
    def granule(self) -> int:
        """Samples written so far, at 48 kHz."""
        return self._granule

    def write(self, payload: bytes, samples: int) -> None:
        """Append one packet that lasts `samples`."""
        lacing = b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255])
        # A page is written only when the next packet comes, so that the last one can carry the end mark.
        if len(self._segments) + len(lacing) > _MAX_SEGMENTS or self._granule - self._page_granule >= PAGE_SAMPLES:
            self._write_page(0, self._granule)
        self._segments += lacing
        self._body += payload
        self._granule += samples

    def close(self, end: int) -> None:
        """Write the last page. A player stops after `end` samples, counted with the pre-skip (RFC 7845 section 4.4)."""
        self._write_page(_LAST_PAGE, end)

    def _write_header(self, packet: bytes, flags: int) -> None:
        lacing = b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
        self._segments += lacing
        self._body += packet
        self._write_page(flags, 0)

    def _write_page(self, flags: int, granule: int) -> None:
        header = struct.pack(
            "<4sBBqIIIB", b"OggS", 0, flags, granule, self._serial, self._page_number, 0, len(self._segments)
        )
        page = bytearray(header + self._segments + self._body)
        struct.pack_into("<I", page, 22, page_checksum(page))
        self._file.write(page)
        self._page_number += 1
        self._page_granule = granule
        self._segments.clear()
        self._body.clear()


def page_checksum(page: bytes | bytearray) -> int:
    """Ogg's CRC: zlib's polynomial with the bits the other way round and nothing inverted (RFC 3533 section 6)."""
    mirrored = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _tags(comments: dict[str, str]) -> bytes:
    """OpusTags (RFC 7845 section 5.2); cut so that it stays on one page."""
    vendor = b"Raccall"
    parts = [f"{key}={value}".encode()[:1000] for key, value in comments.items()]
    out = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(parts))
    return out + b"".join(struct.pack("<I", len(part)) + part for part in parts)
