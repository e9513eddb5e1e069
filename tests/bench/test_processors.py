"""What the benches of processing feed and measure with: that a drift they stage is the one they say."""

import numpy as np
import pytest

from bench.echo import erle
from bench.processors import FRAME, OursInACall, lag, only, run, shifted
from bench.sounds import SPEECH_DB, VOICES, active_level, noises, voice
from raccall.voice.processing import EchoReference


class Silent:
    def run(self, far: np.ndarray, near: np.ndarray) -> np.ndarray:
        return np.zeros_like(near)


def test_voices_are_at_one_level_and_noises_below_full_scale() -> None:
    name = next(iter(VOICES))
    assert 20 * np.log10(active_level(voice(name))) == pytest.approx(SPEECH_DB, abs=0.1)
    for kind, noise in noises(5 * 48_000).items():
        assert len(noise) == 5 * 48_000 and np.abs(noise).max() <= 1 and noise.std() > 0.01, kind


def test_a_delay_is_found_and_taken_out() -> None:
    class Late(Silent):
        kept = np.zeros(FRAME, np.float32)

        def run(self, far: np.ndarray, near: np.ndarray) -> np.ndarray:
            out, self.kept = self.kept, near
            return out

    assert lag(Late) == FRAME
    out, cpu_us = run(Late(), np.arange(FRAME * 4) / 1e4)
    assert (shifted(out, FRAME)[: FRAME * 3] == np.float32(np.arange(FRAME * 3) / 1e4)).all() and cpu_us > 0


def test_the_staged_call_tells_the_drift_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    original = EchoReference.take_clocks
    monkeypatch.setattr(EchoReference, "take_clocks", lambda self, **clocks: told.append(original(self, **clocks)))
    call = OursInACall(only(high_pass=True), 100.0)
    silence = np.zeros(FRAME, np.float32)
    for _ in range(2_000):
        call.run(silence, silence)
    assert told[-1] == pytest.approx(-100, abs=15)
    assert call._reference.jumps == 1


def test_erle_is_in_db() -> None:
    echo = np.sin(np.arange(48_000) / 10)
    assert erle(echo, 0.01 * echo, 0, 1) == pytest.approx(40, abs=0.1)
