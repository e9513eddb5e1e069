"""Clicks are noticed where time-stretching could make them."""

import numpy as np

from bench.stretch import CLICK_DB, rare_flux_db
from raccall.audio.files import Samples


def test_cuts_without_a_cross_fade_are_clicks(speech: Samples) -> None:
    cut = np.concatenate([piece[96:] for piece in np.array_split(speech, len(speech) // 4800)])
    assert rare_flux_db([cut]) > rare_flux_db([speech]) + CLICK_DB
