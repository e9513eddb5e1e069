"""A recorder as the bench and the kill test load it: an engine's packets to a folder, and nothing else.

    python -m bench.recording FOLDER PORT [SECONDS]

Prints its own `host:port`; PORT is where `record_cost talk` sends from. With SECONDS it measures so long after a second
of warming up, prints packets and the process's CPU nanoseconds, and closes; without, it records until it is killed.
"""

import asyncio
import sys
import time
from pathlib import Path

from raccall.recorder import TICK_MS, MemberJoined, Recorder, Source
from raccall.voice.engine import Engine, read_stats
from raccall.voice.tap import engine_tap

MODE, KEY = "aead_aes256_gcm_rtpsize", bytes([7]) * 32
FIRST_SSRC, TALKERS = 1000, 50
WARM_UP_S = 1.0


async def record(folder: Path, port: int, seconds: float | None) -> None:
    engine = Engine(("127.0.0.1", port))
    async with Recorder(folder, room="bench") as recorder:
        for ssrc in range(FIRST_SSRC, FIRST_SSRC + TALKERS):
            recorder.event(MemberJoined(now=recorder.now, user_id=str(ssrc), name=f"talker {ssrc}"))
            recorder.event(Source(now=recorder.now, ssrc=ssrc, user_id=str(ssrc)))
        tap = engine.open_tap()
        engine.start(ssrc=1, mode=MODE, key=KEY, sound=None)
        reading = asyncio.create_task(recorder.run(engine_tap(tap, TICK_MS)))
        host, own_port = engine.local_address
        print(f"{host}:{own_port}", flush=True)
        if seconds is None:
            await reading
            return
        await asyncio.sleep(WARM_UP_S)
        packets, cpu = recorder.counts.packets, time.process_time_ns()
        await asyncio.sleep(seconds)
        packets, cpu = recorder.counts.packets - packets, time.process_time_ns() - cpu
        drops = read_stats(engine).kernel_drops + tap.dropped
        engine.close()
        await reading
    print(packets if not drops else 0, cpu)


if __name__ == "__main__":
    asyncio.run(record(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if sys.argv[3:] else None))
