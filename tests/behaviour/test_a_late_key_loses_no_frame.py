"""Op 22, 29 or 30 is held back for two seconds while people talk: what was said meanwhile is recorded, in its place."""

import davey
import numpy as np
from numpy.typing import NDArray

from raccall.recorder.timeline import Timeline
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, Nanos, Ssrc
from raccall.voice.chains import ReceiveChain
from raccall.voice.codec import Encoder
from raccall.voice.e2ee import DaveMember
from raccall.voice.engine import Encryption
from raccall.voice.tap import Packets, TappedPacket
from raccall.wire.packet import Cipher, Packet
from tests.voice.test_encryption import ALICE, KEY, MODE, davey_and_ours

START_MS = 5_000
LATE_MS = 2_000
SILENCE = b"\xf8\xff\xfe"


def payloads_of(sound: NDArray[np.float32]) -> list[bytes]:
    encoder = Encoder()
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return [encoder.encode(frame) for frame in frames]


def recorded(datagrams: list[tuple[Nanos, bytes]], listener: DaveMember, late_ms: int) -> list[TappedPacket]:
    """What a recorder's tap gets, when the keys come so late."""
    chain = ReceiveChain(MODE, KEY)
    chain.set_decoding(False)
    chain.set_encryption(Encryption.ON, Nanos(0))
    packets: list[TappedPacket] = []
    told = False
    for now, datagram in datagrams:
        if not told and now >= (START_MS + late_ms) * NANOS_PER_MS:
            chain.use_keys(listener.keys(), now)
            packets += chain.released()
            told = True
        if (packet := chain.push(datagram, now)) is not None:
            packets.append(packet)
        packets += chain.released()
    report = chain.report()
    assert (report.refused, report.encryption.waiting, report.encryption.expired) == ({}, 0, 0)
    assert report.sources[0].owner == ALICE
    assert (report.encryption.released > 50) == (late_ms > 0)
    return packets


def track(packets: list[TappedPacket]) -> list[tuple[int, bytes]]:
    """Where each payload is placed, from batches as a journal hands them out."""
    timeline, now, placed = Timeline(Nanos(START_MS * NANOS_PER_MS)), 0, []
    for first in range(0, len(packets), 40):
        part = packets[first : first + 40]
        timeline.push(Packets.of(part).batch)
        now = max(now, *(packet.arrival for packet in part))
        placed.append(timeline.pull(Nanos(now)))
    placed.append(timeline.finish())
    assert (timeline.counts.lost, timeline.counts.late, timeline.counts.duplicates) == (0, 0, 0)
    return [(one.position, one.payload) for batch in placed for one in batch]


def test_a_late_key_loses_no_frame(ben: NDArray[np.float32]) -> None:
    alice, listener = davey_and_ours()
    payloads = payloads_of(ben)
    # She pauses after a second, which plain silence says, and talks again a while later.
    payloads[50:51] = [SILENCE]
    random = np.random.default_rng(7)
    datagrams: list[tuple[Nanos, bytes]] = []
    for number, payload in enumerate(payloads):
        sent_ms = START_MS + 20 * number + (300 if number > 50 else 0)
        packet = Packet(
            sequence=(65_500 + number) & 0xFFFF,
            timestamp=48 * sent_ms,
            ssrc=Ssrc(7),
            payload=alice.encrypt(davey.MediaType.audio, davey.Codec.opus, payload),
            padding_bytes=number % 3,
        )
        datagram = Cipher(MODE, KEY).seal(packet.write(), number.to_bytes(4, "big"))
        datagrams.append((Nanos(int((sent_ms + 30 * random.random()) * NANOS_PER_MS)), datagram))
    datagrams.sort()

    late, in_time = (recorded(datagrams, listener, late_ms) for late_ms in (LATE_MS, 0))
    assert late == in_time, "in the same order, with the times when they came"
    assert [packet.payload for packet in sorted(late, key=lambda packet: packet.sequence)] == payloads
    assert [payload for _, payload in track(late)] == payloads
