"""Whatever bytes come: they are counted by reason, nothing is raised, and the others are heard as before."""

import random

import numpy as np
from numpy.typing import NDArray

from raccall._native import Cipher
from raccall.testing.call import KEY, MODE, VirtualCall, talker
from raccall.testing.intelligibility import intelligibility
from raccall.units import Nanos
from raccall.wire.packet import Packet


def strangers(count: int, luck: random.Random) -> list[bytes]:
    """Bytes without the key: noise, cut and changed packets, other protocols."""
    genuine = talker(1).push(np.zeros(960, np.float32), Nanos(0))
    assert genuine is not None
    made = [b"", b"\x80", genuine[:11], genuine[:20], b"GET / HTTP/1.1\r\n\r\n", b"\x80\xc8" + bytes(26)]
    while len(made) < count:
        changed = bytearray(genuine)
        changed[luck.randrange(len(changed))] ^= 1 << luck.randrange(8)
        made += [bytes(changed), luck.randbytes(luck.randrange(1500)), genuine[: luck.randrange(len(genuine))]]
    return made


def insiders(count: int, luck: random.Random) -> list[bytes]:
    """Bytes by somebody who has the key: wild numbers, other payload types, payloads that are no Opus, bad headers."""
    cipher, made = Cipher(MODE, KEY), []
    for number in range(count):
        packet = bytearray(
            Packet(
                payload_type=luck.choice([120, 120, 120, 0, 96]),
                sequence=luck.randrange(65_536),
                timestamp=luck.randrange(2**32),
                ssrc=luck.randrange(100, 300),
                payload=luck.randbytes(luck.randrange(4 if number % 5 == 0 else 0, 60)),
            ).write()
        )
        if number % 5 == 0:
            packet[0] |= luck.choice([0x10, 0x20, 0x30])  # an extension or padding that is not there
        made.append(cipher.seal(bytes(packet), (1_000_000 + number).to_bytes(4, "big")))
    return made


def test_hostile_datagrams_never_raise(anna: NDArray[np.float32]) -> None:
    luck = random.Random(1)
    call = VirtualCall(seed=1)
    call.add(1)
    first = call.run({1: anna[:48_000]})
    outside, inside = strangers(1500, luck), insiders(1500, luck)
    attack = outside + inside
    luck.shuffle(attack)
    taken = 0
    heard = [first]
    for number in range(50):  # a second of talk, with 60 hostile datagrams in every frame
        for datagram in attack[number::50]:
            taken += call.listener.push(datagram, call.clock.now) is not None
        heard.append(call.run({1: anna[48_000 + number * 960 :][:960]}))

    report = call.listener.report()
    assert sum(report.refused.values()) + taken == len(attack)
    assert set(report.refused) >= {"too_short", "malformed", "bad_seal", "payload_type", "too_many_sources", "too_old"}
    assert report.refused["too_short"] + report.refused["malformed"] + report.refused["bad_seal"] >= len(outside) * 0.9
    assert len(report.sources) == 64
    spoken = next(source for source in report.sources if source.ssrc == 1)
    assert (spoken.received, spoken.lost, spoken.late) == (100, 0, 0)
    assert all(np.abs(part).max() <= 1 and np.isfinite(part).all() for part in heard)


def test_strangers_are_not_heard(anna: NDArray[np.float32]) -> None:
    luck = random.Random(2)
    call = VirtualCall(seed=1)
    call.add(1)
    heard = []
    for number, datagram in enumerate(strangers(100, luck)[:100]):
        call.listener.push(datagram, call.clock.now)
        heard.append(call.run({1: anna[number * 960 :][:960]}))
    assert intelligibility(anna[:96_000], np.concatenate(heard)) > 0.8
    assert [source.ssrc for source in call.listener.report().sources] == [1]
