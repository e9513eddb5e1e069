"""Sound encoded as Ogg Opus."""

import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raccall.recorder.ogg import PRE_SKIP_SAMPLES, OggOpusWriter
from raccall.units import FRAME_SAMPLES, SAMPLE_RATE_HZ
from raccall.voice.codec import Application, Encoder

BITRATE_BPS = 64_000
"""A channel. Far above what a call's speech came in with, so that the second encoding is not heard."""


class OpusFile:
    """Sound in, a file of exactly `frames` samples a channel out. See `formats.SoundOut`."""

    int16 = False

    def __init__(self, path: Path, *, channels: int, frames: int, tags: dict[str, str]) -> None:
        self._file = path.open("xb")
        self._end = frames + PRE_SKIP_SAMPLES
        comments = {name.upper(): value for name, value in tags.items()}
        serial = zlib.crc32(path.name.encode())
        self._writer = OggOpusWriter(self._file, channels=channels, serial=serial, comments=comments)
        self._encoder = Encoder(SAMPLE_RATE_HZ, channels, Application.AUDIO, bitrate_bps=BITRATE_BPS * channels)
        self._rest = np.zeros((0, channels), np.float32)

    def write(self, frames: NDArray[np.float32] | NDArray[np.int16]) -> None:
        """Encode whole frames of 20 ms; what remains waits."""
        sound = np.concatenate([self._rest, frames])
        whole = len(sound) - len(sound) % FRAME_SAMPLES
        for at in range(0, whole, FRAME_SAMPLES):
            self._writer.write(self._encoder.encode(sound[at : at + FRAME_SAMPLES]), FRAME_SAMPLES)
        self._rest = sound[whole:]

    def finish(self) -> None:
        """Encode the rest, and so much silence that a decoder gets the last sample out."""
        missing = self._end - self._writer.granule - len(self._rest)
        self.write(np.zeros((missing + -self._end % FRAME_SAMPLES, self._rest.shape[1]), np.float32))
        self._writer.close(self._end)
        self._file.close()

    def close(self) -> None:
        """Let go of the file, complete or not."""
        with suppress(OSError):
            self._file.close()
