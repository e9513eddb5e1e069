"""What bench.join measures, as programs of their own: our server, or uvicorn that accepts WebSockets and nothing else.

Prints one JSON object when it listens, then answers each line of standard input with {"rss": bytes, "cpu_s": seconds}.
"""

import asyncio
import gc
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.server.tokens import User
from raccall.wire.control import EncryptionPolicy

FIRST_USER_ID = 1000


async def ours(members: int) -> None:
    """With a token for each member: how guests are let in is limited on purpose."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ServerSettings(
            host="127.0.0.1", port=0, data=Path(folder), room_capacity=members, encryption=EncryptionPolicy.OFF
        )
        async with RunningServer(settings) as server:
            room_id = server.service.first_room_id()
            users = [
                User(id=FIRST_USER_ID + number, name=f"member {number}", recorder=False, room_id=room_id)
                for number in range(members)
            ]
            async with httpx.AsyncClient() as http:  # what is loaded when first used is no member's cost
                (await http.get(f"{server.url}/api/health")).raise_for_status()
            tokens = [server.service.tokens.guest(user) for user in users]
            say({"port": server.port, "room_id": str(room_id), "tokens": tokens})
            await answer()


async def bare() -> None:
    """The same uvicorn with the same settings; a WebSocket is accepted and read until it ends."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    config = uvicorn.Config(
        app,
        port=0,
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 it tells nobody
        await asyncio.sleep(0.01)
    say({"port": server.servers[0].sockets[0].getsockname()[1]})
    await answer()
    server.should_exit = True
    await serving


async def answer() -> None:
    """Until standard input ends."""
    while await asyncio.to_thread(sys.stdin.readline):
        gc.collect()
        say({"rss": rss_bytes(), "cpu_s": sum(os.times()[:2])})


def rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    asyncio.run(bare() if sys.argv[1] == "bare" else ours(int(sys.argv[1])))
