"""py-cord's own voice client, run by the tests in a venv of its own: its package has the same name as discord.py's.

Lines of JSON, as test_senders.py describes them; with SENDER_LOG set it tells on standard error what it does.
"""

import asyncio
import base64
import contextlib
import json
import logging
import os
import ssl
import sys
from types import SimpleNamespace

import aiohttp
import discord
from discord.player import AudioSource


class Packets(AudioSource):
    """Opus packets as they are; `read` is called by py-cord's player every 20 ms."""

    def __init__(self, packets):
        self._packets = iter(packets)

    def read(self):
        return next(self._packets, b"")

    def is_opus(self):
        return True


def say(**message):
    print(json.dumps(message), flush=True)


async def lines():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def main():
    loop, asked = asyncio.get_running_loop(), lines()
    given = await anext(asked)
    user, room = int(given["user_id"]), int(given["room_id"])
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = (
        False,
        ssl.CERT_NONE,
    )  # the server is this machine, its certificate made for a test
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http:

        async def ws_connect(url, *, compress=0):
            return await http.ws_connect(url, max_msg_size=0, autoclose=False, compress=compress)

        async def change_voice_state(*, channel, self_mute=False, self_deaf=False):
            say(wants_room=channel is not None)

        state = SimpleNamespace(
            loop=loop,
            user=SimpleNamespace(id=user),
            self_id=user,
            http=SimpleNamespace(ws_connect=ws_connect),
            _remove_voice_client=lambda key: None,
            _get_guild=lambda number: guild,
        )
        guild = SimpleNamespace(
            id=room,
            me=SimpleNamespace(id=user, voice=None),
            get_member=lambda number: None,
            get_channel=lambda number: channel,
            change_voice_state=change_voice_state,
        )
        channel = SimpleNamespace(id=room, guild=guild, _get_voice_client_key=lambda: (room, "guild_id"))
        client = SimpleNamespace(_connection=state, loop=loop, dispatch=lambda *event: None)
        voice = discord.VoiceClient(client, channel)

        async def updates():
            async for message in asked:
                if "state" in message:
                    await voice.on_voice_state_update(SimpleNamespace(**message["state"]))
                else:
                    await voice.on_voice_server_update(SimpleNamespace(**message["server"]))

        listening = asyncio.create_task(updates())
        await voice.connect(reconnect=False, timeout=15)
        say(ready=True, ssrc=voice.ssrc, mode=voice.mode)
        if given["encrypted"]:
            while not (voice.is_dave_connection() and voice.privacy_code):  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0.05)
            say(code=voice.privacy_code)
        done = asyncio.Event()
        packets = [base64.b64decode(packet) for packet in given["packets"]]
        voice.play(Packets(packets), after=lambda error: loop.call_soon_threadsafe(done.set))
        await done.wait()
        await asyncio.sleep(0.2)
        with contextlib.suppress(TimeoutError):
            await voice.disconnect()
        say(ended=True)
        listening.cancel()


if os.environ.get("SENDER_LOG"):
    logging.basicConfig(level=logging.DEBUG)
asyncio.run(main())
