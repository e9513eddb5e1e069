"""Everyone in one file, at the loudness of a podcast and without clipping.

How loud the mix is, is known only at its end. So it is decoded once, into a draft beside the result, and encoded from
there with one gain for all: who was quieter than the others stays so. A very short or silent recording is left alone.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raccall.recorder.limiter import limited
from raccall.recorder.loudness import LoudnessMeter, gain_to
from raccall.recorder.ogg import PRE_SKIP_SAMPLES, OggOpusWriter
from raccall.recorder.placement import Progress
from raccall.units import FRAME_SAMPLES, SAMPLE_RATE_HZ
from raccall.voice.codec import Encoder

Samples = NDArray[np.float32]

TARGET_LUFS = -16.0
"""What podcasts are delivered at, and what is well heard on a laptop."""

MIX_BITRATE_BPS = {1: 64_000, 2: 96_000}
"""By channels."""


class MixDraft:
    """The mix before its gain is known, in a file: float16, whose error stays 66 dB below the sound whatever the gain.

    Silence is left out where the file system can: an hour of speech takes 0.35 GB a channel.
    """

    def __init__(self, path: Path, channels: int) -> None:
        self._file = path.open("x+b")
        self._channels = channels
        self._frames = 0
        self._meter = LoudnessMeter(channels)

    @property
    def gain_db(self) -> float:
        """What brings all that was added to TARGET_LUFS."""
        return gain_to(TARGET_LUFS, self._meter.lufs)

    def add(self, samples: Samples) -> None:
        """Append sound of shape (frames, channels)."""
        self._meter.add(samples)
        self._frames += len(samples)
        if samples.any():
            self._file.write(samples.astype(np.float16).data)
        else:
            self._file.seek(self._position(self._frames))

    def pieces(self) -> Iterator[Samples]:
        """All of it, second by second."""
        self._file.truncate(self._position(self._frames))
        self._file.seek(0)
        while piece := self._file.read(self._position(SAMPLE_RATE_HZ)):
            yield np.frombuffer(piece, np.float16).reshape(-1, self._channels).astype(np.float32)

    def write(self, path: Path, *, comments: dict[str, str], progress: Progress) -> None:
        """Write the mix as Ogg Opus. The draft is left as it is."""
        with path.open("xb") as file:
            serial = zlib.crc32(path.name.encode())
            writer = OggOpusWriter(file, channels=self._channels, serial=serial, comments=comments)
            bitrate_bps = MIX_BITRATE_BPS[self._channels]
            encoder = Encoder(SAMPLE_RATE_HZ, self._channels, "audio", bitrate_bps=bitrate_bps)
            end = self._frames + PRE_SKIP_SAMPLES
            for frame in _frames(self._amplified(), end):
                writer.write(encoder.encode(frame), FRAME_SAMPLES)
                progress(min(writer.granule / end, 1.0))
            writer.close(end)

    def close(self) -> None:
        self._file.close()

    def _amplified(self) -> Iterator[Samples]:
        return limited(self.pieces(), gain=10 ** (self.gain_db / 20))

    def _position(self, frames: int) -> int:
        return frames * self._channels * np.dtype(np.float16).itemsize


def _frames(pieces: Iterator[Samples], end: int) -> Iterator[Samples]:
    """The same sound in whole frames, silence appended, until all of `end` samples is in one."""
    rest = next(pieces)
    given = 0
    for piece in pieces:
        rest = np.concatenate([rest, piece])
        whole = len(rest) - len(rest) % FRAME_SAMPLES
        yield from rest[:whole].reshape(-1, FRAME_SAMPLES, rest.shape[1])
        given += whole
        rest = rest[whole:]
    missing = end - given
    padded = np.zeros((missing + -missing % FRAME_SAMPLES, rest.shape[1]), np.float32)
    padded[: len(rest)] = rest
    yield from padded.reshape(-1, FRAME_SAMPLES, rest.shape[1])
