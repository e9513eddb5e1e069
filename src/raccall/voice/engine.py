"""A member's voice as one native thread: socket, chains, sound. Python only starts it and reads its numbers."""

from dataclasses import dataclass
from typing import Any

from raccall._native import Engine, PacketTap, Sound
from raccall.units import Nanos, Ssrc

__all__ = ["Engine", "EngineStats", "PacketTap", "Sound", "SourceStats", "read_stats"]


@dataclass(frozen=True, slots=True)
class SourceStats:
    """One Source as it is received here. Counts are since its first packet."""

    ssrc: Ssrc
    received: int
    """Packets, each counted once."""
    lost: int
    """Packets that were sent, as their numbers tell, and have not come."""
    concealed: int
    """Frames of 20 ms made up by the decoder."""
    recovered: int
    """Lost packets played from the copy in their successor (LBRR)."""
    late: int
    """Packets that came after their turn."""
    skipped: int
    """Packets that came and were not played, because too much had to be caught up."""
    stretched_ms: int
    """Cut out of or put into speech, to follow the network."""
    paused_ms: int
    """The same in pauses, where it is not heard."""
    duplicates: int
    undecodable: int
    """Authentic packets whose payload is no Opus."""
    jitter_ms: float
    """Interarrival jitter (RFC 3550 section 6.4.1)."""
    target_ms: float
    """What the jitter buffer aims at."""
    delay_ms: float
    """Playout delay above the fastest packet; 0 while nothing is played."""
    level_db: float
    """Of the last frames played, against full scale; -127 is silence. Without decoding: what packets say (RFC 6464)."""
    talking: bool


@dataclass(frozen=True, slots=True)
class EngineStats:
    """An Engine's numbers, at most 100 ms old."""

    sent_packets: int
    sent_bytes: int
    """Of all datagrams, reports included, without UDP and IP headers."""
    first_sent: Nanos | None
    """When the first voice packet left."""
    received_packets: int
    """Voice packets, opened and seen for the first time."""
    route: str
    """Which way packets go: "udp", or "tunnel" (through the voice gateway's WebSocket) where UDP is blocked."""
    route_changes: int
    uplink_loss_pct: float | None
    """Told by the relay; None before its first report."""
    round_trip_ms: float | None
    """To the relay and back; None before its first report."""
    kernel_drops: int
    """Datagrams that the kernel threw away because this machine was too slow (Linux; 0 elsewhere)."""
    socket_errors: int
    """Sends and receives that failed."""
    receive_buffer_bytes: int
    """As granted by the system."""
    cpu: Nanos
    """CPU time of the Engine's thread."""
    playback_gaps: int
    """Times that the sound card found too little to play; of a clocked Sound, times that the thread ran 30 ms late."""
    capture_overruns: int
    """Times that captured sound was dropped because nobody took it."""
    refused: dict[str, int]
    """Datagrams that were not used, by reason."""
    sources: tuple[SourceStats, ...]


def read_stats(engine: Engine) -> EngineStats:
    """The numbers of `engine`, typed."""
    numbers: dict[str, Any] = engine.stats()
    numbers["first_sent"] = numbers.pop("first_sent_ns")
    numbers["cpu"] = numbers.pop("cpu_ns")
    numbers["sources"] = tuple(SourceStats(**source) for source in numbers["sources"])
    return EngineStats(**numbers)
