"""Sound set aside until it is known how loud it is: decoded once, written twice."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from raccall.recorder.export.formats import Samples
from raccall.recorder.loudness import LoudnessMeter
from raccall.units import SAMPLE_RATE_HZ


class Draft:
    """One file's sound in float32, to the bit as it came: 0.7 GB an hour and channel. Silence takes no room where the
    file system can leave it out. Raises OSError."""

    def __init__(self, path: Path, channels: int) -> None:
        self._path = path
        self._file = path.open("x+b")
        self._channels = channels
        self._bytes = 0
        self._meter = LoudnessMeter(channels)

    @property
    def lufs(self) -> float:
        """Of everything written."""
        return self._meter.lufs

    def write(self, frames: Samples) -> None:
        """Append sound of shape (n, channels)."""
        self._meter.add(frames)
        self._bytes += frames.nbytes
        if frames.any():
            self._file.write(np.ascontiguousarray(frames).data)
        else:
            self._file.seek(self._bytes)

    def pieces(self) -> Iterator[Samples]:
        """All of it, second by second."""
        self._file.truncate(self._bytes)
        self._file.seek(0)
        while piece := self._file.read(SAMPLE_RATE_HZ * self._channels * np.dtype(np.float32).itemsize):
            yield np.frombuffer(piece, np.float32).reshape(-1, self._channels)

    def close(self) -> None:
        """Remove it."""
        self._file.close()
        self._path.unlink(missing_ok=True)
