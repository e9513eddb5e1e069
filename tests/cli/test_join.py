"""`raccall join` as a person runs it, against a real server on loopback."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import miniaudio  # type: ignore[import-untyped]
import numpy as np
import pytest

from raccall.audio import backend
from raccall.audio.files import SoundWriter, read_samples
from raccall.cli.main import EXIT_INPUT, main
from raccall.client import MemberJoined, Session, TextReceived, connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.testing.dialogue import OWN_SPEECH
from raccall.testing.intelligibility import intelligibility
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Sound
from tests.reading import line_with

pytestmark = pytest.mark.realtime

SPEECH = OWN_SPEECH / "anna_1.flac"
RUN = "import sys; from raccall.cli.main import main; sys.exit(main())"


@pytest.fixture
def sentence(tmp_path: Path) -> Path:
    """A second of speech in a file."""
    path = tmp_path / "sentence.wav"
    with SoundWriter(path) as writer:
        writer.write(read_samples(SPEECH)[:SAMPLE_RATE_HZ])
    return path


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[str]:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        async with asyncio.timeout(30):
            yield server.invite()


async def join(*words: str | Path) -> Process:
    command = [sys.executable, "-c", RUN, "join", *map(str, words)]
    return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)


async def in_call(session: Session, name: str) -> None:
    async for event in session.events():
        if isinstance(event, MemberJoined) and event.member.name == name:
            return


def loudest(samples: np.ndarray) -> float:
    return float(np.abs(samples).max(initial=0.0))


async def test_a_file_is_spoken_lines_are_said_and_the_end_is_told(link: str, sentence: Path) -> None:
    sound = Sound.clocked(None, keep_playback=True)
    async with connect(link, name="ben") as ben:
        await ben.join(sound)
        process = await join(link, "--name", "anna", "--mic", sentence, "--until-end", "--json")
        await in_call(ben, "anna")
        assert process.stdin is not None
        process.stdin.write(b"hello ben\n/nonsense\nno line break at the end")
        process.stdin.close()
        texts: list[str] = []
        async for event in ben.events():
            if isinstance(event, TextReceived):
                texts.append(event.text)
            if len(texts) == 2:
                break
        assert texts == ["hello ben", "no line break at the end"]
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    told = [json.loads(line) for line in output.splitlines()]
    assert [told[0]["event"], told[-1]["event"]] == ["joined", "ended"]
    assert 50 <= told[-1]["stats"]["sent_packets"] <= 52
    assert loudest(sound.read_playback()) > 0.1


async def test_what_was_heard_is_complete_also_when_interrupted(link: str, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    speech = read_samples(SPEECH)[:SAMPLE_RATE_HZ]
    # What was said last is still on its way when it has been sent: half a second of silence lets it arrive.
    sound = Sound.clocked(np.append(speech, np.zeros(SAMPLE_RATE_HZ // 2, np.float32)), keep_playback=False)
    async with connect(link, name="ben") as ben:
        process = await join(link, "--name", "anna", "--speaker", heard)
        assert process.stdout is not None
        await process.stdout.readline()
        await ben.join(sound)
        while not sound.capture_done:  # noqa: ASYNC110 (a flag of a native thread)
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert b"ben is here" in output
    played = read_samples(heard)
    assert len(played) > 0.9 * len(speech)
    begin = max(int(np.argmax(np.abs(played) > 0.01)) - SAMPLE_RATE_HZ // 5, 0)
    assert intelligibility(speech, played[begin:]) > 0.9


async def test_a_stereo_sender_is_heard_and_written_in_stereo(link: str, tmp_path: Path) -> None:
    """Two people, a relay, a file with two channels: what was left is left."""
    heard = tmp_path / "heard.wav"
    left = (0.4 * np.sin(np.arange(2 * SAMPLE_RATE_HZ) * 0.0576)).astype(np.float32)
    sound = Sound.clocked(np.stack([left, np.zeros_like(left)], axis=1), keep_playback=False)
    async with connect(link, name="ben") as ben:
        process = await join(link, "--name", "anna", "--speaker", heard)
        assert process.stdout is not None
        await process.stdout.readline()
        await ben.join(sound, music=True, bitrate_bps=128_000)
        while not sound.capture_done:  # noqa: ASYNC110 (a flag of a native thread)
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    played = read_samples(heard, keep_stereo=True)
    assert played.ndim == 2
    middle = played[np.argmax(np.abs(played[:, 0]) > 0.1) :][4800:SAMPLE_RATE_HZ]
    levels_db = 10 * np.log10(np.square(middle).mean(axis=0) + 1e-12)
    assert levels_db[0] == pytest.approx(10 * np.log10(0.4**2 / 2), abs=1)
    assert levels_db[0] - levels_db[1] > 40, "channel separation"


async def test_of_a_silent_file_next_to_nothing_is_sent_if_asked(link: str, tmp_path: Path) -> None:
    with SoundWriter(tmp_path / "silence.wav") as writer:
        writer.write(np.zeros(SAMPLE_RATE_HZ, np.float32))
    async with connect(link, name="ben") as ben:
        await ben.join(Sound.clocked(None, keep_playback=False))
        said = ("--mic", tmp_path / "silence.wav", "--until-end", "--dtx", "--json")
        process = await join(link, "--name", "anna", *said)
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert 0 < json.loads(output.splitlines()[-1])["stats"]["sent_packets"] < 20


async def test_quit_and_mute(link: str) -> None:
    process = await join(link, "--name", "anna", "--mic", SPEECH, "--muted")
    output, errors = await process.communicate(b"/mute\n/mute\n/quit\n")
    assert (process.returncode, errors) == (0, b"")
    lines = output.decode().splitlines()
    assert lines[0].startswith("You are in lounge as anna.")
    assert lines[1:4] == ["Nobody else is here yet.", "Your microphone is on.", "Your microphone is off."]


async def test_a_key_to_talk_the_links_state_and_the_last_minute(link: str, tmp_path: Path) -> None:
    minute = tmp_path / "minute.jsonl"
    words = ("--name", "anna", "--mic", SPEECH, "--mode", "ptt", "--flight-recorder", minute)
    process = await join(link, *words, "--seconds", "1.6")
    assert process.stdin is not None
    await line_with("Nobody else", process.stdout)
    process.stdin.write(b"\n\n/stats\n")
    output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    text = output.decode()
    assert "You are heard; Enter ends it.\nYou are not heard any more.\n" in text
    assert "you → server   loss" in text and "server → you   loss" in text and "0:00:01 of call: loss" in text
    looks = [json.loads(line) for line in minute.read_text().splitlines()]
    assert len(looks) >= 2 and looks[0]["at_ms"] == 0
    assert {"uplink_loss_pct", "bitrate_bps", "playback_gaps", "sources"} <= looks[-1].keys()


async def test_a_taken_name_leaves_nothing_behind(link: str, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    async with connect(link, name="anna"):
        process = await join(link, "--name", "Anna", "--speaker", heard)
        output, errors = await process.communicate()
    assert (process.returncode, output) == (EXIT_INPUT, b"")
    assert errors.endswith(b"[name_taken]\n")
    assert errors.count(b"\n") == 1
    assert not heard.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], "link_missing"),
        (["http://127.0.0.1:1/join/abc"], "name_missing"),
        (["lounge", "--name", "anna"], "invite_malformed"),
        (["http://127.0.0.1:1/join/abc", "--name", "anna", "--bitrate", "500"], "bitrate_out_of_range"),
        (["http://127.0.0.1:1/join/abc", "--name", "anna", "--dred", "1041"], "dred_out_of_range"),
        (["http://127.0.0.1:1/join/abc", "--name", "anna", "--dred", "500", "--music"], "dred_with_music"),
        (
            ["http://127.0.0.1:1/join/abc", "--name", "anna", "--dred", "500", "--bitrate", "32000"],
            "bitrate_too_low_for_dred",
        ),
        (["http://127.0.0.1:1/join/abc", "--name", "anna", "--dtx", "--music"], "dtx_with_music"),
        (["http://127.0.0.1:1/join/abc", "--name", "anna", "--seconds", "0"], "seconds_out_of_range"),
        (["http://127.0.0.1:1/join/abc", "--name", "anna", "--mic", "nothing.wav"], "unreadable_audio"),
        (["http://127.0.0.1:1/join/abc", "--name", "a", "--speaker", "a.wav", "--until-end"], "until_end_needs_mic"),
        (["http://127.0.0.1:1/join/abc", "--name", "anna", "--mic", str(SPEECH)], "server_unreachable"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["join", *words]) == EXIT_INPUT
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith(f"[{code}]\n")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["--mic", "Headset"]], ids=str)
def test_without_a_sound_system_it_says_so_and_joins_nobody(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a server without a desktop, where nothing answers miniaudio."""

    class Nobody:
        def __getattr__(self, name: str) -> object:
            return getattr(miniaudio.lib, name)

        def ma_context_init(self, *_: object) -> int:
            return int(miniaudio.lib.MA_NO_BACKEND)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "lib", Nobody())
    assert main(["join", "http://127.0.0.1:1/join/abc", "--name", "anna", *words]) == EXIT_INPUT
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no sound system" in printed.err and "use sound files" in printed.err
    assert printed.err.endswith("[no_sound_system]\n") and printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
