"""The link of a call in a few lines: for `/stats` and for the end of the call. Pure."""

from raccall.cli.amounts import clock
from raccall.cli.screen import mouth_to_ear_ms
from raccall.client.diagnosis import Link, LinkWatch
from raccall.voice.engine import EngineStats

INDENT = " " * len("you → server   ")


def link_panel(watch: LinkWatch, stats: EngineStats) -> list[str]:
    """How it is now.

    you → server   loss 0.0 %  others miss 0.6 %  jitter 3 ms  waits 0 ms
                   sends 32 kb/s in packets of 20 ms
    server → you   loss 1.2 %  jitter 4 ms  waits 43 ms (aims at 40)
                   repaired 0.8 %  made up 0.5 %  stretched 1.0 %
    round trip 23 ms  delay about 55 ms  by udp  microphone -23 dB, sent
    """
    link = watch.link
    jitter_ms = max((source.jitter_ms for source in stats.sources), default=0.0)
    waits_ms = max((source.delay_ms for source in stats.sources), default=0.0)
    target_ms = max((source.target_ms for source in stats.sources), default=0.0)
    heard = "" if stats.heard_loss_pct is None else f"  others miss {stats.heard_loss_pct:.1f} %"
    delay_ms = mouth_to_ear_ms(stats)
    here = [
        "round trip ?" if stats.round_trip_ms is None else f"round trip {stats.round_trip_ms:.0f} ms",
        "" if delay_ms is None else f"delay about {delay_ms:.0f} ms",
        f"by {stats.route}",
        f"microphone {stats.input_level_db:.0f} dB, {'sent' if stats.sending else 'not sent'}",
    ]
    return [
        f"you → server   loss {link.loss_up_pct:.1f} %{heard}  jitter {stats.uplink_jitter_ms:.0f} ms  "
        f"waits {stats.uplink_queue_ms:.0f} ms",
        f"{INDENT}sends {stats.bitrate_bps / 1000:.0f} kb/s in packets of {stats.frame_ms} ms",
        f"server → you   loss {link.loss_down_pct:.1f} %  jitter {jitter_ms:.0f} ms  waits {waits_ms:.0f} ms (aims at "
        f"{target_ms:.0f})",
        f"{INDENT}repaired {link.repaired_pct:.1f} %  made up {link.concealed_pct:.1f} %  "
        f"stretched {link.stretched_pct:.1f} %",
        "  ".join(part for part in here if part),
    ]


def call_summary(total: Link, glitches: int) -> str:
    """How it was, in one line."""
    told = "" if glitches == 0 else f"; {glitches} {'glitch' if glitches == 1 else 'glitches'} told"
    return (
        f"{clock(total.seconds)} of call: loss you→server {total.loss_up_pct:.1f} %, "
        f"server→you {total.loss_down_pct:.1f} %; repaired {total.repaired_pct:.1f} %, "
        f"made up {total.concealed_pct:.1f} %, stretched {total.stretched_pct:.1f} %{told}."
    )
