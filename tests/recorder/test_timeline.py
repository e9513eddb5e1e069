"""Where packets belong in the recording, whatever the network and the sender's clock did."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from calls import START, WALL_NS, Sender, over_network

from raccall.recorder import JournalReader, Note, Recorder, recorder
from raccall.recorder.timeline import LEAD_IN_SAMPLES, Placed, PlacedBatch, Timeline
from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.tap import Packets, TappedPacket, Tick

DELAY_MS = 40.0


@dataclass
class OneTick:
    """A Tap that hands out everything at once."""

    packets: list[TappedPacket]

    async def __aiter__(self) -> AsyncIterator[Tick]:
        yield Tick(self.packets[-1].arrival, self.packets)


def payloads(count: int, seed: int = 0) -> list[bytes]:
    """Packets of 20 ms that can be told apart."""
    chance = random.Random(seed)
    return [b"\x78" + index.to_bytes(4, "big") + chance.randbytes(chance.randrange(20, 60)) for index in range(count)]


def place(packets: list[TappedPacket]) -> tuple[Timeline, list[Placed]]:
    timeline = Timeline(START)
    placed = []
    for some in (packets[at : at + 5] for at in range(0, len(packets), 5)):
        timeline.push(Packets.of(some).batch)
        placed += timeline.pull(some[-1].arrival)
    placed += timeline.finish()
    for before, after in itertools.pairwise(entry for entry in placed if entry.in_track):
        assert before.position + before.samples <= after.position
    assert all(entry.position % 120 == 0 for entry in placed)
    return timeline, placed


def errors_ms(senders: list[Sender], placed: list[Placed]) -> list[float]:
    """How far each packet lies from where it was sent plus the network's constant delay."""
    truth = {}
    for sender in senders:
        for at, packet in sender.sent():
            truth[packet.payload] = (at - START) * 48 / NANOS_PER_MS + DELAY_MS * 48 + LEAD_IN_SAMPLES
    return [(entry.position - truth[entry.payload]) / 48 for entry in placed]


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_thirty_ms_of_jitter_and_loss_do_not_move_a_track(loss: float, seed: int) -> None:
    sender = Sender(1, payloads(1500), 123.0)
    packets = over_network([sender], seed=seed, loss=loss, jitter_ms=30)
    timeline, placed = place(packets)
    assert len(placed) == len(packets)
    assert max(map(abs, errors_ms([sender], placed))) < 5
    assert timeline.shifts == []
    assert timeline.counts.lost == placed[-1].payload[4] + 256 * placed[-1].payload[3] - placed[0].payload[4] + 1 - len(
        packets
    )


def test_a_spurt_of_three_packets_after_a_pause_keeps_the_clock() -> None:
    sender = Sender(1, payloads(203), pauses_ms={200: 1500.0})
    _, placed = place(over_network([sender], seed=3, jitter_ms=30))
    assert max(map(abs, errors_ms([sender], placed))) < 5


@pytest.mark.parametrize("pause_ms", [60.0, 300.0, 5000.0])
def test_timestamps_that_stop_in_pauses_are_placed_by_arrival(pause_ms: float) -> None:
    sender = Sender(1, payloads(800), pauses_ms={200: pause_ms, 400: pause_ms, 600: pause_ms}, pause_counts=False)
    timeline, placed = place(over_network([sender], seed=4, jitter_ms=30))
    assert max(map(abs, errors_ms([sender], placed))) < 5
    assert [shift.reason for shift in timeline.shifts] == ["clock_restarted"] * 3


def test_a_new_ssrc_goes_on_where_the_person_is() -> None:
    senders = [Sender(1, payloads(300, 1)), Sender(2, payloads(300, 2), 7000.0, sequence=5, timestamp=77)]
    senders[1].payloads = [packet[:1] + b"\xff" + packet[2:] for packet in senders[1].payloads]
    timeline, placed = place(over_network(senders, seed=5, loss=0.05, jitter_ms=30))
    assert max(map(abs, errors_ms(senders, placed))) < 5
    assert timeline.counts.sources == 2


