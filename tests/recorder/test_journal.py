"""The journal: standard, exact, and readable whatever happened to the file."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from calls import START, WALL_NS, Sender, over_network

from raccall.recorder.journal import Damage, JournalReader, JournalWriter, TimeBase
from raccall.voice.tap import Packets, TappedPacket

BASE = TimeBase(START, WALL_NS)


def a_call(packets: int = 200) -> list[TappedPacket]:
    chance = random.Random(1)
    payloads = [b"\x78" + chance.randbytes(chance.randrange(20, 90)) for _ in range(packets)]
    return over_network([Sender(0x1111, payloads), Sender(0x2222, payloads, 7.0)], seed=1, loss=0.05, jitter_ms=30)


def write(path: Path, packets: list[TappedPacket]) -> list[int]:
    """Write a journal; returns the file's size after the head and after each packet."""
    writer = JournalWriter(path, BASE, application="test")
    sizes = []
    for packet in packets:
        sizes.append(path.stat().st_size)
        writer.append(Packets.of([packet]).batch)
        writer.flush_if_due(packet.arrival)
        writer.sync()
    writer.close()
    return [*sizes, path.stat().st_size]


def key(packets: list[TappedPacket]) -> list[tuple[int, bytes]]:
    return [(packet.arrival, packet.rtp) for packet in packets]


def test_what_was_written_is_read_bit_exactly(tmp_path: Path) -> None:
    packets = a_call()
    write(tmp_path / "journal.pcapng", packets)
    reader = JournalReader(tmp_path / "journal.pcapng")
    assert list(reader.packets()) == packets
    assert reader.base == BASE
    assert reader.damage == Damage()


async def test_a_journal_is_a_tap(tmp_path: Path) -> None:
    packets = a_call()
    write(tmp_path / "journal.pcapng", packets)
    ticks = [tick async for tick in JournalReader(tmp_path / "journal.pcapng")]
    assert [packet for tick in ticks for packet in tick.packets] == packets
    assert max(tick.packets[-1].arrival - tick.packets[0].arrival for tick in ticks) < 20_000_000


def test_cut_anywhere_everything_before_the_cut_is_read(tmp_path: Path) -> None:
    packets = a_call(60)
    path = tmp_path / "journal.pcapng"
    sizes = write(path, packets)
    data = path.read_bytes()
    for cut in [*range(0, 400), *random.Random(2).sample(range(400, len(data)), 200)]:
        path.write_bytes(data[:cut])
        whole = sum(size <= cut for size in sizes[1:])
        assert key(list(JournalReader(path).packets())) == key(packets[:whole])


def test_damage_costs_only_the_damaged_packets(tmp_path: Path) -> None:
    packets = a_call(60)
    path = tmp_path / "journal.pcapng"
    sizes = write(path, packets)
    data = path.read_bytes()
    chance = random.Random(3)
    for _ in range(200):
        at, length = chance.randrange(sizes[0], len(data)), chance.choice((1, 4, 50, 500))
        path.write_bytes(data[:at] + bytes(byte ^ 0x55 for byte in data[at : at + length]) + data[at + length :])
        reader = JournalReader(path, BASE)
        hit = {i for i in range(len(packets)) if sizes[i] < at + length and sizes[i + 1] > at}
        read = key(list(reader.packets()))
        untouched = [entry for i, entry in enumerate(key(packets)) if i not in hit]
        assert [entry for entry in read if entry in set(untouched)] == untouched
        assert len(read) <= len(packets)


def test_bytes_missing_in_the_middle_cost_one_place(tmp_path: Path) -> None:
    packets = a_call(60)
    path = tmp_path / "journal.pcapng"
    sizes = write(path, packets)
    data = path.read_bytes()
    path.write_bytes(data[: sizes[20] + 10] + data[sizes[22] + 7 :])
    reader = JournalReader(path)
    assert key(list(reader.packets())) == key(packets[:20] + packets[23:])
    assert reader.damage.places == 1
    assert reader.damage.lost_bytes > 0


def test_a_lost_head_costs_no_packet(tmp_path: Path) -> None:
    packets = a_call(20)
    path = tmp_path / "journal.pcapng"
    sizes = write(path, packets)
    path.write_bytes(bytes(sizes[0]) + path.read_bytes()[sizes[0] :])
    assert key(list(JournalReader(path, BASE).packets())) == key(packets)


def test_wireshark_lists_the_speakers_as_rtp_streams(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if not tshark:
        pytest.skip("tshark is not installed; .ci/run installs it")
    path = tmp_path / "journal.pcapng"
    packets = a_call()
    write(path, packets)
    listing = subprocess.run(
        [tshark, "-q", "-r", path, "-z", "rtp,streams"], capture_output=True, text=True, check=True
    )
    assert "0x00001111" in listing.stdout and "0x00002222" in listing.stdout
    dates = subprocess.run(
        [tshark, "-r", path, "-c", "1", "-T", "fields", "-e", "frame.time_epoch"],
        capture_output=True,
        text=True,
        check=True,
    )
    wall_ns = BASE.wall_of(packets[0].arrival)
    assert dates.stdout.strip() == f"{wall_ns // 10**9}.{wall_ns % 10**9:09d}"
