"""Where packets belong, and when: what the recorders of 2021 lost.

They popped the first packet instead of the one they looked for, waited for ever for one that was lost, compared wrapped
numbers, began every track with its speaker's first word, and made silence of timestamps alone.
"""

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from calls import FRAME_NS, Sender, Sound, encode, offset_ms, over_network, speech
from captures import imported, sealed, track
from folders import read

from raccall.recorder import Summary, render
from raccall.recorder.importing import Owner
from raccall.units import Nanos
from raccall.voice.codec import Encoder
from raccall.voice.tap import TappedPacket

ANNA, BEN = 0xA, 0xB
OWNERS = {ANNA: Owner("1", "anna"), BEN: Owner("2", "ben")}
MODES = ["xsalsa20_poly1305_lite", "aead_xchacha20_poly1305_rtpsize"]
"""One of each layout and cipher."""
SAID: Sound = speech(3.0, seed=3)
pytestmark = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def payloads(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return encode(SAID, tmp_path_factory.mktemp("speech"))


def recorded(tmp_path: Path, mode: str, packets: list[TappedPacket], *others: int) -> tuple[Path, Summary]:
    owners = OWNERS | {ssrc: OWNERS[ANNA] for ssrc in others}
    folder = imported(tmp_path, sealed(packets, mode), owners=owners)
    return folder, render(folder)


def arrived(packets: list[tuple[int, TappedPacket]]) -> list[TappedPacket]:
    return [packet for _, packet in packets]


def test_each_packet_is_taken_from_its_own_place(mode: str, payloads: list[bytes], tmp_path: Path) -> None:
    """`packets.pop(0)` for `pop(i)`: with two packets swapped, the wrong one was played and the other never."""
    in_order = arrived(Sender(ANNA, payloads).sent())
    times = [packet.arrival for packet in in_order]
    shuffled = [
        packet for at in range(0, len(in_order), 5) for packet in random.Random(at).sample(in_order[at : at + 5], 5)
    ]
    assert shuffled != in_order
    late = [replace(packet, arrival=time) for packet, time in zip(shuffled, times, strict=True)]
    folder, summary = recorded(tmp_path, mode, late)
    assert track(folder, "anna") == payloads
    assert (summary.people[0].lost, summary.people[0].late) == (0, 0)


@pytest.mark.parametrize("gone", [[50], [50, 51, 52, 53], [*range(20, 60)], [0], [149], [*range(1, 149)]])
def test_a_lost_packet_is_waited_for_no_longer_than_it_may_come(
    mode: str, gone: list[int], payloads: list[bytes], tmp_path: Path
) -> None:
    """The loop looked for the next number until it came: for ever."""
    packets = [packet for number, packet in enumerate(arrived(Sender(ANNA, payloads).sent())) if number not in gone]
    folder, summary = recorded(tmp_path, mode, packets)
    assert track(folder, "anna") == [payload for number, payload in enumerate(payloads) if number not in gone]
    inside = [number for number in gone if 0 < number < 149]
    assert summary.people[0].lost == len(inside)
    assert summary.duration_s < 4
    if not inside:
        return
    # What follows the gap is where it was said.
    heard, said = read(folder / "tracks" / "anna.opus"), SAID[(max(inside) + 1) * 960 :]
    if len(said) > 4800:
        found_ms, _ = offset_ms(heard, said)
        assert found_ms == pytest.approx(200 + (max(inside) + 1) * 20, abs=10)


@pytest.mark.parametrize("before", [1, 2, 75])
def test_numbers_and_timestamps_wrap(mode: str, before: int, payloads: list[bytes], tmp_path: Path) -> None:
    """After 21.8 minutes and 24.8 hours: `<` said that the next packet is an old one."""
    sender = Sender(ANNA, payloads, sequence=65_536 - before, timestamp=2**32 - 960 * before)
    packets = over_network([sender], seed=4, jitter_ms=60)
    assert [p.sequence for p in packets] != sorted(p.sequence for p in packets)
    folder, summary = recorded(tmp_path, mode, packets)
    assert track(folder, "anna") == payloads
    assert summary.people[0].lost == 0 and summary.duration_s < 4


def test_tracks_begin_together_though_people_do_not(mode: str, payloads: list[bytes], tmp_path: Path) -> None:
    """Every user's first packet was time zero of their file: tracks drifted apart by minutes."""
    senders = [Sender(ANNA, payloads[:75]), Sender(BEN, payloads, begins_ms=1740, timestamp=12_345)]
    folder, summary = recorded(tmp_path, mode, over_network(senders, seed=5, jitter_ms=10))
    anna, ben = (read(folder / "tracks" / f"{name}.opus") for name in ("anna", "ben"))
    assert len(anna) == len(ben) == round(summary.duration_s * 48_000)
    anna_ms, _ = offset_ms(anna, SAID[: 75 * 960])
    ben_ms, _ = offset_ms(ben, SAID)
    assert ben_ms - anna_ms == pytest.approx(1740, abs=20)


@pytest.mark.parametrize("same_ssrc", [True, False])
def test_a_random_timestamp_after_a_rejoin_is_no_silence_of_hours(
    mode: str, same_ssrc: bool, payloads: list[bytes], tmp_path: Path
) -> None:
    """Silence was the difference of two timestamps: 2³¹ ticks are twelve hours of zeros."""
    again = ANNA if same_ssrc else 0xC
    before = Sender(ANNA, payloads[:75], sequence=100, timestamp=5)
    after = Sender(again, payloads[75:], begins_ms=1500 + 2000, sequence=40_000, timestamp=2**31)
    folder, summary = recorded(tmp_path, mode, over_network([before, after], seed=6), again)
    assert [person.name for person in summary.people] == ["anna"]
    assert summary.duration_s == pytest.approx(1.5 + 2 + 1.5, abs=0.5)
    assert track(folder, "anna") == payloads
    found_ms, _ = offset_ms(read(folder / "tracks" / "anna.opus"), SAID[75 * 960 :])
    assert found_ms == pytest.approx(200 + 3500, abs=20)


def test_a_timestamp_that_stands_still_in_a_pause_is_a_pause(mode: str, payloads: list[bytes], tmp_path: Path) -> None:
    """Bots whose timestamps stop in silence: no difference, so no gap, and all that follows was too early."""
    sender = Sender(ANNA, payloads, pauses_ms={75: 2000.0}, pause_counts=False)
    folder, _ = recorded(tmp_path, mode, over_network([sender], seed=7, jitter_ms=5))
    assert track(folder, "anna") == payloads
    heard = read(folder / "tracks" / "anna.opus")
    first_ms, _ = offset_ms(heard, SAID[: 75 * 960])
    second_ms, _ = offset_ms(heard, SAID[75 * 960 :])
    assert second_ms - first_ms == pytest.approx(1500 + 2000, abs=20)


def test_a_packet_lost_is_asked_for_in_the_next_one(mode: str, anna: Sound, tmp_path: Path) -> None:
    """`decode(None)` was all that was done for a lost packet, though the next one carries it a second time."""
    encoder = Encoder(bitrate_bps=24_000, expected_loss_pct=30, lbrr=True)
    coded = [encoder.encode(anna[at : at + 960]) for at in range(0, 150 * 960, 960)]
    packets = [packet for number, packet in enumerate(arrived(Sender(ANNA, coded).sent())) if number % 10 != 5]
    _, summary = recorded(tmp_path, mode, packets)
    assert summary.people[0].lost == 15
    assert summary.people[0].recovered_s > 0.1


def test_arrival_is_the_captures_and_not_the_readers(mode: str, payloads: list[bytes], tmp_path: Path) -> None:
    """A slow reader stamped packets when it came to them; here a stall in the network moves nothing either."""
    packets = arrived(Sender(ANNA, payloads).sent())
    stalled = [
        replace(packet, arrival=Nanos(max(packet.arrival, packets[60].arrival + 20 * FRAME_NS)))
        if 60 <= number < 80
        else packet
        for number, packet in enumerate(packets)
    ]
    folder, summary = recorded(tmp_path, mode, stalled)
    assert track(folder, "anna") == payloads
    found_ms, _ = offset_ms(read(folder / "tracks" / "anna.opus"), SAID)
    assert found_ms == pytest.approx(200, abs=10)
    assert summary.duration_s < 4
