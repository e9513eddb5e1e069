"""Who has not said who they are."""

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from raccall.server.app import RunningServer
from raccall.server.doorway import Doorway
from raccall.server.settings import ServerSettings

pytestmark = pytest.mark.realtime


def test_one_address_fills_its_own_places_only() -> None:
    doorway = Doorway(most_per_host=2, most=3)
    a1, a2, a3, b, c = (doorway.enter(host) for host in ("a", "a", "a", "b", "c"))
    assert a1 and a2 and b
    assert a3 is None and c is None  # its own places are taken; all are
    a1.let_in()
    a1.let_in()
    assert len(doorway) == 2 and doorway.refused == 2
    a4 = doorway.enter("a")
    assert a4
    for stranger in (a2, a4, b):
        stranger.let_in()
    assert len(doorway) == 0


async def test_a_server_refuses_silent_connections_beyond_its_limit_and_serves_those_it_knows(tmp_path: Path) -> None:
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path)
    async with asyncio.timeout(20), RunningServer(settings) as server:
        server.service.doorway.most_per_host = 3
        silent: list[ClientConnection] = []
        for _ in range(3):
            silent.append(await connect(f"ws://127.0.0.1:{server.port}/gateway"))
        with pytest.raises(InvalidStatus):
            await connect(f"ws://127.0.0.1:{server.port}/?v=8")
        await silent.pop().close()
        while len(server.service.doorway) > 2:  # noqa: ASYNC110 (the server sees the close in its own time)
            await asyncio.sleep(0.01)
        silent.append(await connect(f"ws://127.0.0.1:{server.port}/?v=8"))
        for socket in silent:
            await socket.close()
