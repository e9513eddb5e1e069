"""`raccall record` and `raccall render`: mistakes become one sentence, and nothing is left half-written."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from raccall.cli import record
from raccall.cli.interrupts import Interrupts
from raccall.cli.main import main
from raccall.client import connect
from raccall.errors import StorageError
from raccall.recorder import JournalReader, Recorder, read_summary, render, space
from raccall.recorder.health import HealthReport
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.engine import Sound
from tests.reading import line_with

pytestmark = pytest.mark.realtime

TONE = 0.1 * np.sin(np.arange(24_000) * 0.05).astype(np.float32)


async def until(condition: Callable[[], bool]) -> None:
    """A real server tells nobody when it is done: look often, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Call:
    """A room with anna in it, who speaks a tone, and the command that records her."""

    def __init__(self, server: RunningServer, folder: Path) -> None:
        self.link = server.invite("lounge")
        self.folder = folder

    def command(self, *words: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        record.add_arguments(parser)
        return parser.parse_args([self.link, "--out", str(self.folder), *words])

    async def record(self, *words: str) -> HealthReport:
        """As the command does until it renders, while anna speaks for half a second and leaves."""
        options = self.command(*words)
        limits, silence_s, seconds = record._check(options)
        recording = record._Recording(options, self.folder, limits, silence_s, Interrupts())
        running = asyncio.create_task(recording.run(seconds))
        async with connect(self.link, name="anna") as anna:
            await until(lambda: running.done() or any(member.recording for member in anna.members.values()))
            await anna.consent(True)
            sound = Sound.clocked(TONE, keep_playback=False)
            await anna.join(sound)
            await until(lambda: running.done() or sound.capture_done)
            await anna.leave()
            await asyncio.wait_for(running, 10)
        return recording.health

    async def finish(self, health: HealthReport, *words: str) -> None:
        options = self.command(*words)
        await asyncio.to_thread(record._finish, options, self.folder, record._check(options)[0], health)


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Call]:
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")
    async with RunningServer(settings) as server:
        yield Call(server, tmp_path / "call")


