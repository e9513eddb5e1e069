"""`raccall top`: the table of any state, and the command against a real server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from raccall.cli import top
from raccall.cli.main import main
from raccall.cli.table import places
from raccall.client import connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings

pytestmark = pytest.mark.realtime


def member(name: str, up: float | None = 0.0, **more: Any) -> dict[str, Any]:
    fields = {
        "muted": False,
        "deafened": False,
        "silenced": False,
        "recorder": False,
        "bot": False,
        "connected": True,
        "down_loss_pct": 0.0,
    }
    return {"name": name, "up_loss_pct": up, "up_kbps": 34.2, "down_kbps": 68.0, "jitter_ms": 3.4} | fields | more


def state(members: list[dict[str, Any]], **relay: int) -> dict[str, Any]:
    return {
        "version": "1",
        "uptime_s": 3725.0,
        "sessions": len(members),
        "voices": len(members),
        "tunnels": 1,
        "loop_lag_ms": 2.0,
        "up_kbps": 102.0,
        "down_kbps": 204.0,
        "relay": {"received": 99} | relay,
        "rooms": [{"name": "lounge", "members": members}] if members else [],
    }


def test_who_loses_most_comes_first_and_only_drops_are_called_so() -> None:
    lines = top.paint(state([member("anna"), member("ben", 7.5, muted=True)], bad_seal=3, replayed=9), 79, 24)
    assert lines[0] == "raccall 1  up 1:02:05  1 rooms  2 members  2 voices  1 by WebSocket"
    assert lines[2] == "dropped: replayed 9, bad_seal 3"
    assert lines[5].split() == ["lounge", "ben", "34k", "7.5%", "3ms", "68k", "0.0%", "muted"]
    assert lines[6].split() == ["lounge", "anna", "34k", "0.0%", "3ms", "68k", "0.0%"]


@pytest.mark.parametrize("columns", [1, 20, 79])
@pytest.mark.parametrize("rows", [1, 5, 6, 23])
@pytest.mark.parametrize("people", [0, 1, 100])
def test_it_never_leaves_the_terminal(columns: int, rows: int, people: int) -> None:
    lines = top.paint(state([member(f"名前\x1b[2J{number}" * 4) for number in range(people)]), columns, rows)
    assert 0 < len(lines) <= rows
    assert all(places(line) <= columns and "\x1b" not in line for line in lines)
    if people == 100 and rows == 23 and columns == 79:
        assert lines[-1] == "... and 83 more"


async def test_the_command_asks_a_running_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data", tls=True)) as server:
        async with connect(server.invite(), name="anna") as anna:
            await anna.join(None)
            place = (server.invite(), "--once", "--data", str(tmp_path / "data"))
            assert await asyncio.to_thread(main, ["top", *place, "--json"]) == 0
            told = json.loads(capsys.readouterr().out)
            assert [m["name"] for m in told["rooms"][0]["members"]] == ["anna"]
            assert await asyncio.to_thread(main, ["top", *place]) == 0
            assert "anna" in capsys.readouterr().out
            assert await asyncio.to_thread(main, ["top", *place, "--operator", "wrong"]) == 2
            assert capsys.readouterr().err.endswith("[not_operator]\n")
    assert main(["top", "--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("[owner_missing]\n")
