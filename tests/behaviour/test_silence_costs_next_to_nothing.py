"""Who is silent sends next to nothing (DTX); what others hear of it is the room, and each word from its beginning."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from raccall.testing.call import KEY, MODE, Samples
from raccall.testing.dialogue import OWN_SPEECH, read_samples
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, Nanos
from raccall.voice.chains import ReceiveChain, SendChain, SourceStats

TALK_FRAMES, PAUSE_FRAMES = 200, 500
"""4 s of speech, 10 s of pause, 4 s of speech."""
PAUSE_S = range(5, 14)
ROOM_DB = -60.0


@dataclass
class Heard:
    samples: Samples
    packets: list[tuple[int, int]]
    """Number of the frame with which each left, and its bytes."""
    source: SourceStats

    def bytes_of_pause(self) -> int:
        return sum(size for frame, size in self.packets if TALK_FRAMES <= frame < TALK_FRAMES + PAUSE_FRAMES)

    def level_db(self, from_ms: int, to_ms: int) -> float:
        part = self.samples[from_ms * 48 : to_ms * 48].astype(np.float64)
        return float(10 * np.log10((part**2).mean() + 1e-12))


def said() -> Samples:
    """Two clips with a pause between them, in a room of `ROOM_DB`."""
    parts = [read_samples(OWN_SPEECH / f"{name}.flac")[: TALK_FRAMES * FRAME_SAMPLES] for name in ("anna_1", "anna_2")]
    clean = np.concatenate([parts[0], np.zeros(PAUSE_FRAMES * FRAME_SAMPLES), parts[1]])
    room = np.random.default_rng(1).standard_normal(len(clean)) * 10 ** (ROOM_DB / 20)
    return np.asarray(clean + room, np.float32)


def at_once(_packet: int) -> float | None:
    return 0


def call(*, dtx: bool, late_ms: Callable[[int], float | None] = at_once) -> Heard:
    """`late_ms`: how late each packet comes; None: it is lost."""
    send = SendChain(1, MODE, KEY, dtx=dtx)
    receive = ReceiveChain(MODE, KEY)
    heard, packets, under_way = [], [], []
    for number, frame in enumerate(said().reshape(-1, FRAME_SAMPLES)):
        now = Nanos(number * 20 * NANOS_PER_MS)
        if (datagram := send.push(frame, now)) is not None:
            if (late := late_ms(len(packets))) is not None:
                under_way.append((Nanos(now + round(late * NANOS_PER_MS)), datagram))
            packets.append((number, len(datagram)))
        for half in range(2):
            at = Nanos(now + half * 10 * NANOS_PER_MS)
            for arrival, datagram in [item for item in under_way if item[0] <= at]:
                receive.push(datagram, arrival)
            under_way = [item for item in under_way if item[0] > at]
            heard.append(receive.pull(at)[:, 0])
    return Heard(np.concatenate(heard), packets, receive.report().sources[0])


@pytest.fixture(scope="module")
def resting() -> Heard:
    return call(dtx=True)


@pytest.fixture(scope="module")
def steady() -> Heard:
    return call(dtx=False)


def test_ten_seconds_of_silence_cost_less_than_a_tenth(resting: Heard, steady: Heard) -> None:
    assert resting.bytes_of_pause() < 0.1 * steady.bytes_of_pause()


def test_a_pause_is_no_loss(resting: Heard, steady: Heard) -> None:
    source = resting.source
    assert (source.lost, source.concealed, source.late, source.skipped) == (0, 0, 0, 0)
    assert source.jitter_ms < 1
    assert source.target_ms <= steady.source.target_ms + 5


def test_the_room_goes_on_a_little_quieter(resting: Heard, steady: Heard) -> None:
    for second in PAUSE_S:
        span = (1_000 * second, 1_000 * second + 1_000)
        assert -8 < resting.level_db(*span) - steady.level_db(*span) < 1, second
        quietest = min(resting.level_db(ms, ms + 50) for ms in range(*span, 50))
        assert quietest > ROOM_DB - 15, "not a moment is dead"


def test_the_first_word_after_it_is_complete(resting: Heard, steady: Heard) -> None:
    """20 ms by 20 ms, where there is speech, from the end of the pause on."""
    begin, end = 14_000, 17_900
    spoken = [ms for ms in range(begin, end, 20) if steady.level_db(ms, ms + 20) > ROOM_DB + 20]
    lag_ms = min(
        range(-60, 61, 5),
        key=lambda lag: sum(
            abs(resting.level_db(ms + lag, ms + lag + 20) - steady.level_db(ms, ms + 20)) for ms in spoken[:40]
        ),
    )
    for ms in spoken:
        missing_db = steady.level_db(ms, ms + 20) - resting.level_db(ms + lag_ms, ms + lag_ms + 20)
        assert missing_db < 3, f"{ms - begin} ms"


def test_a_lost_packet_of_a_pause_is_a_pause_all_the_same(resting: Heard) -> None:
    silent = [index for index, (frame, _) in enumerate(resting.packets) if 450 <= frame < 500]
    assert len(silent) >= 4
    for lost in silent[:4]:
        heard = call(dtx=True, late_ms=lambda packet, lost=lost: None if packet == lost else 0)
        assert (heard.source.lost, heard.source.concealed) == (1, 0)
        quietest = min(heard.level_db(ms, ms + 50) for ms in range(8_000, 13_000, 50))
        assert quietest > ROOM_DB - 15


def test_jitter_in_a_pause_is_not_learned_as_more_of_it(steady: Heard) -> None:
    def late_ms(packet: int) -> float:
        return (0, 6, 3, 14, 1, 9)[packet % 6]

    with_pauses, without = call(dtx=True, late_ms=late_ms), call(dtx=False, late_ms=late_ms)
    assert with_pauses.source.target_ms <= without.source.target_ms + 5
    assert with_pauses.source.concealed <= without.source.concealed + 1


def test_who_leaves_in_a_pause_is_not_heard_for_ever(resting: Heard) -> None:
    last = max(index for index, (frame, _) in enumerate(resting.packets) if frame < 500)
    heard = call(dtx=True, late_ms=lambda packet: None if packet > last else 0)
    assert heard.source.concealed == 0
    assert heard.level_db(10_000, 10_500) > ROOM_DB - 15
    assert not heard.samples[12 * 48_000 :].any()
