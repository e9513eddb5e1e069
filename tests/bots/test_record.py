"""Recording a call in one line: ends, mistakes, and what stays when it goes wrong."""

import asyncio
import gc
import os
import wave
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import raccall
from raccall.client import MemberJoined, VoiceConnected, connect
from raccall.errors import ConnectionFailed, InputError, RefusedError
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.engine import Sound

pytestmark = pytest.mark.realtime


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")) as server:
        yield server


def tone(seconds: float) -> NDArray[np.float32]:
    return 0.1 * np.sin(np.arange(int(seconds * 48_000)) * 0.05).astype(np.float32)


async def until(condition: Callable[[], object]) -> None:
    """A real server tells nobody when it is done: look often, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def talk(link: str, seconds: float) -> None:
    """Anna comes, waits for the recorder, speaks and leaves."""
    async with connect(link, name="anna") as anna:
        sound = Sound.clocked(tone(seconds), keep_playback=False)
        await until(lambda: any(member.recording for member in anna.members.values()))
        await anna.consent(True)
        await anna.join(sound)
        await until(lambda: sound.capture_done)


async def test_a_call_is_recorded_until_the_last_person_has_left(server: RunningServer) -> None:
    link = server.invite("lounge")
    shares: list[float] = []
    names: list[str] = []

    def watch(event: object) -> None:
        if isinstance(event, MemberJoined):
            names.append(event.member.name)

    anna = asyncio.create_task(talk(link, 0.6))
    recording = await raccall.record(
        link, until_empty=True, seconds=20, name="tape", watch=watch, progress=shares.append
    )
    await anna
    assert [speaker.name for speaker in recording.speakers] == ["anna"]
    assert np.abs(recording.frames("anna")).max() > 0.05
    assert "anna" in names
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
    with wave.open(BytesIO(recording.wav_bytes())) as file:
        assert file.getnframes() == len(recording.mix())
    folder = recording.path
    assert (folder / "mix.opus").exists()
    del recording
    gc.collect()
    assert not folder.exists()


async def test_seconds_end_it_and_a_given_path_stays(server: RunningServer, tmp_path: Path) -> None:
    recording = await raccall.record(server.invite("lounge"), seconds=0.1, path=tmp_path / "call")
    assert recording.path == tmp_path / "call"
    assert recording.speakers == () and len(recording.mix()) == 0
    del recording
    gc.collect()
    assert raccall.Recording.open(tmp_path / "call").room == "lounge"


async def test_a_connected_session_records_too_and_stays_connected(server: RunningServer) -> None:
    stop = asyncio.Event()
    stop.set()
    async with connect(server.invite("lounge"), name="bot", recorder=True) as session:
        recording = await raccall.record(session, stop=stop)
        again = await raccall.record(session, seconds=0.05)
    assert recording.room == again.room == "lounge"


async def test_nobody_is_recorded_without_seeing_it(server: RunningServer, tmp_path: Path) -> None:
    async with connect(server.invite("lounge"), name="spy") as session:
        with pytest.raises(InputError) as caught:
            await raccall.record(session, seconds=1, path=tmp_path / "call")
    assert caught.value.code == "recorder_hidden"
    assert not (tmp_path / "call").exists()


async def test_a_lost_call_keeps_what_was_received(server: RunningServer, tmp_path: Path) -> None:
    link = server.invite("lounge")
    async with connect(link, name="bot", recorder=True) as session:
        connected = asyncio.Event()

        def watch(event: object) -> None:
            if isinstance(event, VoiceConnected):
                connected.set()

        recording = asyncio.create_task(raccall.record(session, seconds=30, path=tmp_path / "call", watch=watch))
        await connected.wait()
        session._fail(RefusedError("kicked", "You were removed."))
        with pytest.raises(ConnectionFailed, match="removed") as caught:
            await recording
    assert any(str(tmp_path / "call") in note for note in caught.value.__notes__)
    assert raccall.Recording.open(tmp_path / "call").room == "lounge"


@pytest.mark.parametrize(
    ("options", "code"),
    [({}, "no_end"), ({"seconds": 0}, "seconds_out_of_range"), ({"seconds": float("nan")}, "seconds_out_of_range")],
)
async def test_what_cannot_end_does_not_begin(options: dict[str, float], code: str) -> None:
    with pytest.raises(InputError) as caught:
        await raccall.record("http://127.0.0.1:1/join/x", **options)  # type: ignore[arg-type]
    assert caught.value.code == code


async def test_what_cannot_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ConnectionFailed):
        await raccall.record("http://127.0.0.1:1/join/x", seconds=1)
    with pytest.raises(InputError):
        await raccall.record("nonsense", seconds=1)
    assert os.listdir(tmp_path) == []


async def test_a_cancelled_recording_leaves_no_temporary_folder(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    link = server.invite("lounge")
    recording = asyncio.create_task(raccall.record(link, seconds=30))
    await until(lambda: list(temporary.glob("*/events.jsonl")))
    recording.cancel()
    with pytest.raises(asyncio.CancelledError):
        await recording
    assert list(temporary.iterdir()) == []
