"""`raccall record` and `raccall render`: mistakes become one sentence, and nothing is left half-written."""

import argparse
import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from raccall.cli import record
from raccall.cli.main import main
from raccall.client import connect
from raccall.recorder import JournalReader, Recorder, read_summary, render
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.engine import Sound


def options(link: str, folder: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    record.add_arguments(parser)
    return parser.parse_args([link, "--out", str(folder), "--until-empty", "--json"])


async def until(condition: Callable[[], bool]) -> None:
    """A real server tells nobody when it is done: look often, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_real_call_is_recorded_until_the_last_person_has_left(tmp_path: Path) -> None:
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")
    tone = 0.1 * np.sin(np.arange(24_000) * 0.05).astype(np.float32)
    async with RunningServer(settings) as server:
        link = server.invite("lounge")
        async with connect(link, name="anna") as anna:
            recording = asyncio.create_task(record._record(options(link, tmp_path / "call"), tmp_path / "call"))
            await until(lambda: any(member.recording for member in anna.members.values()))
            sound = Sound.clocked(tone, keep_playback=False)
            await anna.consent(True)
            await anna.join(sound)
            await until(lambda: sound.capture_done)
            await anna.leave()
            await asyncio.wait_for(recording, 10)
    summary = await asyncio.to_thread(render, tmp_path / "call")
    assert [person.name for person in summary.people] == ["anna"]
    assert summary.people[0].packets >= 24
    assert summary.room == "lounge" and summary.complete


def test_a_folder_with_something_in_it_is_refused_before_connecting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert main(["record", "http://127.0.0.1:1/join/x", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.endswith("[folder_not_empty]\n") and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("words", [["http://127.0.0.1:1/join/x"], ["nonsense"], ["http://a/join/x", "--seconds", "-1"]])
def test_what_cannot_begin_leaves_no_folder(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", *words, "--out", str(tmp_path / "call")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


async def test_render_again_prints_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Recorder(tmp_path / "call", room="lounge"):
        pass
    assert await asyncio.to_thread(main, ["render", str(tmp_path / "call"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["mix"] == str(tmp_path / "call" / "mix.opus")
    assert said["duration_s"] == read_summary(tmp_path / "call").duration_s
    assert list(JournalReader(tmp_path / "call" / "journal.pcapng").packets()) == []
    assert await asyncio.to_thread(main, ["render", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.endswith("[not_a_recording]\n")
