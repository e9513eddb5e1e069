"""One speaker's file: the packets as they were received, with what a decoder needs in between, and no hole.

A gap after sound is at first concealed: TOC-only packets, with which a decoder does what it does for a loss, or goes
on with comfort noise where the sender paused. After a second of that, or after the sender said "silence", comes coded
silence.
"""

import zlib
from pathlib import Path

from raccall.recorder.ogg import PRE_SKIP_SAMPLES, OggOpusWriter
from raccall.recorder.opus_packet import concealing_packets, is_silence, silent_packets
from raccall.recorder.timeline import Placed
from raccall.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

MAX_CONCEALED_SAMPLES = SAMPLE_RATE_HZ
"""Decoders fade a longer gap out anyway; a lost mute must not leave noise in the track for minutes."""


class Track:
    """Writes one Ogg Opus file whose first sample is the recording's first sample."""

    def __init__(self, path: Path, *, channels: int, comments: dict[str, str]) -> None:
        self._file = path.open("xb")
        serial = zlib.crc32(path.name.encode())
        self._writer = OggOpusWriter(self._file, channels=channels, serial=serial, comments=comments)
        self._last: bytes = b""

    def add(self, placed: Placed) -> None:
        """Append one packet at its place, unless drift asks for it; packets come in order and do not overlap."""
        if not placed.in_track:
            return
        self._fill(placed.position)
        self._writer.write(placed.payload, placed.samples)
        self._last = placed.payload

    def close(self, length: int) -> None:
        """Fill up to `length` samples and end there; a player does not go on to what lies behind."""
        end = length + PRE_SKIP_SAMPLES
        self._fill(max(end + -end % FRAME_SAMPLES, self._writer.granule))
        self._writer.close(end)
        self._file.close()

    def _fill(self, position: int) -> None:
        gap = position - self._writer.granule
        concealed = 0
        if self._last and not is_silence(self._last):
            concealed = min(gap, MAX_CONCEALED_SAMPLES)
            for packet, samples in concealing_packets(self._last[0], concealed):
                self._writer.write(packet, samples)
        for packet, samples in silent_packets(gap - concealed):
            self._writer.write(packet, samples)
        if gap > concealed:
            self._last = b""
