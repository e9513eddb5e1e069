"""`raccall keygen` and `raccall decrypt`: from a key to a recording that opens."""

import argparse
import asyncio
import json
import os
from pathlib import Path

import pytest

from raccall.cli import record
from raccall.cli.interrupts import Interrupts
from raccall.cli.main import main
from raccall.recorder import Start, read_summary
from raccall.recorder.age_keys import new_identity
from raccall.recorder.events import EventWriter
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.recorder.sealed import Sealer
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.units import Nanos

pytestmark = pytest.mark.realtime


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
        (["recover", "{folder}"], "recording_sealed"),
        (["forget", "{folder}", "--speaker", "anna"], "recording_sealed"),
        (["export", "{folder}", "--out", "{out}"], "recording_sealed"),
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


async def test_a_call_is_recorded_so_that_only_the_key_opens_it(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = new_identity(key)
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        parser = argparse.ArgumentParser()
        record.add_arguments(parser)
        link, call = server.invite("lounge"), tmp_path / "call"
        options = parser.parse_args([link, "--out", str(call), "--seconds", "1", "--encrypt-to", public, "--json"])
        limits, silence_s, seconds = record._check(options)
        recording = record._Recording(options, call, limits, silence_s, Interrupts(), Sealer([public]).open)
        await recording.run(seconds)
    await asyncio.to_thread(record._finish, options, call, limits, recording.health)
    assert json.loads(capsys.readouterr().out)["encrypted"] is True
    assert sorted(os.listdir(call)) == ["events.jsonl.sealed", "journal.pcapng.sealed"]
    assert (
        await asyncio.to_thread(main, ["decrypt", str(call), "--identity", str(key), "--out", str(tmp_path / "b")]) == 0
    )
    assert read_summary(tmp_path / "b").room == "lounge"


def test_tracks_in_clear_are_refused_beside_encryption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["record", "http://127.0.0.1:1/join/x", "--out", str(tmp_path / "call"), "--keep", "tracks"]
    assert main([*words, "--encrypt-to", "age1x"]) == 2
    assert capsys.readouterr().err.endswith("[keep_impossible]\n")
    assert main([*words[:-2], "--encrypt-to", "age1x"]) == 2
    assert capsys.readouterr().err.endswith("[recipient_invalid]\n")
    assert not (tmp_path / "call").exists()
