"""The link in a few lines, each at most 78 columns."""

from dataclasses import replace

from raccall.cli.link_panel import call_summary, link_panel
from raccall.client.diagnosis import Link, LinkWatch
from tests.client.test_diagnosis import ms, source
from tests.figures import CALM


def test_the_panel_tells_both_hops_and_the_microphone() -> None:
    watch = LinkWatch()
    first = replace(CALM, sources=(source(),))
    now = replace(
        CALM,
        uplink_loss_pct=1.5,
        uplink_jitter_ms=3.2,
        uplink_queue_ms=12.0,
        bitrate_bps=24_000,
        frame_ms=40,
        heard_loss_pct=2.0,
        input_level_db=-23.4,
        sending=True,
        sources=(
            source(
                received=95,
                lost=12,
                recovered=4,
                respoken=3,
                concealed=5,
                stretched_ms=40,
                jitter_ms=7.0,
                delay_ms=43.0,
            ),
        ),
    )
    watch.look(first, ms(0))
    watch.look(now, ms(2000))
    assert link_panel(watch, now) == [
        "you → server   loss 1.5 %  others miss 2.0 %  jitter 3 ms  waits 12 ms",
        "               sends 24 kb/s in packets of 40 ms",
        "server → you   loss 11.2 %  jitter 7 ms  waits 43 ms (aims at 20)",
        "               repaired 6.5 %  made up 4.7 %  stretched 1.9 %",
        "round trip 20 ms  delay about 53 ms  by udp  microphone -23 dB, sent",
    ]


def test_it_fits_into_80_columns_on_a_bad_link() -> None:
    bad = source(received=9, lost=991, concealed=99, jitter_ms=99.0, target_ms=500.0, delay_ms=400.0)
    worst = replace(CALM, uplink_loss_pct=99.9, uplink_jitter_ms=99.0, uplink_queue_ms=9999.0, heard_loss_pct=99.9)
    rows = link_panel(
        LinkWatch(), replace(worst, round_trip_ms=800.0, input_level_db=-60.0, route="tunnel", sources=(bad,))
    )
    assert max(map(len, rows)) <= 78


def test_before_any_report_nothing_is_invented() -> None:
    unknown = replace(CALM, round_trip_ms=None)
    *_, here = link_panel(LinkWatch(), unknown)
    assert here == "round trip ?  by udp  microphone -127 dB, not sent"


def test_a_call_is_summed_up_in_a_line() -> None:
    total = Link(
        seconds=754, loss_up_pct=0.25, loss_down_pct=1.0, repaired_pct=0.75, concealed_pct=0.5, stretched_pct=2.0
    )
    assert call_summary(total, 1) == (
        "0:12:34 of call: loss you→server 0.2 %, server→you 1.0 %; "
        "repaired 0.8 %, made up 0.5 %, stretched 2.0 %; 1 glitch told."
    )
