"""One speaker removed from a recording: what is left holds no byte of theirs and everything of the others."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from calls import START, WALL_NS, Sender, encode, over_network, speech
from folders import ANNA, BEN, at, write_recording

from raccall.errors import InputError, StorageError
from raccall.recorder import (
    Alarm,
    Event,
    JournalReader,
    MemberJoined,
    MemberLeft,
    Muted,
    Note,
    SomeoneForgotten,
    Source,
    Start,
    Stop,
    forget,
    read_events,
    read_summary,
    render,
)
from raccall.recorder.journal import Damage, JournalWriter, TimeBase
from raccall.voice.tap import TappedPacket

ANNA_AGAIN, STRANGER = 0xAA, 0xC


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[TappedPacket]:
    folder = tmp_path_factory.mktemp("speech")
    begins_ms = {ANNA: 0.0, BEN: 500.0, STRANGER: 1_000.0, ANNA_AGAIN: 2_500.0}
    senders = [Sender(ssrc, encode(speech(2, ssrc), folder), begin) for ssrc, begin in begins_ms.items()]
    return over_network(senders, seed=1, loss=0.05, jitter_ms=20)


EVENTS: list[Event] = [
    Start(now=START, wall_ns=WALL_NS, wall="2026-11-21T12:00:00+00:00", room="lounge", version="test"),
    MemberJoined(now=START, user_id="17", name="anna"),
    MemberJoined(now=START, user_id="18", name="ben"),
    Source(now=at(0), ssrc=ANNA, user_id="17", name="anna"),
    Source(now=at(900), ssrc=BEN, user_id="18"),
    MemberJoined(now=at(1000), user_id="19", name="listener"),
    Muted(now=at(1900), user_id="17", muted=True),
    Note(now=at(2000), text="my secret", user_id="17", name="anna"),
    Note(now=at(2100), text="hello", user_id="18", name="ben"),
    Source(now=at(2600), ssrc=ANNA_AGAIN, user_id="17"),
    MemberLeft(now=at(4600), user_id="17"),
    Alarm(now=at(4650), kind="silence", text="anna has not been heard for a minute."),
    Stop(now=at(4700), reason="test"),
]


@pytest.fixture
def folder(tmp_path: Path, packets: list[TappedPacket]) -> Path:
    return write_recording(tmp_path / "call", packets, EVENTS)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def payloads(packets: list[TappedPacket], *ssrcs: int) -> set[bytes]:
    """Those that cannot be there by chance."""
    return {packet.payload for packet in packets if packet.ssrc in ssrcs and len(packet.payload) >= 16}


@pytest.mark.parametrize("called", ["anna", "17"])
def test_no_byte_of_theirs_is_left_and_all_of_the_others(
    called: str, folder: Path, packets: list[TappedPacket]
) -> None:
    before = render(folder)
    assert {b for b in payloads(packets, ANNA) if any(b in data for data in files(folder).values())}
    shares: list[float] = []
    gone = forget(folder, called, progress=shares.append)

    left = files(folder)
    theirs = payloads(packets, ANNA, ANNA_AGAIN)
    assert len(theirs) > 150
    assert not [name for name, data in left.items() if any(payload in data for payload in theirs)]
    assert not [name for name, data in left.items() if b"anna" in data or b"my secret" in data or b'"17"' in data]
    others = [packet.rtp for packet in packets if packet.ssrc in (BEN, STRANGER)]
    assert [packet.rtp for packet in JournalReader(folder / "journal.pcapng").packets()] == others
    assert (gone.name, gone.user_id, gone.packets) == ("anna", "17", len(packets) - len(others))
    assert gone.unknown == ("unknown-0000000c",) and gone.untouched == () and gone.unreadable == 0
    assert shares == sorted(shares) and shares[-1] == 1.0

    summary = read_summary(folder)
    assert [person.name for person in summary.people] == ["ben", "unknown-0000000c"]
    assert summary.duration_s == before.duration_s and summary.complete
    assert sorted(path.name for path in (folder / "tracks").iterdir()) == ["ben.opus", "unknown-0000000c.opus"]
    events = read_events(folder / "events.jsonl").events
    assert events[:-1] == [event for event in EVENTS if getattr(event, "user_id", "") != "17" and event.now != at(4650)]
    assert isinstance(events[-1], SomeoneForgotten)


def test_the_others_tracks_stay_bit_by_bit(folder: Path) -> None:
    render(folder)
    before = (folder / "tracks/ben.opus").read_bytes()
    forget(folder, "anna")
    assert (folder / "tracks/ben.opus").read_bytes() == before


def test_their_voice_is_gone_from_the_mix(folder: Path) -> None:
    render(folder)
    forget(folder, "ben")
    forget(folder, "unknown-0000000c")
    forget(folder, "anna")
    sound, _ = soundfile.read(folder / "mix.opus", dtype="float32")
    assert np.abs(sound).max() < 1e-4


def test_a_voice_that_nobody_claimed_goes_by_the_name_of_its_track(folder: Path) -> None:
    assert forget(folder, "unknown-0000000c").unknown == ()
    ssrcs = {packet.ssrc for packet in JournalReader(folder / "journal.pcapng").packets()}
    assert ssrcs == {ANNA, ANNA_AGAIN, BEN}


def test_someone_who_never_spoke_can_be_forgotten(folder: Path) -> None:
    assert forget(folder, "listener").packets == 0
    assert b"listener" not in (folder / "events.jsonl").read_bytes()


def test_two_of_the_same_name_are_told_apart_by_their_ids(tmp_path: Path, packets: list[TappedPacket]) -> None:
    events = [replace_name(event, "anna") for event in EVENTS]
    folder = write_recording(tmp_path / "call", packets, events)
    with pytest.raises(InputError, match="17, 18") as caught:
        forget(folder, "anna")
    assert caught.value.code == "speaker_ambiguous"
    assert forget(folder, "18").name == "anna"
    assert forget(folder, "anna").user_id == "17"


def replace_name(event: Event, name: str) -> Event:
    if isinstance(event, MemberJoined) and event.user_id == "18":
        return MemberJoined(now=event.now, user_id="18", name=name)
    return event


def test_an_ssrc_that_changed_hands_loses_only_their_part(tmp_path: Path, packets: list[TappedPacket]) -> None:
    sources: list[Event] = [
        Source(now=at(0), ssrc=BEN, user_id="17"),
        Source(now=at(1_500), ssrc=BEN, user_id="18"),
    ]
    folder = write_recording(tmp_path / "call", packets, [*EVENTS[:3], *sources])
    forget(folder, "anna")
    kept = [packet.arrival for packet in JournalReader(folder / "journal.pcapng").packets() if packet.ssrc == BEN]
    assert kept and min(kept) >= at(1_500)


def test_damage_hides_nothing_of_theirs(folder: Path, packets: list[TappedPacket]) -> None:
    journal = bytearray((folder / "journal.pcapng").read_bytes())
    random = np.random.default_rng(1)
    for place in random.integers(200, len(journal), 60):
        journal[place] ^= 1 << int(random.integers(0, 8))
    (folder / "journal.pcapng").write_bytes(journal)
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"event":"of_a_newer_version","name":"anna"}\n{"event":"note","text":"anna sai')
    gone = forget(folder, "anna")
    assert gone.unreadable > 30
    # Half a payload would be a leak as well.
    halves = {payload[: len(payload) // 2] for payload in payloads(packets, ANNA, ANNA_AGAIN)}
    halves |= {payload[len(payload) // 2 :] for payload in payloads(packets, ANNA, ANNA_AGAIN)}
    assert not [name for name, data in files(folder).items() if any(half in data for half in halves)]
    assert b"anna" not in (folder / "events.jsonl").read_bytes()
    again = JournalReader(folder / "journal.pcapng")
    assert len(list(again.packets())) > 80 and again.damage == Damage()


def test_a_recording_without_tracks_stays_without(folder: Path) -> None:
    forget(folder, "anna")
    assert sorted(files(folder)) == ["events.jsonl", "journal.pcapng"]


def test_files_that_are_not_ours_are_named_and_left(folder: Path) -> None:
    (folder / "monday.wav").write_bytes(b"mine")
    assert forget(folder, "anna").untouched == ("monday.wav",)
    assert (folder / "monday.wav").read_bytes() == b"mine"


def test_nobody_of_that_name_changes_nothing(folder: Path) -> None:
    before = files(folder)
    with pytest.raises(InputError, match="anna, ben, listener, unknown-0000000c") as caught:
        forget(folder, "zoe")
    assert caught.value.code == "speaker_unknown"
    assert files(folder) == before


def test_a_full_disk_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render(folder)
    before = files(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JournalWriter, "append", full)
    with pytest.raises(StorageError, match="No space left"):
        forget(folder, "anna")
    assert files(folder) == before


def test_what_a_killed_rendering_left_goes_as_well(folder: Path) -> None:
    (folder / ".rendering" / "tracks").mkdir(parents=True)
    (folder / ".rendering" / "tracks" / "anna.opus").write_bytes(b"anna")
    assert forget(folder, "anna").untouched == ()
    assert not (folder / ".rendering").exists()


def test_a_recording_that_still_goes_on_is_refused(tmp_path: Path) -> None:
    recorder = JournalWriter(tmp_path / "journal.pcapng", TimeBase(START, WALL_NS), application="test")
    (tmp_path / "events.jsonl").touch()
    with pytest.raises(InputError) as caught:
        forget(tmp_path, "anna")
    recorder.close()
    assert caught.value.code == "folder_in_use"


def test_two_do_not_change_a_recording_at_once(folder: Path) -> None:
    refused = []

    def try_both(share: float) -> None:
        for change in (lambda: forget(folder, "ben"), lambda: render(folder)):
            with pytest.raises(InputError) as caught:
                change()
            refused.append(caught.value.code)

    gone = forget(folder, "anna", progress=try_both)
    assert set(refused) == {"folder_in_use"} and gone.untouched == ()
    assert forget(folder, "ben").name == "ben"
    assert sorted(files(folder)) == ["events.jsonl", "journal.pcapng"]


def test_nobody_forgotten_comes_back_by_a_rendering_that_goes_on(folder: Path) -> None:
    def forget_meanwhile(share: float) -> None:
        with pytest.raises(InputError, match="Another command changes"):
            forget(folder, "anna")

    render(folder, progress=forget_meanwhile)
    forget(folder, "anna")
    assert not (folder / "tracks/anna.opus").exists()


def test_without_a_journal_their_track_goes_and_the_mix(folder: Path, packets: list[TappedPacket]) -> None:
    render(folder)
    for name in ("journal.pcapng", "events.jsonl"):
        (folder / name).unlink()
    ben = (folder / "tracks/ben.opus").read_bytes()
    gone = forget(folder, "anna")
    assert (gone.name, gone.user_id, gone.mix_lost, gone.untouched) == ("anna", "17", True, ())
    left = files(folder)
    assert sorted(left) == ["segments.json", "summary.json", "tracks/ben.opus", "tracks/unknown-0000000c.opus"]
    assert left["tracks/ben.opus"] == ben
    assert not [name for name, data in left.items() if b"anna" in data or b'"17"' in data]
    assert not [data for data in left.values() for payload in payloads(packets, ANNA, ANNA_AGAIN) if payload in data]
    with pytest.raises(InputError) as caught:
        forget(folder, "anna")
    assert caught.value.code == "speaker_unknown"


def test_a_summary_of_somebody_else_names_nothing_outside_of_the_folder(folder: Path) -> None:
    render(folder)
    for name in ("journal.pcapng", "events.jsonl"):
        (folder / name).unlink()
    precious = folder.parent / "precious.opus"
    precious.write_text("mine")
    summary = folder / "summary.json"
    summary.write_text(summary.read_text().replace("tracks/anna.opus", "tracks/../../precious.opus"))
    with pytest.raises(InputError) as caught:
        forget(folder, "anna")
    assert caught.value.code == "not_a_recording" and precious.exists()


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_a_recording_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        forget(tmp_path / name, "anna")
    assert caught.value.code == "not_a_recording" and not list(tmp_path.iterdir())
