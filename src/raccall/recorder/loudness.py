"""How loud sound is to people, and the gain that makes it as loud as it should be: ITU-R BS.1770-4, EBU R 128."""

import math

from raccall._native import LoudnessMeter

__all__ = ["MAX_GAIN_DB", "LoudnessMeter", "gain_to"]

MAX_GAIN_DB = 30.0
"""Sound so quiet that it would need more is hardly speech, and would become noise."""


def gain_to(target_lufs: float, lufs: float) -> float:
    """How many dB louder sound of `lufs` must become; 0 for silence, at most MAX_GAIN_DB."""
    return min(target_lufs - lufs, MAX_GAIN_DB) if math.isfinite(lufs) else 0.0
