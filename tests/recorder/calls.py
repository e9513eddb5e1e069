"""Calls made by hand, in virtual time: speech-like sound, encoded by libsndfile, sent over a seeded bad network."""

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.tap import TappedPacket

Sound = NDArray[np.float32]

START = Nanos(1_000 * NANOS_PER_SECOND)
WALL_NS = 1_795_000_000 * NANOS_PER_SECOND
FRAME_NS = 20 * NANOS_PER_MS


def speech(seconds: float, seed: int) -> Sound:
    """Sound that is like speech where it matters here: voiced syllables of changing pitch, with short pauses."""
    random = np.random.default_rng(seed)
    t = np.arange(int(seconds * 48_000)) / 48_000
    pitch = (
        110 + 60 * random.random() + 25 * np.cumsum(random.normal(0, 1, len(t) // 4800 + 1)).repeat(4800)[: len(t)] / 5
    )
    phase = 2 * np.pi * np.cumsum(np.clip(pitch, 80, 300)) / 48_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * (2.7 + random.random()) * t + random.random()) + 0.5, 0, 1)
    noise = random.normal(0, 0.05, len(t))
    return (0.15 * syllables * (voice + noise)).astype(np.float32)


def encode(sound: Sound, folder: Path) -> list[bytes]:
    """20 ms Opus packets, one per 960 samples of sound, by libsndfile's encoder."""
    path = folder / f"encoded_{abs(hash(sound.tobytes()))}.opus"
    soundfile.write(path, sound, 48_000, format="OGG", subtype="OPUS")
    return ogg_packets(path.read_bytes())[2:][: len(sound) // 960]


def ogg_packets(data: bytes) -> list[bytes]:
    """All packets of an Ogg file with one stream, headers included."""
    packets, current, at = [], b"", 0
    while at < len(data):
        assert data[at : at + 4] == b"OggS"
        segments = data[at + 26]
        lacing = data[at + 27 : at + 27 + segments]
        at += 27 + segments
        for size in lacing:
            current += data[at : at + size]
            at += size
            if size < 255:
                packets.append(current)
                current = b""
    return packets


@dataclass
class Sender:
    """One microphone: what it sends and when."""

    ssrc: int
    payloads: list[bytes]
    begins_ms: float = 0.0
    sequence: int = 65_530
    timestamp: int = 2**32 - 5 * 960
    drift_ppm: float = 0.0
    """The sender's clock runs this much slow."""
    pauses_ms: dict[int, float] = field(default_factory=dict)
    """Before the packet of this index nothing is sent for so long, by the sender's clock."""
    pause_counts: bool = True
    """Whether the timestamps go on in a pause; some senders' stop."""

    def sent(self) -> list[tuple[int, TappedPacket]]:
        """When each packet was sent, and the packet as it would arrive then."""
        at = float(START) + self.begins_ms * NANOS_PER_MS
        ticks = 0
        out = []
        for index, payload in enumerate(self.payloads):
            pause_ms = self.pauses_ms.get(index, 0.0)
            at += pause_ms * NANOS_PER_MS * (1 + self.drift_ppm * 1e-6)
            ticks += round(pause_ms * 48) if self.pause_counts else 0
            sequence, timestamp = self.sequence + index, self.timestamp + ticks
            rtp = struct.pack(">BBHII", 0x80, 120, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc) + payload
            sequence, timestamp = sequence + (1 << 16), timestamp + (1 << 32)
            out.append((int(at), TappedPacket(Nanos(int(at)), Ssrc(self.ssrc), sequence, timestamp, rtp)))
            at += FRAME_NS * (1 + self.drift_ppm * 1e-6)
            ticks += 960
        return out


def over_network(
    senders: list[Sender], *, seed: int, loss: float = 0.0, jitter_ms: float = 0.0, delay_ms: float = 40.0
) -> list[TappedPacket]:
    """What arrives, in order of arrival: each packet late by delay plus uniform jitter; some overtake others."""
    random = np.random.default_rng(seed)
    arrived = []
    for sender in senders:
        for at, packet in sender.sent():
            if random.random() >= loss:
                late = int((delay_ms + random.random() * jitter_ms) * NANOS_PER_MS)
                arrived.append(replace(packet, arrival=Nanos(at + late)))
    return sorted(arrived, key=lambda packet: packet.arrival)


def offset_ms(recorded: Sound, sent: Sound) -> tuple[float, float]:
    """Where `sent` best fits into `recorded`, in milliseconds, and the normalised correlation there."""
    size = 1 << (len(recorded) + len(sent) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(sent, size)), size)
    best = int(np.argmax(product))
    at = best if best < size // 2 else best - size
    lo, hi = max(at, 0), min(at + len(sent), len(recorded))
    part, mate = recorded[lo:hi], sent[lo - at : hi - at]
    return at / 48, float(np.dot(part, mate) / (np.linalg.norm(part) * np.linalg.norm(mate) + 1e-12))
