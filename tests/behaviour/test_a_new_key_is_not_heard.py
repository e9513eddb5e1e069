"""Before the nonces of a key end, a session gets a new key in mid-call: no packet is lost, nobody hears it."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from raccall.client import Session, VoiceConnected, connect
from raccall.clock import monotonic_now
from raccall.server.app import RunningServer
from raccall.server.relay import MediaRelay
from raccall.server.settings import ServerSettings
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Sound

pytestmark = pytest.mark.realtime

NONCES = 200
"""For each key: four seconds of one voice. In earnest there are 2\u00b3\u2070."""


async def voice_connected(session: Session) -> None:
    async for event in session.events():
        if isinstance(event, VoiceConnected):
            return


async def test_speech_goes_on_under_the_new_key(tmp_path: Path) -> None:
    tone = np.sin(np.arange(30 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    speaker, listener = Sound.clocked(tone, keep_playback=False), Sound.clocked(None, keep_playback=False)
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path)
    async with (
        asyncio.timeout(30),
        RunningServer(settings, start_relay=lambda bind: MediaRelay(bind, nonce_space=NONCES)) as server,
        connect(server.invite(), name="anna") as anna,
        connect(server.invite(), name="ben") as ben,
    ):
        await ben.join(listener)
        await anna.join(speaker)
        await asyncio.gather(voice_connected(anna), voice_connected(ben))
        calls, relay = server.service.calls, server.service.relay
        while relay.counters()["rekeyed"] < 1:
            calls.renew_keys(monotonic_now())  # more often than in earnest, where a tenth of the nonces lasts for weeks
            await asyncio.sleep(0.02)
        heard = ben.stats().sources[0].received
        while ben.stats().sources[0].received < heard + 50:  # noqa: ASYNC110 (a native thread counts)
            await asyncio.sleep(0.02)
        assert ben.stats().sources[0].lost == 0
        assert ben.stats().refused == {}
        counters = relay.counters()
        assert (counters["needs_rekey"], counters["bad_seal"]) == (0, 0)
