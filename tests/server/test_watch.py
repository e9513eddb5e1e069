"""Rates and sums of the relay's counters, in virtual time."""

from raccall.server.watch import Watch
from raccall.units import NANOS_PER_SECOND, Nanos


def stats(received=0, lost=0, sent=0, heard=0, jitter=0):
    return {
        "received": received,
        "received_bytes": 100 * received,
        "lost": lost,
        "sent": sent,
        "sent_bytes": 100 * sent,
        "heard_fraction_lost": heard,
        "jitter_ticks": jitter,
    }


def at(seconds):
    return Nanos(seconds * NANOS_PER_SECOND)


def test_two_looks_make_a_rate():
    watch = Watch()
    watch.look(at(1), {7: stats(received=50, lost=50)})
    watch.look(at(3), {7: stats(received=140, lost=60, sent=200, heard=64, jitter=480)})
    voice = watch.voices[7]
    assert (voice.up_loss_pct, voice.down_loss_pct) == (10.0, 25.0)
    assert (voice.up_kbps, voice.down_kbps, voice.jitter_ms) == (36.0, 80.0, 10.0)


def test_sums_outlive_sessions_and_never_fall():
    watch = Watch()
    watch.look(at(1), {1: stats(received=10, lost=4), 2: stats(received=5)})
    watch.look(at(2), {1: stats(received=11, lost=2)})
    watch.look(at(3), {3: stats(received=100)})
    assert (watch.sums["received"], watch.sums["lost"], watch.voices.keys()) == (116, 4, {3})


def test_who_sends_nothing_loses_nothing_that_is_known():
    watch = Watch()
    watch.look(at(1), {1: stats()})
    watch.look(at(1), {1: stats()})
    assert watch.voices[1].up_loss_pct is None and watch.voices[1].up_kbps == 0


def test_the_worst_lag_is_shown_for_two_looks():
    watch = Watch()
    watch.lag(0.5)
    watch.lag(0.1)
    watch.look(at(1), {})
    assert watch.loop_lag_s == 0.5
    watch.look(at(3), {})
    assert watch.loop_lag_s == 0.0
