"""What became of the files of 2021: cut at four gigabytes, unreadable after a kill, clipped, overwritten."""

import random
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from calls import Sender, Sound, over_network
from captures import KEY, frames, imported, pcap, sealed, track, write

from raccall.errors import InputError
from raccall.recorder import Recording, render
from raccall.recorder.export import export, formats
from raccall.recorder.importing import Owner, import_capture
from raccall.voice.codec import Encoder
from raccall.voice.tap import TappedPacket

ANNA, BEN = 0xA, 0xB
OWNERS = {ANNA: Owner("1", "anna"), BEN: Owner("2", "ben")}
MODE = "xsalsa20_poly1305_lite"


def coded(sound: Sound, gain: float = 1.0) -> list[bytes]:
    encoder = Encoder(bitrate_bps=64_000)
    loud = np.clip(sound * gain, -1, 1).astype(np.float32)
    return [encoder.encode(loud[at : at + 960]) for at in range(0, len(loud) - 959, 960)]


@pytest.fixture(scope="module")
def packets(anna: Sound, ben: Sound) -> list[TappedPacket]:
    """Two seconds of both at once, as loud as can be."""
    senders = [Sender(ANNA, coded(anna[24_000:120_000], 8)), Sender(BEN, coded(ben[24_000:120_000], 8))]
    return over_network(senders, seed=1)


@pytest.fixture(scope="module")
def folder(packets: list[TappedPacket], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported and rendered; tests only read it."""
    made = imported(tmp_path_factory.mktemp("files"), sealed(packets, MODE), owners=OWNERS)
    render(made)
    return made


def test_sound_of_more_than_four_gigabytes_is_rf64(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A WAV header counts to 2³²: what came after was lost, or the file unreadable. (The limit is lowered here.)"""
    monkeypatch.setitem(formats.open_sound.__kwdefaults__, "max_riff_bytes", 100_000)
    made = export(folder, tmp_path / "out", lufs=None)
    for file in made.files:
        path = tmp_path / "out" / file.path
        head = path.read_bytes()[:44]
        assert (head[:4], head[4:8], head[8:16]) == (b"RF64", b"\xff" * 4, b"WAVEds64")
        assert struct.unpack("<Q", head[20:28])[0] == path.stat().st_size - 8
        sound, _ = soundfile.read(path)
        assert len(sound) == round(made.duration_s * 48_000)


def test_a_kill_leaves_tracks_with_whole_heads(packets: list[TappedPacket], tmp_path: Path) -> None:
    """The length stood in a head that was written at the end. Here files are cut at any byte, as by a kill."""
    whole = imported(tmp_path / "whole", sealed(packets, MODE), owners=OWNERS)
    journal = (whole / "journal.pcapng").read_bytes()
    for number, cut in enumerate(sorted(random.Random(1).sample(range(2_000, len(journal)), 4))):
        killed = tmp_path / f"killed{number}"
        shutil.copytree(whole, killed)
        (killed / "journal.pcapng").write_bytes(journal[:cut])
        lines = (killed / "events.jsonl").read_bytes().splitlines(keepends=True)
        (killed / "events.jsonl").write_bytes(b"".join(lines[:-1]))  # the last one tells of the end
        summary = render(killed)
        assert not summary.complete
        left = [packet for packet in packets if packet.payload in track(killed, "anna")]
        assert left[: len(left)] == [packet for packet in packets if packet.ssrc == ANNA][: len(left)]
        made = export(killed, killed / "wav", lufs=None)
        for file in made.files:
            data = (killed / "wav" / file.path).read_bytes()
            assert struct.unpack("<I", data[4:8])[0] == len(data) - 8


def test_many_loud_voices_are_not_squared_off(folder: Path, packets: list[TappedPacket], tmp_path: Path) -> None:
    """Samples were added one by one and cut at the limit: two who shout were a rattle."""
    mix, _ = soundfile.read(folder / "mix.opus", dtype="float32")
    recording = Recording.open(folder)
    apart = recording.frames("anna")[:, 0] + recording.frames("ben")[:, 0]
    assert np.abs(apart).max() > 1.3, "not loud enough: the test shows nothing"
    limited = recording.mix()[:, 0]
    for sound in (mix, limited):
        assert np.abs(sound).max() <= 1
        flat = (np.abs(sound[1:]) > 0.999 * np.abs(sound).max()) & (np.abs(np.diff(sound)) < 1e-6)
        assert flat.mean() < 1e-4
    clipped = np.clip(apart, -1, 1)
    assert ((np.abs(clipped[1:]) == 1) & (clipped[1:] == clipped[:-1])).mean() > 1e-3, "clipping would have been seen"


def test_nothing_is_ever_overwritten(packets: list[TappedPacket], tmp_path: Path) -> None:
    """Files were named by user id: each recording replaced the one before."""
    capture = write(tmp_path / "bot.pcap", pcap(frames(sealed(packets, MODE))))
    import_capture(capture, tmp_path / "call", [KEY])
    before = {file.name: file.read_bytes() for file in (tmp_path / "call").iterdir()}
    with pytest.raises(InputError) as caught:
        import_capture(capture, tmp_path / "call", [KEY])
    assert caught.value.code == "folder_not_empty"
    assert {file.name: file.read_bytes() for file in (tmp_path / "call").iterdir()} == before


def test_two_of_one_name_have_two_files(packets: list[TappedPacket], tmp_path: Path) -> None:
    names = {ANNA: Owner("1", "Anna"), BEN: Owner("2", "anna")}
    made = imported(tmp_path, sealed(packets, MODE), owners=names)
    summary = render(made)
    assert sorted(person.track for person in summary.people) == ["tracks/Anna.opus", "tracks/anna-2.opus"]
    assert track(made, "Anna") == [packet.payload for packet in packets if packet.ssrc == ANNA]
    assert track(made, "anna-2") == [packet.payload for packet in packets if packet.ssrc == BEN]
