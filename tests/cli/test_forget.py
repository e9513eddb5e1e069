"""`raccall forget`: what is gone is said, and a mistake is one sentence."""

import json
from pathlib import Path

import pytest

from raccall.cli.main import main
from raccall.recorder import MemberJoined, Note, Start
from raccall.recorder.events import EventWriter
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.units import Nanos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    JournalWriter(tmp_path / "journal.pcapng", TimeBase(Nanos(0), 0), application="test").close()
    log = EventWriter(tmp_path / "events.jsonl")
    log.append(Start(now=0, wall_ns=0, wall="", room="lounge", version="test"))
    log.append(MemberJoined(now=1, user_id="17", name="anna"))
    log.append(Note(now=2, text="hi", user_id="17", name="anna"))
    log.close()
    return tmp_path


def test_it_says_what_is_gone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "old.zip").touch()
    assert main(["forget", str(folder), "--speaker", "anna"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"anna is gone from {folder}: 0 packets, 2 events\n")
    assert "old.zip" in said and "backups" in said
    assert b"anna" not in (folder / "events.jsonl").read_bytes()


def test_json_for_scripts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget", str(folder), "--speaker", "17", "--json"]) == 0
    gone = json.loads(capsys.readouterr().out)
    assert (gone["name"], gone["user_id"], gone["packets"], gone["events"]) == ("anna", "17", 0, 2)


@pytest.mark.parametrize(("speaker", "code"), [("zoe", "speaker_unknown"), ("", "speaker_unknown")])
def test_an_unknown_name_is_one_sentence(
    speaker: str, code: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forget", str(folder), "--speaker", speaker]) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"[{code}]\n") and said.count("\n") == 1
