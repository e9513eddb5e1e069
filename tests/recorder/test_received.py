"""What was received is deleted only when what was made of it is whole."""

from pathlib import Path

import pytest
from calls import Sender, encode, over_network, speech
from test_render import people, write_recording

from raccall.errors import StorageError
from raccall.recorder import Summary, render
from raccall.recorder.received import delete_received, ogg_samples


@pytest.fixture
def rendered(tmp_path: Path) -> tuple[Path, Summary]:
    packets = over_network([Sender(0xA, encode(speech(3, 1), tmp_path))], seed=1)
    folder = write_recording(tmp_path / "call", packets, people())
    return folder, render(folder)


def test_whole_tracks_let_the_journal_go(rendered: tuple[Path, Summary]) -> None:
    folder, summary = rendered
    size = (folder / "journal.pcapng").stat().st_size + (folder / "events.jsonl").stat().st_size
    assert delete_received(folder, summary) == size
    left = {path.name for path in folder.iterdir()}
    assert {"tracks", "mix.opus", "summary.json"} <= left
    assert not {"journal.pcapng", "events.jsonl"} & left


def test_a_damaged_track_keeps_it(rendered: tuple[Path, Summary]) -> None:
    folder, summary = rendered
    for path in (folder / "tracks" / "anna.opus", folder / "mix.opus"):
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[len(flipped) // 2] ^= 1
        last_page = whole.rindex(b"OggS")
        for damaged in (bytes(flipped), whole[:-1], whole[:last_page], whole + whole, b""):
            path.write_bytes(damaged)
            with pytest.raises(StorageError, match="is not whole") as caught:
                delete_received(folder, summary)
            assert caught.value.code == "tracks_damaged"
        path.write_bytes(whole)
    assert (folder / "journal.pcapng").exists() and (folder / "events.jsonl").exists()


def test_a_missing_track_keeps_it(rendered: tuple[Path, Summary]) -> None:
    folder, summary = rendered
    (folder / "tracks" / "anna.opus").unlink()
    with pytest.raises(StorageError):
        delete_received(folder, summary)
    assert (folder / "journal.pcapng").exists()


def test_lengths_are_those_the_summary_tells(rendered: tuple[Path, Summary]) -> None:
    folder, summary = rendered
    assert ogg_samples(folder / "mix.opus") == round(summary.duration_s * 48_000)