async def test_a_real_call_is_recorded_until_the_last_person_has_left(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    health = await call.record("--until-empty", "--json-lines")
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    texts = [line["text"] for line in said if line["event"] == "said"]
    assert "anna is here" in texts and texts[-1] == "anna has left"
    seen = [line for line in said if line["event"] == "health"]
    assert seen[0]["packets"] == 0 < health.packets

    await call.finish(health, "--json")
    summary = read_summary(call.folder)
    assert [person.name for person in summary.people] == ["anna"]
    assert summary.people[0].packets >= 24
    assert summary.room == "lounge" and summary.complete
    outcome = json.loads(capsys.readouterr().out)
    assert (outcome["event"], outcome["stopped"], outcome["alarms"]) == ("recorded", "stopped", [])


async def test_only_the_journal(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    health = await call.record("--until-empty", "--keep", "journal")
    await call.finish(health, "--keep", "journal")
    assert sorted(path.name for path in call.folder.iterdir()) == ["events.jsonl", "journal.pcapng"]
    assert f"`raccall render {call.folder}` makes tracks and mix" in capsys.readouterr().out
    assert render(call.folder).people[0].packets >= 24


async def test_only_the_tracks(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    health = await call.record("--until-empty", "--keep", "tracks")
    await call.finish(health, "--keep", "tracks")
    names = {path.name for path in call.folder.iterdir()}
    assert not {"events.jsonl", "journal.pcapng"} & names and (call.folder / "tracks" / "anna.opus").is_file()
    assert "cannot be made anew" in capsys.readouterr().err


async def test_the_size_limit_ends_a_recording_as_wished(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    health = await call.record("--max-size", "115kB", "--plain")
    assert "the folder would have grown past 115kB" in capsys.readouterr().err
    await call.finish(health, "--max-size", "115kB")
    assert read_summary(call.folder).stopped == "max_size"
    assert sum(path.stat().st_size for path in call.folder.rglob("*") if path.is_file()) <= 115_000


async def test_a_disk_that_fills_up_ends_a_recording_that_is_whole(
    call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([650_000_000, 650_000_000, 521_500_000, 511_500_000])
    monkeypatch.setattr(space, "free_bytes", lambda folder: next(free, 499_000_000))
    with pytest.raises(StorageError) as caught:
        await call.record("--plain")
    assert caught.value.code == "disk_full"
    said = capsys.readouterr().err
    assert said.index("ALARM: Room on the disk runs low: 21 MB") < said.index("ALARM: The disk is nearly full: 11 MB")
    summary = render(call.folder)
    assert (summary.stopped, summary.complete) == ("disk_full", True)
    assert [alarm.kind for alarm in summary.alarms] == ["disk_low", "disk_nearly_full"]


async def test_rendering_does_not_fill_the_disk(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    health = await call.record("--until-empty")
    monkeypatch.setattr(space, "free_bytes", lambda folder: 0)
    with pytest.raises(StorageError) as caught:
        await call.finish(health)
    assert caught.value.code == "no_space_to_render"
    assert sorted(path.name for path in call.folder.iterdir()) == ["events.jsonl", "journal.pcapng"]


async def test_silence_is_told_and_so_is_its_end(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    async def anna_is_silent_first() -> None:
        async with connect(call.link, name="anna") as anna:
            await anna.consent(True)
            await anna.join(Sound.clocked(np.concatenate([0 * TONE, TONE, TONE, TONE]), keep_playback=False))
            await asyncio.sleep(2.5)

    options = call.command("--silence-alarm", "0.4", "--plain", "--until-empty")
    limits, silence_s, seconds = record._check(options)
    recording = record._Recording(options, call.folder, limits, silence_s, Interrupts())
    await asyncio.wait_for(asyncio.gather(recording.run(seconds), anna_is_silent_first()), 20)
    said = capsys.readouterr().err
    assert said.index("ALARM: No sound for") < said.index("over: Sound again after")


class Run:
    """The command as a process of its own, with its signals."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def begin(cls, call: Call, *words: str) -> "Run":
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from raccall.cli.main import main; raise SystemExit(main())", "record"),
            *(call.link, "--out", str(call.folder), *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        run = cls(process)
        await run.said("Recording lounge")
        return run

    async def said(self, words: str) -> None:
        await line_with(words, self.process.stderr)

    async def end(self) -> tuple[int, str]:
        """Exit code and what else was said."""
        out, err = await asyncio.wait_for(self.process.communicate(), 20)
        assert self.process.returncode is not None
        return self.process.returncode, out.decode() + err.decode()


posix_only = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signals")


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_and_a_polite_kill_end_it_and_it_is_rendered(call: Call, number: signal.Signals) -> None:
    run = await Run.begin(call)
    run.process.send_signal(number)
    code, said = await run.end()
    assert code == 0 and f"recorded in {call.folder}" in said
    assert read_summary(call.folder).stopped == "stopped"


@posix_only
async def test_a_second_ctrl_c_skips_the_rendering_and_says_how_to_make_it_later(call: Call) -> None:
    run = await Run.begin(call)
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGTERM)
    code, said = await run.end()
    assert code == 130
    assert f"Not rendered. Everything received is in {call.folder}; `raccall render {call.folder}`" in said
    assert not (call.folder / "mix.opus").exists()
    assert render(call.folder).complete


@posix_only
async def test_a_closed_terminal_ends_nothing_until_everyone_has_left(call: Call) -> None:
    async with connect(call.link, name="anna") as anna:
        await anna.join(None)
        run = await Run.begin(call)
        run.process.send_signal(signal.SIGHUP)
        await run.said("The terminal is gone")
        await anna.leave()
    code, said = await run.end()
    assert code == 0 and f"recorded in {call.folder}" in said


@posix_only
async def test_on_a_terminal_the_panel_is_drawn_and_gone_at_the_end(call: Call) -> None:
    import pty

    master, slave = pty.openpty()
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            shown.extend(os.read(master, 65_536))

    loop = asyncio.get_running_loop()
    loop.add_reader(master, read)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from raccall.cli.main import main; raise SystemExit(main())", "record"),
        *(call.link, "--out", str(call.folder), "--max-time", "1.2s"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", "PYTHONIOENCODING": "utf-8"},
    )
    assert await asyncio.wait_for(process.wait(), 20) == 0
    await until(lambda: b"everyone:" in shown)
    loop.remove_reader(master)
    os.close(slave)
    os.close(master)
    text = shown.decode()
    assert text.count("● REC 0:00:0") >= 2 and "nobody here" in text
    assert "\x1b[1A\r\x1b[J" in text.rsplit("● REC", 1)[1], "the panel's row is taken away at the end"


def test_a_folder_with_something_in_it_is_refused_before_connecting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert main(["record", "http://127.0.0.1:1/join/x", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.endswith("[folder_not_empty]\n") and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "words",
    [
        ["http://127.0.0.1:1/join/x"],
        ["nonsense"],
        ["http://a/join/x", "--seconds", "-1"],
        ["http://a/join/x", "--max-size", "much"],
        ["http://a/join/x", "--silence-alarm", "never"],
        ["http://127.0.0.1:1/join/x", "--min-free", "1000TB"],
    ],
)
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
