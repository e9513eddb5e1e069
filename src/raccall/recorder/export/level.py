"""How loud a file becomes: one gain for all of it, then a limiter."""

import numpy as np

from raccall.recorder.export.formats import Samples
from raccall.recorder.limiter import AlignedLimiter


class Level:
    """Sound in, levelled sound out: `push` gives it late, `finish` the rest."""

    def __init__(self, gain_db: float, *, limited: bool) -> None:
        self._gain = np.float32(10 ** (gain_db / 20))
        self._limiter = AlignedLimiter() if limited else None

    def push(self, frames: Samples) -> Samples:
        """float32, shape (n, channels). With a limiter, what comes out is never above its ceiling."""
        louder = frames if self._gain == 1 else frames * self._gain
        return self._limiter.push(louder) if self._limiter else louder

    def finish(self) -> Samples | None:
        """What is still inside; None when nothing is."""
        return self._limiter.finish() if self._limiter else None
