"""raccall recover: what is left of a recording, in words that say what to do."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from calls import Sender, encode, over_network, speech
from folders import ANNA, BEN, people, write_recording

from raccall.cli.main import main
from raccall.recorder import JournalReader, Recorder, Stop, render


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two talkers, two seconds; the recorder was killed."""
    payloads = encode(speech(2.0, seed=1), tmp_path)
    packets = over_network([Sender(ANNA, payloads), Sender(BEN, payloads[:50])], seed=1, jitter_ms=5)
    return write_recording(tmp_path / "call", packets, people())


def recover(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["recover", str(folder), "--json"]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_a_killed_recording_is_told_and_rendered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (folder / name).read_bytes() for name in ("journal.pcapng", "events.jsonl")}
    assert main(["recover", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "cut short: the recorder was killed" in told
    assert "150 packets can be read" in told and "no damage" in told
    assert "were missing and were made" in told
    rows = sorted(line.split()[:3] for line in told.splitlines() if line.startswith("  "))
    assert rows[:2] == [["anna", "100", "0"], ["ben", "50", "0"]]
    assert (folder / "tracks" / "anna.opus").exists()
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert main(["recover", str(folder)]) == 0
    assert "nothing needs to be done" in capsys.readouterr().out


def test_damage_is_told_in_packets_and_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = folder / "journal.pcapng"
    data = bytearray(journal.read_bytes())
    data[5_000] ^= 1
    journal.write_bytes(bytes(data[:9_000]) + b"garbage" + bytes(data[9_000:-10]))
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"event":"note","te')
    told = recover(folder, capsys)
    damage = told["damage"]
    assert isinstance(damage, dict) and 0 < damage.pop("journal_bytes") < 600
    assert damage == {"journal_places": 2, "journal_packets": 2, "event_lines": 1}
    assert told["packets"] == len(list(JournalReader(journal).packets())) == 147
    assert told["complete"] is False and told["made_anew"] is True


def test_tracks_that_do_not_fit_are_made_anew(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(folder)
    assert recover(folder, capsys)["rendered"] == "whole"
    (folder / "tracks" / "ben.opus").unlink()
    assert recover(folder, capsys)["rendered"] == "outdated"
    assert (folder / "tracks" / "ben.opus").exists()
    (folder / "summary.json").write_text("{}")
    assert recover(folder, capsys)["rendered"] == "outdated"
    assert recover(folder, capsys)["rendered"] == "whole"


def test_a_journal_without_events_gets_them_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "events.jsonl").unlink()
    told = recover(folder, capsys)
    assert told["events_restored"] is True
    assert sorted(path.name for path in (folder / "tracks").iterdir()) == [
        "unknown-0000000a.opus",
        "unknown-0000000b.opus",
    ]
    assert str(told["started"]).startswith("2026-")
    assert main(["recover", str(folder)]) == 0
    assert "missing" not in capsys.readouterr().out


def test_a_whole_recording_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = write_recording(tmp_path / "call", [], [*people(), Stop(now=10**12 + 10**9, reason="stopped")])
    assert recover(whole, capsys)["complete"] is True


async def test_a_recording_that_goes_on_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Recorder(tmp_path / "call"):
        assert main(["recover", str(tmp_path / "call")]) == 2
    assert "stop that first. [still_recording]" in capsys.readouterr().err


def test_a_folder_without_a_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recover", str(tmp_path)]) == 2
    assert "[not_a_recording]" in capsys.readouterr().err
