"""A dishonest server adds a listener whom nobody is shown: everyone is told, and nobody ever uses a key that it has."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import davey
import pytest

from raccall.client import GhostsChanged, Session, connect
from raccall.clock import monotonic_now
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.dave import handshake
from raccall.voice.delivery.service import BATCH_MS
from raccall.voice.gateway import binary
from raccall.wire.control import EncryptionPolicy

pytestmark = pytest.mark.realtime

GHOST = 666


async def agree(*members: Session) -> str:
    """Wait until all of them are in one group, alone."""
    while True:
        codes = {member.encryption.code for member in members if member.encryption is not None}
        if len(codes) == 1 and all(len(m.encryption.identities) == len(members) for m in members if m.encryption):
            return codes.pop()
        await asyncio.sleep(0.01)


async def alarm(member: Session) -> GhostsChanged:
    async for event in member.events():
        if isinstance(event, GhostsChanged):
            return event
    raise AssertionError("the session ended")


async def test_a_ghost_is_told_and_gets_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "STRANGER_WAIT_MS", 300)
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path, encryption=EncryptionPolicy.REQUIRED)
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        server = await stack.enter_async_context(RunningServer(settings))
        anna, ben = [await stack.enter_async_context(connect(server.invite(), name=name)) for name in ("anna", "ben")]
        for member in (anna, ben):
            await member.join(None)
        code = await agree(anna, ben)

        (call,) = server.service.calls.encryption._calls.values()
        ghost = davey.DaveSession(1, GHOST, int(anna.room_id))
        call.delivery.join(GHOST, monotonic_now())
        call.delivery.receive(GHOST, binary.KeyPackage(ghost.get_serialized_key_package()), monotonic_now())
        await asyncio.sleep(BATCH_MS / 1000)
        server.service.calls.encryption.handle_timer(monotonic_now())
        alarms = await asyncio.gather(alarm(anna), alarm(ben))
        assert alarms == [GhostsChanged((str(GHOST),))] * 2
        assert anna.ghosts == ben.ghosts == (str(GHOST),)
        assert anna.encryption is not None and anna.encryption.code == code, "nobody committed to it"
        await asyncio.sleep(0.3)
        assert anna.encryption.code == code and str(GHOST) not in anna.encryption.identities