def test_numbers_that_begin_anew_under_one_ssrc_are_a_new_sender() -> None:
    first = over_network([Sender(1, payloads(300), sequence=40_000)], seed=6)
    again = [
        replace(packet, sequence=packet.sequence - 20_000, timestamp=packet.timestamp - 123_457)
        for packet in over_network([Sender(1, payloads(300, 7), 7000.0, sequence=40_000)], seed=6)
    ]
    _, placed = place(first + again)
    assert len(placed) == 600
    assert (placed[300].position - placed[0].position) / 48 == pytest.approx(7000, abs=5)


@pytest.mark.parametrize("drift_ppm", [-200.0, 200.0])
@pytest.mark.parametrize("pauses", [True, False])
def test_a_drifting_sender_stays_within_a_frame_for_an_hour(drift_ppm: float, pauses: bool) -> None:
    count = 30 * 60 * 50
    pauses_ms = dict.fromkeys(range(500, count, 500), 500.0) if pauses else {}
    sender = Sender(1, payloads(count), drift_ppm=drift_ppm, pauses_ms=pauses_ms)
    timeline, placed = place(over_network([sender], seed=8, jitter_ms=10))
    assert max(map(abs, errors_ms([sender], placed))) < (12 if pauses else 20)
    reasons = {shift.reason for shift in timeline.shifts}
    assert reasons == ({"drift_in_silence"} if pauses else {"drift_in_speech"})
    assert timeline.drift_ppm() == pytest.approx(drift_ppm, abs=15)


@pytest.mark.parametrize("drift_ppm", [-200, 0, 200])
@pytest.mark.parametrize("pause_s", [20, 60, 120, 240])
def test_one_who_says_a_word_now_and_then_drifts_neither(drift_ppm: float, pause_s: int) -> None:
    """Ten packets, then minutes of nothing: in three minutes too few to know a clock by, in half an hour not."""
    spurts = 10_800 // pause_s
    sender = Sender(
        1,
        payloads(10 * spurts),
        drift_ppm=drift_ppm,
        pauses_ms={10 * spurt: pause_s * 1000 for spurt in range(1, spurts)},
    )
    timeline, placed = place(over_network([sender], seed=3, jitter_ms=30))
    assert len(placed) == 10 * spurts
    assert max(map(abs, errors_ms([sender], placed))) < 20
    drift = timeline.drift_ppm()
    assert drift is not None and abs(drift - drift_ppm) < 20


def test_duplicates_and_hopelessly_late_packets_are_dropped_and_counted() -> None:
    packets = over_network([Sender(1, payloads(2000))], seed=9, jitter_ms=30)
    late = replace(packets.pop(10), arrival=Nanos(packets[-1].arrival))
    timeline, placed = place([*(packet for packet in packets for _ in range(2)), late])
    assert len(placed) == 1999
    assert (timeline.counts.duplicates, timeline.counts.late) == (1999, 1)
    assert [(shift.reason, shift.left_out) for shift in timeline.shifts] == [("late", 960)]


def test_a_stalled_network_does_not_move_the_track() -> None:
    sender = Sender(1, payloads(600))
    packets = over_network([sender], seed=10, jitter_ms=5)
    stall = range(START + 4_000 * NANOS_PER_MS, START + 4_700 * NANOS_PER_MS)
    packets = [replace(packet, arrival=Nanos(stall.stop)) if packet.arrival in stall else packet for packet in packets]
    timeline, placed = place(packets)
    assert max(map(abs, errors_ms([sender], placed))) < 5
    assert timeline.shifts == []


