"""A server that restarts keeps its rooms; its clients come back by themselves and hear each other again."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from raccall.client import Session, VoiceConnected, connect
from raccall.errors import ConnectionFailed
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.delivery.service import Delivery
from raccall.voice.engine import Sound

pytestmark = pytest.mark.realtime


async def voice_connected(session: Session) -> None:
    async for event in session.events():
        if isinstance(event, VoiceConnected):
            return


def loudest(sound: Sound) -> float:
    return float(np.abs(sound.read_playback()).max(initial=0.0))


async def hears(sound: Sound) -> None:
    while loudest(sound) < 0.1:  # noqa: ASYNC110 (a native thread plays)
        await asyncio.sleep(0.02)


async def test_voice_and_members_are_back(tmp_path: Path) -> None:
    tone = np.sin(np.arange(30 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    speaker, listener = Sound.clocked(tone, keep_playback=False), Sound.clocked(None, keep_playback=True)
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path)
    async with asyncio.timeout(20):
        server = await RunningServer(settings).__aenter__()
        try:
            link, port = server.invite(), server.port
            async with connect(link, name="anna") as anna, connect(link, name="ben") as ben:
                await ben.join(listener)
                await anna.join(speaker)
                await voice_connected(anna)
                await voice_connected(ben)
                await hears(listener)
                await server.__aexit__(None, None, None)
                server = await RunningServer(ServerSettings(host="127.0.0.1", port=port, data=tmp_path)).__aenter__()
                await asyncio.gather(voice_connected(anna), voice_connected(ben))
                listener.read_playback()
                await hears(listener)
                assert {member.name for member in ben.members.values()} == {"anna", "ben"}
        finally:
            await server.__aexit__(None, None, None)


async def test_a_restart_in_the_middle_of_a_change_of_keys_leaves_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carl's welcome and the others' commit have gone out; nobody is ever told to use the new keys."""
    tone = np.sin(np.arange(60 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    hears_carl = Sound.clocked(None, keep_playback=True)
    async with asyncio.timeout(40), AsyncExitStack() as stack:
        server = await RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path)).__aenter__()
        link, port = server.invite(), server.port
        anna, ben, carl = [
            await stack.enter_async_context(connect(link, name=name)) for name in ("anna", "ben", "carl")
        ]
        await ben.join(hears_carl)
        await anna.join(Sound.clocked(None, keep_playback=False))
        before = await agreed(anna, ben)
        with monkeypatch.context() as patch:
            patch.setattr(Delivery, "_execute", lambda *_: None)
            (call,) = server.service.calls.encryption._calls.values()
            joining = asyncio.create_task(carl.join(Sound.clocked(tone, keep_playback=False)))
            await until(lambda: len(list(call.delivery._group.leaves)) == 3)
            assert call.delivery._transitions.get_timer() is not None
            await server.__aexit__(None, None, None)
        server = await RunningServer(ServerSettings(host="127.0.0.1", port=port, data=tmp_path)).__aenter__()
        stack.push_async_exit(server)
        (failed,) = await asyncio.gather(joining, return_exceptions=True)
        if isinstance(failed, ConnectionFailed):  # mostly: it was not in the call yet
            await carl.join(Sound.clocked(tone, keep_playback=False))
        assert await agreed(anna, ben, carl) != before
        hears_carl.read_playback()
        await hears(hears_carl)


async def agreed(*members: Session) -> str:
    """The code, once all show the same, of a group of just so many."""

    def codes() -> set[str]:
        shown = [member.encryption for member in members]
        return {seen.code if seen is not None and len(seen.identities) == len(members) else "" for seen in shown}

    await until(lambda: len(codes()) == 1 and "" not in codes())
    return codes().pop()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (threads work on the keys)
        await asyncio.sleep(0.01)
