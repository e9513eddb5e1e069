"""An engine's numbers, made up: in mid-call, and before anything came."""

from dataclasses import replace
from typing import Any

from raccall.units import Nanos, Ssrc
from raccall.voice.engine import EngineStats, SourceStats

SOURCE = SourceStats(
    ssrc=Ssrc(7),
    received=10,
    lost=0,
    concealed=0,
    recovered=0,
    respoken=0,
    late=0,
    skipped=0,
    stretched_ms=0,
    paused_ms=0,
    duplicates=0,
    undecodable=0,
    jitter_ms=1.0,
    target_ms=40.0,
    delay_ms=40.0,
    level_db=-12.0,
    talking=True,
)
STATS = EngineStats(
    sent_packets=1,
    sent_bytes=100,
    first_sent=None,
    received_packets=10,
    route="udp",
    route_changes=0,
    uplink_loss_pct=0.0,
    round_trip_ms=20.0,
    kernel_drops=0,
    socket_errors=0,
    receive_buffer_bytes=1,
    cpu=Nanos(0),
    playback_gaps=0,
    capture_overruns=0,
    refused={},
    sources=(SOURCE,),
    input_level_db=-20.0,
    sending=True,
)
CALM = replace(
    STATS,
    sent_packets=1000,
    sent_bytes=0,
    received_packets=0,
    receive_buffer_bytes=0,
    sources=(),
    input_level_db=-127.0,
    sending=False,
)
"""Nobody is heard, and nothing is wrong."""


def source(ssrc: int, **others: Any) -> SourceStats:
    """Of one who talks, with nothing lost, but for what is said otherwise."""
    calm = {"received": 0, "target_ms": 20.0, "delay_ms": 20.0, "level_db": -20.0}
    return replace(SOURCE, **{"ssrc": Ssrc(ssrc), **calm, **others})
