"""Keeps a sum of voices below full scale: crates/record/src/limiter.rs, which begins with how."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from raccall._native import LIMITER_CEILING, Limiter

__all__ = ["CEILING", "Limiter", "limited"]

CEILING: float = LIMITER_CEILING
"""-1.5 dBFS: Opus is lossy, and its decoder may put out a little more than went in."""


def limited(pieces: Iterable[NDArray[np.float32]], *, gain: float = 1.0) -> Iterator[NDArray[np.float32]]:
    """The same sound, limited: pieces of shape (n, channels), any n, in as many frames. gain: a factor before that."""
    limiter = None
    for piece in pieces:
        limiter = limiter or Limiter(piece.shape[1], gain=gain)
        yield limiter.push(piece)
    if limiter:
        yield limiter.finish()
