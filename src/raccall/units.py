"""Numbers with a unit, in one place.

Three times that are never mixed: `now` (monotonic, integer nanoseconds), `timestamp` (48 kHz RTP ticks), `wall` (UTC).
"""

from typing import NewType

Nanos = NewType("Nanos", int)
"""Monotonic time in nanoseconds. Its zero means nothing; only differences do."""

Ssrc = NewType("Ssrc", int)
"""One sending voice: 32 bits, never 0x2112A442 (the STUN cookie)."""

NANOS_PER_MS = 1_000_000
NANOS_PER_SECOND = 1_000_000_000

SAMPLE_RATE_HZ = 48_000
"""Of every Frame, and of RTP timestamps (RFC 7587 section 4.1)."""

FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
OPUS_PAYLOAD_TYPE = 120
DEFAULT_PORT = 7420


def after_ms(now: Nanos, milliseconds: int) -> Nanos:
    """So much later."""
    return Nanos(now + milliseconds * NANOS_PER_MS)
