"""How long an Opus packet lasts, whether it is whole, and the packets a track needs where nothing was received.

All from the first bytes (RFC 6716 section 3): nothing is decoded. A track must never hold a packet that a decoder
refuses, because most players then give up on the rest of the file; so the framing of every received packet is checked
whole.
"""

from collections.abc import Iterator
from itertools import repeat

GRID_SAMPLES = 120
"""2.5 ms at 48 kHz: the shortest Opus frame. Every position in a track is a multiple of it."""

MAX_PACKET_SAMPLES = 5760
"""120 ms (RFC 6716, R5)."""

SILENCE_20_MS = b"\xf8\xff\xfe"
"""What senders emit when a person stops talking: 20 ms, CELT, full band, its silence flag set."""

STEREO_FLAG = 0x04
"""In a packet's first byte: it codes two channels (RFC 6716 section 3.1)."""

_MAX_FRAME_BYTES = 1275
_SILK_SAMPLES = (480, 960, 1920, 2880)
_HYBRID_SAMPLES = (480, 960)
_CELT_SAMPLES = (120, 240, 480, 960)
_CELT_FULL_BAND = {120: 28 << 3, 240: 29 << 3, 480: 30 << 3, 960: 31 << 3}


def frame_samples(toc: int) -> int:
    """Length of each frame in a packet that begins with `toc`, in samples at 48 kHz (RFC 6716, table 2)."""
    config = toc >> 3
    if config < 12:
        return _SILK_SAMPLES[config % 4]
    if config < 16:
        return _HYBRID_SAMPLES[config % 2]
    return _CELT_SAMPLES[config % 4]


def packet_samples(payload: bytes) -> int | None:
    """How long a packet lasts, in samples at 48 kHz; None when its framing is broken (RFC 6716 section 3.4)."""
    if not payload:
        return None
    frames = _frame_count(payload)
    if frames is None:
        return None
    samples = frames * frame_samples(payload[0])
    return samples if samples <= MAX_PACKET_SAMPLES else None


def is_stereo(payload: bytes) -> bool:
    """True when the packet codes two channels."""
    return bool(payload and payload[0] & STEREO_FLAG)


def is_silence(payload: bytes) -> bool:
    """True for the packet that says "nothing more to hear"."""
    return payload == SILENCE_20_MS


def concealing_packets(toc: int, samples: int) -> Iterator[tuple[bytes, int]]:
    """TOC-only packets, with their lengths, that together last `samples`: a decoder conceals them as it does a loss.

    toc: first byte of the packet before the gap, so that its mode goes on. `samples` is a multiple of GRID_SAMPLES.
    Raises ValueError otherwise. RFC 7845 section 4.1.
    """
    frame = frame_samples(toc)
    yield from repeat((bytes([toc & 0xFC]), frame), samples // frame)
    yield from _celt_packets(samples % frame, toc & STEREO_FLAG, b"")


def silent_packets(samples: int) -> Iterator[tuple[bytes, int]]:
    """CELT silence packets, with their lengths, that together last `samples`, a multiple of GRID_SAMPLES.

    Raises ValueError otherwise.
    """
    return _celt_packets(samples, 0, SILENCE_20_MS[1:])


def _celt_packets(samples: int, flags: int, body: bytes) -> Iterator[tuple[bytes, int]]:
    """One after the other: a pause may last a night."""
    if samples % GRID_SAMPLES:
        raise ValueError(f"{samples} samples are not on the 2.5 ms grid")
    for length in (960, 480, 240, 120):
        yield from repeat((bytes([_CELT_FULL_BAND[length] | flags]) + body, length), samples // length)
        samples %= length


def _frame_count(payload: bytes) -> int | None:
    """Number of frames, or None when lengths and bytes disagree."""
    body = len(payload) - 1
    code = payload[0] & 0x03
    if code == 0:
        return 1 if body <= _MAX_FRAME_BYTES else None
    if code == 1:
        return 2 if body % 2 == 0 and body // 2 <= _MAX_FRAME_BYTES else None
    if code == 2:
        first = _frame_length(payload, 1)
        if first is None:
            return None
        rest = len(payload) - first[1] - first[0]
        return 2 if 0 <= rest <= _MAX_FRAME_BYTES else None
    return _code_3_frame_count(payload)


def _code_3_frame_count(payload: bytes) -> int | None:
    if len(payload) < 2 or not (count := payload[1] & 0x3F):
        return None
    at, end = 2, len(payload)
    if payload[1] & 0x40:  # padding: 255 means 254 bytes and one more length byte
        while True:
            if at >= end:
                return None
            length = payload[at]
            at += 1
            end -= min(length, 254)
            if length != 255:
                break
    if payload[1] & 0x80:  # each frame but the last has its own length
        used = 0
        for _ in range(count - 1):
            frame = _frame_length(payload, at)
            if frame is None:
                return None
            used += frame[0]
            at = frame[1]
        last = end - at - used
        return count if 0 <= last <= _MAX_FRAME_BYTES else None
    body = end - at
    return count if body >= 0 and body % count == 0 and body // count <= _MAX_FRAME_BYTES else None


def _frame_length(payload: bytes, at: int) -> tuple[int, int] | None:
    """The coded length at `at`, and where it ends (RFC 6716 section 3.2.1)."""
    if at >= len(payload):
        return None
    if payload[at] < 252:
        return payload[at], at + 1
    if at + 1 >= len(payload):
        return None
    return payload[at] + 4 * payload[at + 1], at + 2
