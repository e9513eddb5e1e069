"""How loud a file becomes: one gain for all of it, then a limiter."""

import numpy as np
from numpy.typing import NDArray

from raccall.recorder.export.formats import Samples
from raccall.recorder.limiter import Limiter


class Level:
    """Sound in, levelled sound out: `push` gives it late, `finish` the rest.

    limited: what comes out is never above the limiter's ceiling. int16: it comes out in 16 bits; only with a limiter.
    """

    def __init__(self, channels: int, gain_db: float, *, limited: bool, int16: bool) -> None:
        self._gain = np.float32(10 ** (gain_db / 20))
        self._limiter = Limiter(channels, gain=float(self._gain)) if limited else None
        self._int16 = int16

    def push(self, frames: Samples) -> Samples | NDArray[np.int16]:
        """float32, shape (n, channels)."""
        if self._limiter:
            return self._limiter.push_int16(frames) if self._int16 else self._limiter.push(frames)
        return frames if self._gain == 1 else frames * self._gain

    def finish(self) -> Samples | NDArray[np.int16] | None:
        """What is still inside; None when nothing is."""
        if self._limiter:
            return self._limiter.finish_int16() if self._int16 else self._limiter.finish()
        return None
