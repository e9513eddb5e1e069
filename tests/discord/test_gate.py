"""Which packets may be kept, in virtual time."""

from raccall.discord.gate import HOLD, HOLD_BYTES, Gate
from raccall.units import NANOS_PER_MS, Nanos, Ssrc
from raccall.voice.tap import TappedPacket, Tick

ANNA, BERTA = "1", "2"


def packet(ssrc: int, sequence: int, *, now: int = 0, size: int = 4) -> TappedPacket:
    rtp = bytes([0x80, 120]) + sequence.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big") + bytes(size)
    return TappedPacket(Nanos(now), Ssrc(ssrc), sequence, 960 * sequence, rtp)


def passed(gate: Gate, now: int, *packets: TappedPacket) -> list[tuple[int, int]]:
    return [(p.ssrc, p.sequence) for batch in gate.take(Tick(Nanos(now), packets)) for p in batch]


def gate(*opted_out: str, here: tuple[str, ...] = (ANNA, BERTA)) -> Gate:
    made = Gate(opted_out)
    made.open = True
    made.set_people(Nanos(0), here)
    return made


def test_nothing_passes_before_the_channel_was_told() -> None:
    closed = Gate()
    assert passed(closed, 0, packet(7, 1)) == []
    assert closed.counts.unannounced == 1
    closed.open = True
    assert passed(closed, 0, packet(7, 2)) == [(7, 2)]


def test_strangers_pass_while_nobody_here_said_no() -> None:
    assert passed(gate(), 0, packet(7, 1)) == [(7, 1)]
    assert passed(gate(ANNA, here=(BERTA,)), 0, packet(7, 1)) == [(7, 1)]


def test_who_said_no_never_passes() -> None:
    tested = gate(ANNA)
    tested.set_owner(Ssrc(7), ANNA)
    tested.set_owner(Ssrc(8), BERTA)
    assert passed(tested, 0, packet(7, 1), packet(8, 1), packet(7, 2), packet(8, 2)) == [(8, 1), (8, 2)]
    assert tested.counts.opted_out == 2


def test_strangers_wait_until_it_is_known_whose_they_are() -> None:
    tested = gate(ANNA)
    assert passed(tested, 0, packet(7, 1), packet(8, 1)) == []
    tested.set_owner(Ssrc(8), BERTA)
    assert passed(tested, 1, packet(8, 2)) == [(8, 1), (8, 2)]
    tested.set_owner(Ssrc(7), ANNA)
    assert passed(tested, 2) == []
    assert (tested.counts.opted_out, tested.counts.unknown) == (1, 0)


def test_held_packets_keep_their_arrival() -> None:
    tested = gate(ANNA)
    passed(tested, 5, packet(8, 1, now=5))
    tested.set_owner(Ssrc(8), BERTA)
    (batch,) = tested.take(Tick(Nanos(9), ()))
    assert [p.arrival for p in batch] == [5]


def test_what_stays_unknown_is_thrown_away() -> None:
    tested = gate(ANNA)
    passed(tested, 0, packet(7, 1))
    passed(tested, HOLD)
    tested.set_owner(Ssrc(7), BERTA)
    assert passed(tested, HOLD + 1) == []
    assert tested.counts.unknown == 1


def test_no_more_is_held_than_there_is_room_for() -> None:
    tested = gate(ANNA)
    for sequence in range(9):
        passed(tested, 0, packet(7, sequence, size=HOLD_BYTES // 8))
    assert tested.counts.unknown >= 1
    tested.set_owner(Ssrc(7), BERTA)
    kept = passed(tested, 1)
    assert kept[-1] == (7, 8) and len(kept) + tested.counts.unknown == 9


def test_one_who_has_left_is_still_protected() -> None:
    tested = gate(ANNA)
    tested.set_people(Nanos(1), (BERTA,))
    assert passed(tested, 2, packet(7, 1)) == []
    later = HOLD + 2
    tested.set_people(Nanos(later), (BERTA,))
    assert passed(tested, later, packet(9, 1)) == [(9, 1)]


def test_a_source_that_is_free_again_is_nobodys() -> None:
    """Its next owner may be one who said no."""
    tested = gate(ANNA, here=(BERTA, ANNA))
    tested.set_owner(Ssrc(8), BERTA)
    tested.set_people(Nanos(0), (ANNA,))
    tested.set_people(Nanos(11_000 * NANOS_PER_MS), (ANNA,))
    assert passed(tested, 11_000 * NANOS_PER_MS, packet(8, 1)) == []


def test_taking_a_no_back_holds_from_then_on() -> None:
    tested = gate(ANNA)
    tested.set_owner(Ssrc(7), ANNA)
    assert passed(tested, 0, packet(7, 1)) == []
    tested.opt_out(ANNA, False)
    assert passed(tested, 1, packet(7, 2)) == [(7, 2)]
