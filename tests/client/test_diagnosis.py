"""Each glitch has its sentence, told once; the sums of a call are right."""

from dataclasses import replace

import pytest

from raccall.client.diagnosis import LinkWatch
from raccall.units import NANOS_PER_MS, Nanos, Ssrc
from raccall.voice.engine import EngineStats, SourceStats
from tests import figures
from tests.figures import CALM

ANNA, BEN = Ssrc(1), Ssrc(2)
NAMES = {ANNA: "anna", BEN: "ben"}


def ms(number: int) -> Nanos:
    return Nanos(number * NANOS_PER_MS)


def source(ssrc: Ssrc = ANNA, **others: float) -> SourceStats:
    return figures.source(ssrc, **others)


def told(before: EngineStats, after: EngineStats) -> list[str]:
    watch = LinkWatch()
    assert watch.look(before, ms(0), NAMES) == []
    return watch.look(after, ms(500), NAMES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernel_drops": 3}, "too busy to take 3 packets"),
        ({"playback_gaps": 1, "late_ticks": 1}, "this machine was too busy"),
        ({"playback_gaps": 1}, "device or driver"),
        ({"capture_overruns": 1}, "clock"),
        ({"route": "tunnel", "route_changes": 1}, "over the web connection"),
        ({"uplink_queue_ms": 180.0, "bitrate_bps": 9000}, "waits 180 ms there. It is sent at 9 kb/s"),
        ({"uplink_loss_pct": 15.0}, "miss 15 % of what you say"),
    ],
)
def test_each_cause_of_this_side_has_its_sentence(change: dict[str, float], words: str) -> None:
    (sentence,) = told(CALM, replace(CALM, **change))
    assert words in sentence


def test_bursts_losses_and_delays_of_the_way_here_are_told_apart() -> None:
    before = replace(CALM, sources=(source(received=1000),))

    def heard(**numbers: float) -> str:
        return told(before, replace(CALM, sources=(source(concealed=10, **numbers),)))[0]

    assert "all at once" in heard(received=1025, jitter_ms=60.0)
    assert "20 % of the packets were lost" in heard(received=1020, lost=5)
    assert "too late" in heard(received=1025)


def test_a_voice_that_alone_is_bad_has_its_own_link_to_blame() -> None:
    before = replace(CALM, sources=(source(ANNA, received=1000), source(BEN, received=1000)))
    after = replace(
        CALM, sources=(source(ANNA, received=1025), source(BEN, received=1015, lost=10, concealed=10, jitter_ms=9.0))
    )
    assert "ben was hard to hear" in told(before, after)[0]


def test_what_nobody_notices_is_not_told() -> None:
    before = replace(CALM, sources=(source(received=1000),))
    assert told(before, replace(CALM, sources=(source(received=1024, lost=1, concealed=1),))) == []
    assert told(replace(CALM, kernel_drops=5), replace(CALM, sent_packets=3)) == [], "a new voice session"


def test_the_same_cause_is_told_once_in_ten_seconds() -> None:
    watch = LinkWatch()
    sentences = [watch.look(replace(CALM, kernel_drops=look), ms(500 * look), NAMES) for look in range(42)]
    assert [look for look, said in enumerate(sentences) if said] == [1, 21, 41]
    assert watch.glitches == 3


def test_a_call_adds_up_and_its_last_minute_is_kept() -> None:
    watch = LinkWatch()
    for look in range(201):
        numbers = {"received": 24 * look, "lost": look, "concealed": look, "stretched_ms": 5 * look}
        watch.look(replace(CALM, uplink_loss_pct=4.0, sources=(source(**numbers),)), ms(500 * look), NAMES)
    total = watch.total
    assert (total.seconds, total.loss_up_pct, total.loss_down_pct) == (100.0, 4.0, 4.0)
    assert (total.concealed_pct, total.stretched_pct) == (4.0, 1.0)
    assert watch.link.loss_down_pct == 4.0
    minute = list(watch.last_minute())
    assert (len(minute), minute[0]["at_ms"], minute[-1]["at_ms"]) == (120, 0, 59_500)
    assert minute[-1]["sources"][0]["lost"] == 200
