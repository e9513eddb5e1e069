"""Anna talks to Ben, who only listens, until a line comes on standard input. Run in the clients' namespace.

python talk.py LINK     prints "talking", and at the end one JSON object: what Ben missed
"""

import asyncio
import json
import sys

import numpy as np

from raccall.client import Session, VoiceConnected, connect
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Sound

FRAME = SAMPLE_RATE_HZ // 100


async def voice_connected(session: Session) -> None:
    async for event in session.events():
        if isinstance(event, VoiceConnected):
            return


def longest_silence_ms(played: np.ndarray) -> int:
    """The longest pause between the first and the last sound."""
    frames = played[: len(played) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(np.abs(frames).max(axis=1) > 0.1)
    return int(np.diff(loud).max() - 1) * 10


async def main(link: str) -> None:
    tone = np.sin(np.arange(120 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    speaker, listener = Sound.clocked(tone, keep_playback=False), Sound.clocked(None, keep_playback=True)
    async with connect(link, name="anna") as anna, connect(link, name="ben") as ben:
        await ben.join(listener)
        await anna.join(speaker)
        await asyncio.gather(voice_connected(anna), voice_connected(ben))
        await asyncio.sleep(2)
        print("talking", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        heard = ben.stats()
        assert heard is not None
        (source,) = heard.sources
        told = {"received": source.received, "lost": source.lost, "route": heard.route}
        told["route_changes"] = heard.route_changes
        print(json.dumps(told | {"silence_ms": longest_silence_ms(listener.read_playback())}), flush=True)


asyncio.run(main(sys.argv[1]))
