"""`raccall room` against a real server on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raccall.cli.main import main
from raccall.client import connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.engine import Sound

pytestmark = pytest.mark.realtime


@pytest.fixture(params=[False, True], ids=["http", "tls"])
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[RunningServer]:
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data", tls=request.param)
    async with RunningServer(settings) as server:
        yield server


async def room(server: RunningServer, *words: str) -> int:
    place = server.invite() if server.url.startswith("https") else server.url
    return await asyncio.to_thread(main, ["room", *words, "--server", place])


async def test_what_is_changed_is_in_force_stored_and_shown(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ("--data", str(tmp_path / "data"))
    assert await room(server, "LOUNGE", *data) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "lounge: recording ask, the server's recordings are kept for ever; encryption required"
    assert shown[1].startswith(f"Invite: {server.url}/join/")
    change = ("--recording", "automatic", "--retention-days", "30", "--encryption", "off", "--json")
    assert await room(server, "lounge", *change, "--owner", server.owner_token) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["recording"], told["retention_days"], told["encryption"]) == ("automatic", 30, "off")
    known = server.service.rooms.all()[0]
    (stored,) = server.service.store.rooms()
    assert (known.policy, known.retention_days) == (stored.recording, stored.retention_days) == ("automatic", 30)
    assert known.encryption == stored.encryption == "off"
    monkeypatch.setenv("RACCALL_OWNER", server.owner_token)
    assert await room(server, "lounge", "--retention-days", "forever") == 0
    assert (known.policy, known.retention_days) == ("automatic", None)
    assert await room(server, "attic", "--new", "--recording", "off") == 0
    assert [known.policy for known in server.service.rooms.all()] == ["automatic", "off"]


async def test_who_is_in_the_call_is_shown_and_can_be_silenced(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = ("--owner", server.owner_token)
    async with asyncio.timeout(20), connect(server.invite(), name="Anna") as anna:
        await anna.join(Sound.clocked(None, keep_playback=False))
        assert await room(server, "lounge", "--mute", "anna", *owner) == 0
        assert capsys.readouterr().out.endswith("In the call: Anna (silenced)\n")
        assert await room(server, "lounge", "--unmute", "ANNA", "--json", *owner) == 0
        (person,) = json.loads(capsys.readouterr().out)["people"]
        assert (person["name"], person["silenced"]) == ("Anna", False)
        assert await room(server, "lounge", "--mute", "ben", *owner) == 2
        assert capsys.readouterr().err.endswith("[member_unknown]\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["cellar"], "room_unknown"),
        (["lounge", "--new"], "room_exists"),
        (["lounge", "--owner", "wrong"], "not_owner"),
        (["lounge", "--retention-days", "0"], "request_malformed"),
        (["lounge", "--data", "/nothing"], "owner_missing"),
    ],
)
async def test_a_mistake_is_one_sentence(
    server: RunningServer, tmp_path: Path, words: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await room(server, "--data", str(tmp_path / "data"), *words) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.endswith(f"[{code}]\n") and printed.err.count("\n") == 1


def test_nobody_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["room", "lounge", "--owner", "x", "--server", "http://127.0.0.1:1"]) == 2
    assert capsys.readouterr().err.endswith("[server_unreachable]\n")
    assert main(["room", "lounge", "--owner", "x", "--server", "nonsense"]) == 2
    assert capsys.readouterr().err.endswith("[invite_malformed]\n")
