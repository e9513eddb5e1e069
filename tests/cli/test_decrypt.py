"""`raccall keygen` and `raccall decrypt`: from a key to a recording that opens."""

import json
from pathlib import Path

import pytest

from raccall.cli.main import main
from raccall.recorder import Start
from raccall.recorder.events import EventWriter
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.recorder.sealed import Sealer
from raccall.units import Nanos


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "key.txt"


@pytest.fixture
def folder(tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["keygen", str(key)]) == 0
    public = capsys.readouterr().out.strip()
    assert public.startswith("age1")
    open_file = Sealer([public]).open
    folder = tmp_path / "call"
    folder.mkdir()
    base = TimeBase(Nanos(0), 0)
    JournalWriter(folder / "journal.pcapng", base, application="test", open_file=open_file).close()
    events = EventWriter(folder / "events.jsonl", open_file=open_file)
    events.append(Start(now=0, wall_ns=0, wall="", room="a secret room", version="test"))
    events.close()
    return folder


def test_decrypting_makes_an_ordinary_recording(
    folder: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "open"
    assert main(["decrypt", str(folder), "--identity", str(key), "--out", str(out), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["mix"] == str(out / "mix.opus") and said.err == ""
    assert json.loads((out / "summary.json").read_text())["room"] == "a secret room"


def test_damage_is_told(folder: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "events.jsonl.sealed").open("r+b") as file:
        file.seek(200)
        file.write(b"xx")
    assert main(["decrypt", str(folder), "--identity", str(key), "--out", str(tmp_path / "open")]) == 0
    assert capsys.readouterr().err.startswith("1 damaged segments are lost, 1 are whole")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["render", "{folder}"], "recording_sealed"),
        (["decrypt", "{folder}", "--identity", "{folder}", "--out", "{out}"], "key_file_unreadable"),
        (["decrypt", "{out}", "--identity", "{key}", "--out", "{out}"], "not_sealed"),
        (["keygen", "{key}"], "file_exists"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], code: str, folder: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"folder": folder, "key": key, "out": tmp_path / "open"}
    assert main([word.format(**names) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"[{code}]\n") and said.count("\n") == 1
    assert not (tmp_path / "open").exists()
