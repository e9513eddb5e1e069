"""Who sits behind a firewall without UDP still hears and is heard, and is back on UDP when that works.

A whole server on loopback, one member behind a proxy that can be told to let nothing through.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from raccall.client import Session, connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.testing.bad_network import BadNetwork
from raccall.testing.network import LAN
from raccall.voice.engine import EngineStats, Sound

pytestmark = pytest.mark.realtime

SPEAKS_S = 60
WITHIN_S = 10.0


async def until(session: Session, holds: Callable[[EngineStats], bool]) -> EngineStats:
    async with asyncio.timeout(WITHIN_S):
        while (stats := session.stats()) is None or not holds(stats):  # noqa: ASYNC110 a native thread publishes them, nothing tells
            await asyncio.sleep(0.05)
    return stats


def hears_more_than(count: int) -> Callable[[EngineStats], bool]:
    return lambda stats: stats.received_packets > count


def a_voice(anna: NDArray[np.float32]) -> Sound:
    return Sound.clocked(np.resize(anna, SPEAKS_S * 48_000), keep_playback=False)


async def test_blocked_udp_goes_through_the_websocket_and_back(tmp_path: Path, anna: NDArray[np.float32]) -> None:
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")
    async with RunningServer(settings) as server, BadNetwork(("127.0.0.1", server.port), LAN, seed=1) as firewall:
        firewall.blocked = True
        async with connect(server.invite(), name="anna") as inside, connect(server.invite(), name="ben") as outside:
            await outside.join(a_voice(anna))
            await inside.join(a_voice(anna), media_address=firewall.address)
            tunnels = server.service.tunnels
            for route, changes in (("tunnel", 0), ("udp", 1), ("tunnel", 2)):
                firewall.blocked = route == "tunnel"
                here = await until(inside, lambda s, r=route, c=changes: (s.route, s.route_changes) == (r, c))
                there = await until(outside, lambda s: s.route == "udp")
                here = await until(inside, hears_more_than(here.received_packets + 25))
                there = await until(outside, hears_more_than(there.received_packets + 25))
                assert tunnels.open >= 1
            assert tunnels.to_relay > 50 and tunnels.to_clients > 50 and tunnels.dropped == 0
            for stats in (here, there):
                assert all(source.received <= stats.received_packets for source in stats.sources)
                assert sum(source.concealed for source in stats.sources) < 450, "two gaps of 3 s and no more"
    assert tunnels.open == 0
