"""The losses that concealment is judged by, and what each listener makes of them."""

import numpy as np
import pytest

from bench.conceal import GAINS, LISTENERS, bursts, make_call
from raccall.audio.files import Samples


@pytest.mark.parametrize("loss_pct", GAINS)
def test_a_clip_loses_what_is_said_in_bursts(loss_pct: float) -> None:
    lost = np.stack([bursts(loss_pct, 400, seed) for seed in range(5)])
    assert lost.mean() == pytest.approx(loss_pct / 100, rel=0.15)
    begins = (lost & ~np.roll(lost, 1, axis=1)).sum()
    assert 1.4 < lost.sum() / begins < 2.6, "packets a burst"


def test_every_listener_hears_the_whole_clip(speech: Samples) -> None:
    call = make_call(speech[:96_000], 10.0, 1)
    lengths = {name: len(listen(call)) for name, listen in LISTENERS.items()}
    assert set(lengths.values()) == {len(call.clip)}
