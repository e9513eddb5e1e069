"""Bytes of MLS: the part of TLS's presentation language that its messages need (RFC 9420 section 2.1).

MlsMalformed    bytes that are not what they should be
"""

import struct


class MlsMalformed(Exception):
    """The bytes cannot be read; the text says why."""


def vector(content: bytes) -> bytes:
    """`content` behind its length: two bits tell how many bytes that takes (RFC 9420 section 2.1.2)."""
    size = len(content)
    if size < 1 << 6:
        return bytes([size]) + content
    if size < 1 << 14:
        return struct.pack(">H", 1 << 14 | size) + content
    return struct.pack(">I", 2 << 30 | size) + content


class Reader:
    """Takes one thing after the other from bytes. Raises MlsMalformed, and nothing else."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes."""
        return len(self._data) - self.at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise MlsMalformed(f"{count} bytes wanted, {self.left} left")
        self.at += count
        return self._data[self.at - count : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def vector(self) -> bytes:
        """What is behind a length. The shortest form of the length is the only one (RFC 9420 section 2.1.2)."""
        first = self.u8()
        width = 1 << (first >> 6)
        if width == 8:
            raise MlsMalformed("a length of eight bytes")
        size = int.from_bytes(bytes([first & 0x3F]) + self.take(width - 1), "big")
        if width > 1 and size < 1 << (8 * width // 2 - 2):
            raise MlsMalformed("a length that is longer than it need be")
        return self.take(size)

    def since(self, start: int) -> bytes:
        """All that was taken after position `start`."""
        return self._data[start : self.at]

    def rest(self) -> bytes:
        return self.take(self.left)

    def end(self) -> None:
        """Nothing may follow."""
        if self.left:
            raise MlsMalformed(f"{self.left} bytes too many")


def u16_list(content: bytes) -> list[int]:
    """Numbers of 16 bits, one after the other."""
    if len(content) % 2:
        raise MlsMalformed("half a number")
    return [number for (number,) in struct.iter_unpack(">H", content)]
