"""Encryption at rest: nothing in clear on the disk, a segment a second, damage costs its own segment."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from calls import START, WALL_NS, Sender, over_network
from folders import ANNA, people

from raccall.errors import InputError
from raccall.recorder import JournalReader, MemberJoined, Recorder, Recording, read_events, render
from raccall.recorder.age_keys import new_identity, read_identities, read_recipients
from raccall.recorder.events import EventWriter
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.recorder.sealed import MARK, Opened, SealedFile, Sealer, is_sealed, open_segments, unseal
from raccall.voice.tap import Packets, TappedPacket, Tick

SECONDS = 20


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_identity(tmp_path / "key.txt")
    return tmp_path / "key.txt"


def public(key: Path) -> str:
    return key.read_text().splitlines()[0].removeprefix("# public key: ")


@pytest.fixture
def packets() -> list[TappedPacket]:
    sender = Sender(ANNA, [b"\x78" + b"a secret word" + index.to_bytes(2, "big") for index in range(50 * SECONDS)])
    return over_network([sender], seed=1)


@pytest.fixture
def folder(tmp_path: Path, key: Path, packets: list[TappedPacket]) -> Path:
    """A sealed recording of 20 s, handed over each second."""
    folder = tmp_path / "call"
    folder.mkdir()
    sealer = Sealer([public(key)])
    journal = JournalWriter(
        folder / "journal.pcapng", TimeBase(START, WALL_NS), application="test", open_file=sealer.open
    )
    events = EventWriter(folder / "events.jsonl", open_file=sealer.open)
    for event in people():
        events.append(event)
    for second in range(SECONDS):
        journal.append(Packets.of(packets[50 * second : 50 * (second + 1)]).batch)
    journal.close()
    events.close()
    return folder


def segments(path: Path) -> list[int]:
    """Where each begins."""
    data, at, found = path.read_bytes(), 0, []
    while (at := data.find(MARK, at)) >= 0:
        found.append(at)
        at += 1
    return found


def test_what_was_sealed_opens_with_the_key_and_is_an_ordinary_recording(
    folder: Path, key: Path, tmp_path: Path, packets: list[TappedPacket]
) -> None:
    opened = unseal(folder, read_identities(key), tmp_path / "open")
    assert (opened.broken, opened.missing, opened.cut_bytes) == (0, 0, 0)
    assert opened.segments == 1 + SECONDS + len(people())
    assert list(JournalReader(tmp_path / "open" / "journal.pcapng").packets()) == packets
    assert read_events(tmp_path / "open" / "events.jsonl").events == people()
    assert [speaker.name for speaker in Recording.open(tmp_path / "open").speakers] == ["anna"]


class Ticks:
    """A Tap of all packets at once."""

    def __init__(self, packets: list[TappedPacket]) -> None:
        self._packets = tuple(packets)

    async def __aiter__(self) -> AsyncIterator[Tick]:
        yield Tick(self._packets[-1].arrival, self._packets)


async def test_a_recorder_writes_nothing_in_clear(key: Path, tmp_path: Path, packets: list[TappedPacket]) -> None:
    sealer = Sealer([public(key)])
    async with Recorder(tmp_path / "call", room="a secret room", open_file=sealer.open) as recorder:
        recorder.event(MemberJoined(now=recorder.now, user_id="1", name="a secret name"))
        await recorder.run(Ticks(packets))
    files = {path.name: path.read_bytes() for path in (tmp_path / "call").rglob("*") if path.is_file()}
    assert {"journal.pcapng.sealed", "events.jsonl.sealed"} <= set(files)
    assert not [name for name, data in files.items() if b"secret" in data or b"anna" in data]
    unseal(tmp_path / "call", read_identities(key), tmp_path / "open")
    assert b"a secret room" in (tmp_path / "open" / "events.jsonl").read_bytes()


async def test_a_recording_that_never_began_leaves_nothing(key: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", open_file=Sealer([public(key)]).open)
    await recorder.close()
    recorder.discard()
    assert not (tmp_path / "call").exists()


def test_a_kill_costs_nothing_that_was_handed_over(key: Path, tmp_path: Path) -> None:
    file = SealedFile(tmp_path / "file", read_recipients([public(key)]))
    file.append(b"first")
    file.append(b"second")
    assert list(open_segments(tmp_path / "file", read_identities(key), Opened())) == [b"first", b"second"]
    file.close()
    file.close()


@pytest.mark.parametrize("cut", [1, 8, 12, 16, 17, 300, 400])
def test_a_cut_anywhere_costs_the_last_segment(cut: int, folder: Path, key: Path) -> None:
    path = folder / "journal.pcapng.sealed"
    *before, last = segments(path)
    path.write_bytes(path.read_bytes()[: last + cut])
    opened = Opened()
    pieces = list(open_segments(path, read_identities(key), opened))
    assert len(pieces) == len(before)
    assert (opened.cut_bytes, opened.broken) == (cut if cut >= len(MARK) else 0, 0)


@pytest.mark.parametrize("place", ["mark", "number", "length", "longer", "header", "body"])
def test_damage_costs_its_segment_alone(
    place: str, folder: Path, key: Path, tmp_path: Path, packets: list[TappedPacket]
) -> None:
    path = folder / "journal.pcapng.sealed"
    data = bytearray(path.read_bytes())
    begin = segments(path)[7]
    at = begin + {"mark": 3, "number": 9, "length": 12, "longer": 14, "header": 60, "body": 700}[place]
    data[at] ^= 0x20
    path.write_bytes(data)
    opened = unseal(folder, read_identities(key), tmp_path / "open")
    kept = list(JournalReader(tmp_path / "open" / "journal.pcapng").packets())
    if place == "number":
        assert kept == packets
        return
    assert opened.missing == 1
    assert opened.broken == (place != "mark")
    assert len(packets) - 51 <= len(kept) <= len(packets) - 49
    assert set(kept) < set(packets)


def test_without_its_first_segment_a_journal_still_renders(folder: Path, key: Path, tmp_path: Path) -> None:
    for name in ("journal.pcapng.sealed", "events.jsonl.sealed"):
        data = bytearray((folder / name).read_bytes())
        data[100 if name.startswith("j") else len(data) - 1] ^= 1
        (folder / name).write_bytes(data)
    unseal(folder, read_identities(key), tmp_path / "open")
    assert render(tmp_path / "open").people[0].packets > 0.9 * 50 * SECONDS


def test_several_can_hold_a_key(key: Path, tmp_path: Path) -> None:
    other = new_identity(tmp_path / "other.txt")
    (tmp_path / "team").write_text(f"# the team\n\n{public(key)}\n{other}\n")
    file = SealedFile(tmp_path / "file", read_recipients([str(tmp_path / "team")]))
    file.append(b"for both")
    file.close()
    for name in ("key.txt", "other.txt"):
        assert list(open_segments(tmp_path / "file", read_identities(tmp_path / name), Opened())) == [b"for both"]


def test_a_wrong_key_is_one_sentence_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    new_identity(tmp_path / "wrong.txt")
    with pytest.raises(InputError) as caught:
        unseal(folder, read_identities(tmp_path / "wrong.txt"), tmp_path / "open")
    assert caught.value.code == "identity_unsuitable"
    assert not (tmp_path / "open").exists()


def test_a_sealed_recording_is_refused_by_name(folder: Path) -> None:
    assert is_sealed(folder)
    for ask in (Recording.open, render):
        with pytest.raises(InputError, match="raccall decrypt") as caught:
            ask(folder)
        assert caught.value.code == "recording_sealed"


def test_a_folder_that_is_not_sealed_is_refused(tmp_path: Path, key: Path) -> None:
    with pytest.raises(InputError) as caught:
        unseal(tmp_path, read_identities(key), tmp_path / "open")
    assert caught.value.code == "not_sealed"


@pytest.mark.skipif(shutil.which("age") is None, reason="the age command is not installed")
def test_the_age_command_opens_a_segment(folder: Path, key: Path, tmp_path: Path) -> None:
    data = (folder / "events.jsonl.sealed").read_bytes()
    (tmp_path / "segment.age").write_bytes(data[16 : 16 + int.from_bytes(data[12:16], "little")])
    command = ["age", "--decrypt", "--identity", str(key), str(tmp_path / "segment.age")]
    plain = subprocess.run(command, check=True, capture_output=True).stdout
    assert plain.startswith(b'{"event":"start"')


@pytest.mark.skipif(shutil.which("age-keygen") is None, reason="the age command is not installed")
def test_keys_of_age_keygen_and_openssh_serve(tmp_path: Path) -> None:
    subprocess.run(["age-keygen", "-o", tmp_path / "age"], check=True, capture_output=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "ssh"], check=True)
    age = (tmp_path / "age").read_text().splitlines()[1].removeprefix("# public key: ")
    file = SealedFile(tmp_path / "file", read_recipients([age, str(tmp_path / "ssh.pub")]))
    file.append(b"hello")
    file.close()
    for name in ("age", "ssh"):
        assert list(open_segments(tmp_path / "file", read_identities(tmp_path / name), Opened())) == [b"hello"]


@pytest.mark.parametrize("word", ["age1nonsense", "ssh-ed25519 AAAA", "missing.txt", ""])
def test_what_is_no_public_key_is_one_sentence(word: str) -> None:
    with pytest.raises(InputError) as caught:
        Sealer([word])
    assert caught.value.code == "recipient_invalid"


@pytest.mark.parametrize(
    "text",
    ["AGE-SECRET-KEY-1HIDDEN", "age-secret-key-1hidden", "-----BEGIN OPENSSH PRIVATE KEY-----\nHIDDEN", "HIDDEN"],
)
def test_nothing_of_a_secret_key_is_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(InputError) as caught:
        Sealer([str(tmp_path / "key")])
    assert "hidden" not in str(caught.value).lower()
    assert caught.value.code == ("recipient_invalid" if text == "HIDDEN" else "recipient_secret")


@pytest.mark.parametrize("text", ["", "AGE-SECRET-KEY-1NONSENSE\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n"])
def test_what_is_no_secret_key_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(InputError) as caught:
        read_identities(tmp_path / "key")
    assert caught.value.code == "identity_invalid"


def test_a_key_is_private_and_never_overwritten(key: Path) -> None:
    assert key.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError) as caught:
        new_identity(key)
    assert caught.value.code == "file_exists"


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(InputError, match=r"pip install 'raccall\[encryption\]'"):
        Sealer(["age1"])
