"""The journal: standard, exact, and readable whatever happened to the file."""

import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from calls import START, WALL_NS, Sender, over_network

from raccall._native import JOURNAL_FORMAT
from raccall.errors import InputError
from raccall.recorder import Recorder
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


def test_damage_is_counted_in_packets(tmp_path: Path) -> None:
    packets = a_call(60)
    path = tmp_path / "journal.pcapng"
    sizes = write(path, packets)
    data = bytearray(path.read_bytes())
    for index in (10, 11, 40):
        data[sizes[index] + 15] ^= 1  # of its time
    path.write_bytes(data)
    reader = JournalReader(path)
    assert key(list(reader.packets())) == key(packets[:10] + packets[12:40] + packets[41:])
    assert reader.damage == Damage(lost_packets=3)


def test_a_journal_of_a_newer_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "journal.pcapng"
    write(path, a_call(20))
    text = f"raccall format={JOURNAL_FORMAT + 1} anything=else"
    comment = f"{text} crc32={zlib.crc32(text.encode()):08x}".encode()
    comment += bytes(-len(comment) % 4)
    body = struct.pack("<HHIHH", 252, 0, 0, 1, len(comment.rstrip(b"\0"))) + comment
    section = struct.unpack_from("<I", path.read_bytes(), 4)[0]
    frame = struct.pack("<I", 12 + len(body))
    data = path.read_bytes()
    path.write_bytes(data[:section] + struct.pack("<I", 1) + frame + body + frame + data[section:])
    with pytest.raises(InputError, match="newer Raccall") as caught:
        list(JournalReader(path).packets())
    assert caught.value.code == "recording_too_new"


async def test_replaying_a_recording_writes_the_same_packets(tmp_path: Path) -> None:
    packets = a_call()
    write(tmp_path / "journal.pcapng", packets)
    async with Recorder(tmp_path / "again") as recorder:
        await recorder.run(JournalReader(tmp_path / "journal.pcapng"))
    assert list(JournalReader(tmp_path / "again" / "journal.pcapng").packets()) == packets


def tool(name: str) -> str:
    """The path of one of Wireshark's programs."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed; .ci/run installs it")
    return found


def test_what_wireshark_saved_anew_is_still_a_journal(tmp_path: Path) -> None:
    packets = a_call()
    path = tmp_path / "journal.pcapng"
    write(path, packets)
    again = tmp_path / "again.pcapng"
    for command in ([tool("editcap"), path, again], [tool("tshark"), "-r", path, "-w", again]):
        subprocess.run(command, check=True, capture_output=True)
        reader = JournalReader(again)
        assert list(reader.packets()) == packets
        assert (reader.base, reader.damage) == (BASE, Damage())


def test_a_capture_of_another_kind_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "journal.pcapng"
    write(path, a_call(20))
    subprocess.run([tool("editcap"), "-F", "pcap", path, tmp_path / "other"], check=True, capture_output=True)
    (tmp_path / "big_endian").write_bytes(struct.pack(">IIIHHq", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1) + bytes(28))
    for name in ("other", "big_endian"):
        with pytest.raises(InputError, match="another program") as caught:
            list(JournalReader(tmp_path / name).packets())
        assert caught.value.code == "not_a_journal"


def test_capinfos_reads_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.pcapng"
    packets = a_call()
    write(path, packets)
    told = subprocess.run([tool("capinfos"), path], check=True, capture_output=True, text=True).stdout
    assert "nanoseconds" in told
    assert f"Number of packets = {len(packets)}" in told
    assert "raccall format=1" in told


def test_wireshark_lists_the_speakers_as_rtp_streams(tmp_path: Path) -> None:
    tshark = tool("tshark")
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
