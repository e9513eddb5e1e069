"""The server's owner silences a member: nobody gets their voice, everyone is shown it, and it can be undone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest

from raccall.client import MemberChanged, Session, connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Sound

pytestmark = pytest.mark.realtime


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (native threads, and the server, move on in their own time)
        await asyncio.sleep(0.01)


async def told(session: Session) -> bool:
    """What somebody's next change says about being silenced."""
    async for event in session.events():
        if isinstance(event, MemberChanged) and event.before.silenced != event.member.silenced:
            return event.member.silenced
    raise AssertionError("the session has ended")


async def test_an_owner_silences_a_member_and_lets_them_be_heard_again(tmp_path: Path) -> None:
    tone = np.sin(np.arange(30 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path)
    async with (
        asyncio.timeout(30),
        RunningServer(settings) as server,
        connect(server.invite(), name="anna") as anna,
        connect(server.invite(), name="ben") as ben,
        httpx.AsyncClient(base_url=f"{server.url}/api") as http,
    ):
        await ben.join(Sound.clocked(None, keep_playback=False))
        await anna.join(Sound.clocked(tone, keep_playback=False))
        sources = lambda: ben.stats().sources  # noqa: E731
        await until(lambda: bool(sources()) and sources()[0].received > 5)

        owner = {"authorization": f"Bearer {server.owner_token}"}
        place = f"/rooms/{anna.room_id}/members/{anna.user_id}"

        async def silence(silenced: bool, headers: dict[str, str] = owner) -> httpx.Response:
            return await http.patch(place, json={"silenced": silenced}, headers=headers)

        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": f"Bearer {server.operator_token}"}):
            refused = await silence(True, headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "not_owner")
        assert (await http.get(f"/rooms/{anna.room_id}/members")).status_code == 403

        both: Callable[[], Awaitable[list[bool]]] = lambda: asyncio.gather(told(anna), told(ben))  # noqa: E731
        assert (await silence(True)).json()["silenced"] and await both() == [True, True]
        assert anna.silenced and not ben.silenced and not anna.muted
        await asyncio.sleep(0.1)  # what was on its way
        before = sources()[0].received
        await asyncio.sleep(0.3)
        assert sources()[0].received == before

        await anna.set_muted(True)
        await anna.set_muted(False)  # her own switch does not help
        await asyncio.sleep(0.2)
        assert sources()[0].received == before

        assert not (await silence(False)).json()["silenced"] and await both() == [False, False]
        await until(lambda: sources()[0].received > before + 5)
        assert sources()[0].lost < 10, "what she sent before she knew, and no more"


async def test_a_client_that_goes_on_sending_is_dropped_by_the_relay_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "silenced", False)  # as a program that does not know of it
    tone = np.sin(np.arange(30 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path)
    async with (
        asyncio.timeout(30),
        RunningServer(settings) as server,
        connect(server.invite(), name="anna") as anna,
        connect(server.invite(), name="ben") as ben,
    ):
        await ben.join(Sound.clocked(None, keep_playback=False))
        await anna.join(Sound.clocked(tone, keep_playback=False))
        await until(lambda: bool(ben.stats().sources))
        server.service.hub.silence(int(anna.room_id), int(anna.user_id), True)
        count = lambda: server.service.relay.counters()["silenced"]  # noqa: E731
        await until(lambda: count() > 5)
        before, received = count(), ben.stats().sources[0].received
        await until(lambda: count() > before + 10)
        assert ben.stats().sources[0].received == received
        await anna.leave()
        await anna.join(Sound.clocked(tone, keep_playback=False))
        before = count()
        await until(lambda: count() > before + 10), "who leaves and comes back is silenced still"
        assert ben.members[anna.user_id].silenced


async def test_a_restart_lets_nobody_be_heard_who_was_silenced(tmp_path: Path) -> None:
    tone = np.sin(np.arange(30 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        server = await RunningServer(ServerSettings(host="127.0.0.1", port=0, data=tmp_path)).__aenter__()
        again = ServerSettings(host="127.0.0.1", port=server.port, data=tmp_path)
        anna = await stack.enter_async_context(connect(server.invite(), name="anna"))
        ben = await stack.enter_async_context(connect(server.invite(), name="ben"))
        await ben.join(Sound.clocked(None, keep_playback=False))
        await anna.join(Sound.clocked(tone, keep_playback=False))
        place = f"/api/rooms/{anna.room_id}/members/{anna.user_id}"

        async def silence(silenced: bool) -> None:
            headers = {"authorization": f"Bearer {server.owner_token}"}
            async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
                (await http.patch(place, json={"silenced": silenced})).raise_for_status()

        for silenced in (True, False):
            await silence(silenced)
            await server.__aexit__(None, None, None)
            server = await RunningServer(again).__aenter__()
            calls = server.service.calls
            await until(lambda: len(calls.session_ids(int(anna.room_id))) == 2)  # noqa: B023
            anna_id = calls.session_ids(int(anna.room_id))[int(anna.user_id)]
            assert calls.forwarding.table[anna_id].silenced is silenced
            await until(lambda: anna.user_id in ben.members and ben.members[anna.user_id].silenced is silenced)  # noqa: B023
        stack.push_async_exit(server)


async def test_only_an_owner_brings_a_bot_and_it_hears_everyone(tmp_path: Path) -> None:
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path)
    async with asyncio.timeout(20), RunningServer(settings) as server, httpx.AsyncClient() as http:
        wanted = {"invite": server.invite().partition("#")[0].rpartition("/")[2], "name": "sneak", "bot": True}
        refused = await http.post(f"{server.url}/api/guests", json=wanted)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_owner")
        async with connect(server.invite(), name="dj", bot=True, owner_token=server.owner_token) as bot:
            await bot.join(Sound.clocked(None, keep_playback=False))
            await until(lambda: bot.user_id in bot.members)
            assert bot.members[bot.user_id].bot and not bot.members[bot.user_id].recording
            assert [entry.hears_all for entry in server.service.calls.forwarding.table.values()] == [True]
