"""The emulated network does what it says, and the same again for the same seed."""

from pathlib import Path

import pytest

from raccall.testing.clock import VirtualClock
from raccall.testing.network import BottleneckLink, EmulatedNetwork, NetworkConditions
from raccall.units import NANOS_PER_MS, Nanos

COUNT = 20_000


def ms(number: int) -> Nanos:
    return Nanos(number * NANOS_PER_MS)


def run(conditions: NetworkConditions, seed: int = 1, trace: Path | None = None) -> list[tuple[int, int]]:
    """(number of the datagram, delay in ns) in order of arrival; one is sent each 20 ms."""
    network, clock = EmulatedNetwork(conditions, seed, trace=trace), VirtualClock()
    start, arrivals = clock.now, []
    for number in range(COUNT):
        network.send(number.to_bytes(4, "big"), clock.now)
        arrivals += network.receive_with_times(clock.advance(ms=20))
    arrivals += network.receive_with_times(Nanos(clock.now + 10**12))
    numbers = [(int.from_bytes(datagram, "big"), at) for at, datagram in arrivals]
    return [(number, at - start - number * 20 * NANOS_PER_MS) for number, at in numbers]


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 1.0), (0.2, 2.0), (0.3, 3.0), (0.9, 1.0)])
def test_loss_and_bursts_come_out_as_asked(loss: float, burst: float) -> None:
    arrived = {number for number, _ in run(NetworkConditions(loss=loss, mean_burst=burst))}
    lost = [number not in arrived for number in range(COUNT)]
    runs = sum(now and not before for before, now in zip([False, *lost], lost, strict=False))
    assert sum(lost) / COUNT == pytest.approx(loss, rel=0.1)
    assert sum(lost) / runs == pytest.approx(burst if burst > 1 else 1 / (1 - loss), rel=0.1)


def test_delay_lies_between_its_bounds_and_reorders() -> None:
    arrivals = run(NetworkConditions(delay_ms=10, jitter_ms=30))
    assert all(10 * NANOS_PER_MS <= delay <= 40 * NANOS_PER_MS for _, delay in arrivals)
    numbers = [number for number, _ in arrivals]
    assert numbers != sorted(numbers)


def test_what_is_carried_is_never_lost_and_takes_the_least_delay() -> None:
    network = EmulatedNetwork(NetworkConditions(loss=1, delay_ms=10, jitter_ms=30, duplicates=1))
    network.carry(b"question", ms(5))
    assert network.receive(ms(14)) == []
    assert network.receive_with_times(ms(500)) == [(ms(15), b"question")]


def test_in_order_means_in_order() -> None:
    numbers = [number for number, _ in run(NetworkConditions(jitter_ms=90, in_order=True))]
    assert numbers == sorted(numbers)


def test_a_seed_is_a_promise() -> None:
    conditions = NetworkConditions(loss=0.1, jitter_ms=30, duplicates=0.1)
    assert run(conditions, 7) == run(conditions, 7) != run(conditions, 8)


def test_a_trace_is_followed(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("# delay\n5\n-1\n7.5\n")
    arrivals = run(NetworkConditions(), trace=trace)
    assert arrivals[:3] == [(0, 5_000_000), (2, 7_500_000), (3, 5_000_000)]


def test_impossible_conditions_are_refused() -> None:
    for wrong in ({"loss": 1.5}, {"mean_burst": 0.5}, {"delay_ms": -1}):
        with pytest.raises(ValueError):
            NetworkConditions(**wrong)


def test_more_loss_than_short_bursts_can_hold_is_still_lost() -> None:
    assert len(run(NetworkConditions(loss=0.8, mean_burst=1.5))) == pytest.approx(0.2 * COUNT, rel=0.1)


def test_loss_flags_are_followed_with_delays_of_their_own(tmp_path: Path) -> None:
    losses = tmp_path / "losses.txt"
    losses.write_text("0\n1\n1\n")
    network, clock = EmulatedNetwork(NetworkConditions(delay_ms=30), losses=losses), VirtualClock()
    for number in range(6):
        network.send(bytes([number]), clock.now)
    assert network.receive(clock.advance(ms=29)) == []
    assert network.receive(clock.advance(ms=1)) == [b"\x00", b"\x03"]
    with pytest.raises(ValueError, match="not both"):
        EmulatedNetwork(NetworkConditions(), trace=losses, losses=losses)
    losses.write_text("# nothing\n")
    with pytest.raises(ValueError, match="no numbers"):
        EmulatedNetwork(NetworkConditions(), losses=losses)


def test_a_bottleneck_sends_as_fast_as_its_capacity_and_what_waits_at_the_new_one() -> None:
    link = BottleneckLink(80_000, queue_bytes=1000, delay_ms=7, header_bytes=28)
    for _ in range(3):
        link.send(bytes(72), ms(0))  # 100 bytes with its headers: 10 ms
    assert link.wait_ms == 30
    assert [arrival for arrival, _ in link.receive_with_times(ms(20))] == [ms(17)]
    link.set_capacity(8_000, ms(25))  # half of the third is sent
    assert [arrival for arrival, _ in link.receive_with_times(ms(1000))] == [ms(27), ms(25 + 50 + 7)]
    assert link.wait_ms == 0


def test_a_full_bottleneck_drops_the_newest() -> None:
    link = BottleneckLink(8_000, queue_bytes=300)
    for number in range(5):
        link.send(bytes([number]) * 72, ms(0))
    assert link.dropped == 2
    assert [datagram[0] for _, datagram in link.receive_with_times(ms(10_000))] == [0, 1, 2]


def test_a_link_without_capacity_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        BottleneckLink(0, queue_bytes=1)
