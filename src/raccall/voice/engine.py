"""A member's voice as one native thread: socket, chains, sound. Python only starts it and reads its numbers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from raccall._native import Engine, PacketTap, SharedSound, Sound
from raccall.units import Nanos, Ssrc
from raccall.voice.processing import IDLE, ProcessReport

__all__ = [
    "Encryption",
    "EncryptionStats",
    "Engine",
    "EngineStats",
    "GateMode",
    "PacketTap",
    "SharedSound",
    "Sound",
    "SourceStats",
    "read_stats",
]


class GateMode(StrEnum):
    """When a microphone is heard."""

    OPEN = "open"
    """Always."""
    VOICE = "voice"
    """While somebody speaks: from 100 ms before a word until 400 ms behind the last."""
    PUSH_TO_TALK = "ptt"
    """While a key is held: from 60 ms before until 200 ms behind."""


class Encryption(StrEnum):
    """What is to be encrypted end to end. What carries no mark of it and is not F8 FF FE is plain."""

    OFF = "off"
    """Plain goes out and in. With keys still at hand what is encrypted is opened: others may have switched already."""
    EITHER = "either"
    """On the way down, from op 21 with version 0 until op 22: as ON, and plain comes in, too."""
    ON = "on"
    """Nothing goes out without a key, plain is refused; for ten seconds after OFF it still comes in."""


@dataclass(frozen=True, slots=True)
class EncryptionStats:
    """Frames, by what became of them since the start."""

    encrypted: int = 0
    """Sent."""
    unsent: int = 0
    """Not sent, because encryption is on and there is no key yet."""
    decrypted: int = 0
    plain: int = 0
    """Came unencrypted and might: silence, or while encryption is not on."""
    unencrypted: int = 0
    """Came unencrypted and might not: refused."""
    replayed: int = 0
    """A frame that had been opened before: refused."""
    bad_tag: int = 0
    """Fitted no key at hand when they came: held."""
    waiting: int = 0
    """Held now: their key or owner may still come."""
    released: int = 0
    """Opened after waiting."""
    expired: int = 0
    """Held for ten seconds in vain."""
    overflowed: int = 0
    """Not held any longer, because too many bytes waited."""
    untried: int = 0
    """Times that other members' keys were not tried, because too much had been tried in that second."""


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
    respoken: int
    """Frames of 20 ms spoken again from what a later packet told of them (DRED)."""
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
    owner: int | None = None
    """Whose key opened the newest encrypted frame: who it is, whatever anyone claims. None: none was opened."""


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
    bitrate_bps: int = 0
    """At which voice is sent now, of payloads alone."""
    frame_ms: int = 20
    """What a packet holds now."""
    held_frames: int = 0
    """Frames of 20 ms not sent because they would only have waited in a queue."""
    uplink_jitter_ms: float = 0.0
    """Of our packets at the relay."""
    uplink_queue_ms: float = 0.0
    """What each of our packets waits on the way to the relay."""
    heard_loss_pct: float | None = None
    """What three quarters of the listeners lose of us at most; None while none has told."""
    input_level_db: float = -127.0
    """Of the microphone's last 20 ms as they were processed, sent or not."""
    sending: bool = False
    """The microphone is neither muted nor its gate closed."""
    late_ticks: int = 0
    """Times that this machine let the voice's thread wait so long that a sound card may have run dry."""
    encryption: EncryptionStats = EncryptionStats()
    processing: ProcessReport = IDLE
    """What is done to the microphone's sound."""
    drift_ppm: float = 0.0
    """How much faster the loudspeaker's clock runs than the microphone's; taken out before echo is cancelled."""
    echo_jumps: int = 0
    """Times that the echo canceller lost its reference and had to begin anew; the first is the beginning."""


def read_stats(engine: Engine) -> EngineStats:
    """The numbers of `engine`, typed."""
    numbers: dict[str, Any] = engine.stats()
    numbers["first_sent"] = numbers.pop("first_sent_ns")
    numbers["cpu"] = numbers.pop("cpu_ns")
    numbers["sources"] = tuple(SourceStats(**source) for source in numbers["sources"])
    numbers["processing"] = ProcessReport(**numbers["processing"])
    numbers["encryption"] = EncryptionStats(**numbers.get("encryption", {}))
    return EngineStats(**numbers)
