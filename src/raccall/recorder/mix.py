"""Everyone in one file: decoded per speaker, lost packets recovered (LBRR) or concealed, summed, limited, encoded."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raccall.recorder.limiter import LATENCY_SAMPLES, Limiter
from raccall.recorder.ogg import PRE_SKIP_SAMPLES, OggOpusWriter
from raccall.recorder.opus_packet import is_silence
from raccall.recorder.timeline import Placed
from raccall.units import FRAME_SAMPLES, SAMPLE_RATE_HZ
from raccall.voice.codec import Decoder, Encoder, OpusError

Samples = NDArray[np.float32]

MIX_BITRATE_BPS = 64_000
MAX_LOSS_CONCEALED_SAMPLES = SAMPLE_RATE_HZ
PAUSE_CONCEALED_SAMPLES = SAMPLE_RATE_HZ // 10
"""A sender that simply stops would click: its sound is led out in 100 ms."""


class SpeakerSound:
    """One speaker's packets in, sound out: (position, samples) pieces in order. Long gaps give no piece."""

    def __init__(self) -> None:
        self._decoder = Decoder(SAMPLE_RATE_HZ, 1)
        self._end: int | None = None
        self._silent = True
        self.concealed_samples = 0
        self.recovered_samples = 0
        """Of lost packets, whose sound the packet after them carried (or could have carried)."""

    def add(self, placed: Placed) -> Iterator[tuple[int, Samples]]:
        """Sound up to the end of this packet; none for one left out of the track."""
        if not placed.in_track:
            return
        if self._end is not None and not self._silent:
            yield from self._bridge(self._end, placed)
        try:
            yield placed.position, self._decoder.decode(placed.payload)[:, 0]
        except OpusError:
            self.concealed_samples += placed.samples
            yield placed.position, self._decoder.conceal(placed.samples)[:, 0]
        self._end = placed.position + placed.samples
        self._silent = is_silence(placed.payload)

    def _bridge(self, begin: int, placed: Placed) -> Iterator[tuple[int, Samples]]:
        """The gap before a packet."""
        gap = placed.position - begin
        most = MAX_LOSS_CONCEALED_SAMPLES if placed.lost else PAUSE_CONCEALED_SAMPLES
        recovered = placed.samples if placed.lost and placed.samples <= gap <= most else 0
        concealed = min(gap, most) - recovered
        position = begin
        while position < begin + concealed:
            step = min(FRAME_SAMPLES, begin + concealed - position)
            sound = self._decoder.conceal(step)[:, 0]
            if gap > most and position + step == begin + concealed:
                sound = sound * np.linspace(1, 0, step, dtype=np.float32)
            yield position, sound
            position += step
        self.concealed_samples += concealed
        if recovered:
            self.recovered_samples += recovered
            yield position, self._decoder.decode_lbrr(placed.payload, recovered)[:, 0]


class Mix:
    """Writes mix.opus. Speakers' pieces may come in any order, as long as none lies before what was flushed."""

    def __init__(self, path: Path, *, comments: dict[str, str]) -> None:
        self._file = path.open("xb")
        serial = zlib.crc32(path.name.encode())
        self._writer = OggOpusWriter(self._file, channels=1, serial=serial, comments=comments)
        self._encoder = Encoder(SAMPLE_RATE_HZ, 1, "audio", bitrate_bps=MIX_BITRATE_BPS)
        self._limiter = Limiter()
        self._to_skip = LATENCY_SAMPLES
        self._limited = np.zeros(0, np.float32)
        self._sum = np.zeros(SAMPLE_RATE_HZ, np.float32)
        self._begin = 0
        """Position of the first sample of `_sum`."""
        self.too_late_samples = 0

    def add(self, position: int, samples: Samples) -> None:
        """Add a piece of one speaker's sound, as decoded: it comes late by the sender's look-ahead."""
        at = position - PRE_SKIP_SAMPLES - self._begin
        if at < 0:
            self.too_late_samples += min(-at, len(samples))
            samples, at = samples[-at:], 0
        end = at + len(samples)
        if end > len(self._sum):
            self._sum = np.concatenate([self._sum, np.zeros(end + SAMPLE_RATE_HZ - len(self._sum), np.float32)])
        self._sum[at:end] += samples

    def flush(self, position: int) -> None:
        """Encode everything before `position`."""
        while position - self._begin >= FRAME_SAMPLES:
            self._encode(self._take(FRAME_SAMPLES))

    def close(self, length: int) -> None:
        """Encode up to `length` samples and end there."""
        end = length + PRE_SKIP_SAMPLES
        while self._writer.granule < end:
            self._encode(self._take(FRAME_SAMPLES))
        self._writer.close(end)
        self._file.close()

    def _take(self, count: int) -> Samples:
        missing = count - len(self._sum)
        if missing > 0:
            self._sum = np.concatenate([self._sum, np.zeros(missing, np.float32)])
        taken, self._sum = self._sum[:count], self._sum[count:]
        self._begin += count
        return taken

    def _encode(self, samples: Samples) -> None:
        limited = self._limiter.process(samples)
        skipped = min(self._to_skip, len(limited))
        self._to_skip -= skipped
        self._limited = np.concatenate([self._limited, limited[skipped:]])
        while len(self._limited) >= FRAME_SAMPLES:
            frame, self._limited = self._limited[:FRAME_SAMPLES], self._limited[FRAME_SAMPLES:]
            self._writer.write(self._encoder.encode(frame), FRAME_SAMPLES)