def test_a_sender_faster_than_time_cannot_make_the_recording_longer() -> None:
    flood = [
        TappedPacket(Nanos(START + index * NANOS_PER_MS), Ssrc(1), index, index * 960, rtp)
        for index, rtp in enumerate(packet.rtp for _, packet in Sender(1, payloads(5000)).sent())
    ]
    timeline, placed = place(flood)
    assert placed[-1].position < LEAD_IN_SAMPLES + 8 * 48_000
    assert timeline.counts.placed < 500


def test_malformed_payloads_are_counted_and_left_out() -> None:
    packets = over_network([Sender(1, [b"\xfa\xff", b"", *payloads(5)])], seed=1)
    timeline, placed = place(packets)
    assert (len(placed), timeline.counts.malformed) == (5, 2)


def test_a_wall_clock_set_back_in_the_call_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = over_network([Sender(1, payloads(500))], seed=11, jitter_ms=30)
    walls = (datetime.fromtimestamp(WALL_NS / NANOS_PER_SECOND - 3600 * hour, UTC) for hour in itertools.count())
    monkeypatch.setattr(recorder, "wall_now", lambda: next(walls))

    async def record() -> None:
        async with Recorder(tmp_path / "call") as recording:
            for some in (packets[:250], packets[250:]):
                await recording.run(OneTick(some))
                recording.event(Note(now=recording.now, text="the clock was set back"))

    asyncio.run(record())
    assert list(JournalReader(tmp_path / "call/journal.pcapng").packets()) == packets


def test_a_batch_may_hold_packets_of_many_people() -> None:
    people = [Sender(ssrc, payloads(200, ssrc), ssrc * 7.0) for ssrc in (1, 2)]
    packets = over_network(people, seed=12, jitter_ms=30)
    batch = Packets.of(packets).batch
    for ssrc in (1, 2):
        alone, together = Timeline(START), Timeline(START)
        alone.push(Packets.of([packet for packet in packets if packet.ssrc == ssrc]).batch)
        together.push(batch, np.flatnonzero(batch.ssrc == ssrc))
        assert [entry.payload for entry in together.finish()] == [entry.payload for entry in alone.finish()]
        assert together.counts == alone.counts
    for index in (400, -1):
        with pytest.raises(IndexError):
            Timeline(START).push(batch, np.array([index]))


def test_a_placed_batch_says_the_same_in_columns_and_in_items() -> None:
    timeline = Timeline(START)
    timeline.push(Packets.of(over_network([Sender(1, payloads(300))], seed=13, loss=0.1, jitter_ms=30)).batch)
    batch = timeline.finish()
    assert len(batch) == timeline.counts.placed
    for columns in (batch, PlacedBatch(list(batch))):
        items = list(columns)
        assert columns.position.tolist() == [item.position for item in items]
        assert columns.exact.tolist() == [item.exact for item in items]
        assert columns.samples.tolist() == [item.samples for item in items]
        assert columns.lost.tolist() == [item.lost for item in items]
        assert columns.in_track.tolist() == [item.in_track for item in items]
        assert [columns.payload(index) for index in range(len(items))] == [item.payload for item in items]
    assert timeline.end == batch[len(batch) - 1].position + 960
    with pytest.raises(IndexError):
        batch.payload(len(batch))


def test_everything_moved_or_left_out_is_a_correction_with_its_reason() -> None:
    drifting = Sender(1, payloads(6000), drift_ppm=300.0, pauses_ms={3550: 400.0})
    begun_anew = Sender(2, payloads(200, 2), 125_000.0)
    still_there = Sender(1, payloads(50, 3), 126_000.0, sequence=90_000, timestamp=2**32)
    timeline, _ = place(over_network([drifting, begun_anew, still_there], seed=14, jitter_ms=10))
    reasons = {shift.reason for shift in timeline.shifts}
    assert reasons == {"drift_in_speech", "drift_in_silence", "overlapping_source"}
    for shift in timeline.shifts:
        assert (shift.samples != 0) != (shift.left_out != 0)
        assert timeline.position_of(START) <= shift.position <= timeline.end
