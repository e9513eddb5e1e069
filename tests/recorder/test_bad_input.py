"""What must not break a recording: full disks, folders of others, strange names, many voices, none at all."""

import os
import resource
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from calls import START, Sender, over_network
from folders import people, read, write_recording

from raccall.errors import StorageError
from raccall.recorder import JournalReader, MemberJoined, Recorder, Source, Start, placement, read_events, render
from raccall.recorder.attribution import Attribution, safe_file_name
from raccall.recorder.opus_packet import SILENCE_20_MS
from raccall.recorder.summary import Damage
from raccall.units import Ssrc
from raccall.voice.tap import TappedPacket, Tick

DISK_BYTES = 256 * 1024
PAYLOAD = b"\x78" + bytes(79)


class TickTap:
    """A Tap of given packets, ten a Tick."""

    def __init__(self, packets: list[TappedPacket]) -> None:
        self.packets = packets

    async def __aiter__(self) -> AsyncIterator[Tick]:
        for at in range(0, len(self.packets), 10):
            part = self.packets[at : at + 10]
            yield Tick(part[-1].arrival, part)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder for a quarter of a megabyte: a file system of its own or, for who may not mount, a limit on files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "raccall-test", disk]
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0:
        yield disk
        subprocess.run(["umount", disk], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, before[1]))
    yield disk
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


async def test_a_disk_that_fills_up_keeps_all_that_was_written(small_disk: Path) -> None:
    packets = over_network([Sender(1, [PAYLOAD] * 3_000)], seed=1)
    recorder = Recorder(small_disk / "call")
    with pytest.raises(StorageError, match=r"The recording in .*call failed: (No space left|File too large)") as caught:
        await recorder.run(TickTap(packets))
        await recorder.close()
    assert caught.value.code == "recording_failed"
    with pytest.raises(StorageError):
        await recorder.close()
    reader = JournalReader(small_disk / "call" / "journal.pcapng")
    kept = list(reader.packets())
    assert kept == packets[: len(kept)] and 1_000 < len(kept) < 2_000
    assert (reader.damage.places, reader.damage.lost_bytes) == (0, 0), "it ends with a whole packet"
    assert isinstance(read_events(small_disk / "call" / "events.jsonl").events[0], Start)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the check itself is tested in test_recorder.py")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError) as caught:
            Recorder(tmp_path / "call")
    finally:
        tmp_path.chmod(0o700)
    assert caught.value.code == "folder_unwritable"


NAMES = {
    1: "x" * 300,
    2: "../../etc/passwd",
    3: "/etc/shadow",
    4: "CON",
    5: "",
    6: "a\x00b\nc\u202e",
    7: "😀" * 200,
    8: "C:\\Windows\\notepad.exe",
    9: "X" * 300,
    10: " . ",
}


async def test_names_of_300_characters_or_like_paths_stay_inside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "calls" / "call"
    senders = [Sender(ssrc, [SILENCE_20_MS] * 5) for ssrc in NAMES]
    async with Recorder(folder, room="../" * 90) as recorder:
        for ssrc, name in NAMES.items():
            recorder.event(MemberJoined(now=recorder.now, user_id=str(ssrc), name=name))
            recorder.event(Source(now=recorder.now, ssrc=ssrc, user_id=str(ssrc), name=name))
        await recorder.run(TickTap(over_network(senders, seed=1)))
    summary = render(folder)
    assert sorted(person.name for person in summary.people) == sorted(NAMES.values())
    tracks = [folder / person.track for person in summary.people]
    assert sorted(tracks) == sorted((folder / "tracks").iterdir()) and len(set(tracks)) == len(NAMES)
    assert all(len(track.name.encode()) <= 255 for track in tracks)
    assert [Path(at).name for at, _, _ in os.walk(tmp_path)][1:] == ["calls", "call", "tracks"]


def test_a_hundred_speakers_of_whom_ninety_say_one_word(tmp_path: Path) -> None:
    quick = [Sender(ssrc, [SILENCE_20_MS] * 10, begins_ms=20.0 * (ssrc % 50)) for ssrc in range(1, 91)]
    slow = [Sender(ssrc, [SILENCE_20_MS] * 75) for ssrc in range(91, 101)]
    packets = over_network([*quick, *slow], seed=1, jitter_ms=10)
    events = [people()[0]]
    for ssrc in range(1, 101):
        events.append(MemberJoined(now=START, user_id=str(ssrc), name=f"speaker {ssrc}"))
        events.append(Source(now=START, ssrc=ssrc, user_id=str(ssrc)))
    summary = render(write_recording(tmp_path / "call", packets, events))
    assert {person.name: person.packets for person in summary.people} == {
        f"speaker {ssrc}": 10 if ssrc <= 90 else 75 for ssrc in range(1, 101)
    }
    lengths = {len(read(tmp_path / "call" / person.track)) for person in summary.people[::20]}
    assert len(lengths) == 1, "all tracks are equally long"


def test_of_too_many_voices_those_who_said_most_are_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "MAX_SPEAKERS", 3)
    senders = [Sender(ssrc, [SILENCE_20_MS] * (50 if ssrc % 5 == 0 else 2)) for ssrc in range(101, 116)]
    folder = write_recording(tmp_path / "call", over_network(senders, seed=1), people())
    summary = render(folder)
    assert {person.track: person.packets for person in summary.people} == {
        f"tracks/unknown-{ssrc:08x}.opus": 50 for ssrc in (105, 110, 115)
    }
    assert summary.speakers_left_out == 12 and len(list((folder / "tracks").iterdir())) == 3


def test_thousands_of_one_name_are_told_apart_at_once() -> None:
    sources = [Source(now=START, ssrc=ssrc, user_id=str(ssrc), name="anna") for ssrc in range(20_000)]
    attribution = Attribution(sources)
    names = {attribution.speaker_of(Ssrc(ssrc), START).file_name for ssrc in range(20_000)}
    assert len(names) == 20_000 and "anna-20000" in names


@pytest.mark.parametrize("name", ["-rf", "--help", "CON", "../x", ".hidden", "nul.txt", "\u202e", ""])
def test_a_track_is_called_so_that_no_command_and_no_system_stumbles(name: str) -> None:
    made = safe_file_name(name)
    assert made and made[0] not in "-./ " and made.casefold() not in ("con", "nul.txt") and "/" not in made


async def test_a_recording_of_no_packets_is_a_recording(tmp_path: Path) -> None:
    async with Recorder(tmp_path / "call", room="lounge"):
        pass
    summary = render(tmp_path / "call")
    assert (summary.people, summary.complete, summary.room) == ([], True, "lounge")
    assert summary.damage == Damage() and summary.duration_s > 0
    assert len(read(tmp_path / "call" / "mix.opus")) == round(summary.duration_s * 48_000)
