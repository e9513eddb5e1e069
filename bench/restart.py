"""How long nobody is heard when a server is restarted: SIGTERM, its end, the same command again.

Two of our clients in one call, one talks without a pause. The gap is the longest time without a packet for the other,
from before the signal until the voice is back: the process's end, Python's start, the way back of both clients. The old
process relays until it ends. Beside it: how much of that the new process needs until it listens.
"""

import asyncio
import json
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.report import Report, Row, note
from raccall.client import Session, connect
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Sound

CLAIM = "A restart of the server is a gap of at most two seconds"
BUDGET_MS = 2000.0
REPEATS, QUICK_REPEATS = 7, 3
LOOK_EVERY_S = 0.005
STEADY_S = 1.0
"""Of voice before a restart, and after it."""
WITHIN_S = 30.0
SERVE = (sys.executable, "-c", "from raccall.cli.main import main; raise SystemExit(main())", "serve", "--json")


def measure(quick: bool) -> Report:
    gaps, starts = asyncio.run(restarts(QUICK_REPEATS if quick else REPEATS))
    row = Row.of_repeats(
        name="nothing heard, ms",
        value=gaps,
        against=[BUDGET_MS] * len(gaps),
        kind="budget",
        limit=1.0,
        beside={"until the new process listens, ms": float(np.median(starts)), "longest, ms": max(gaps)},
    )
    return Report(claim=CLAIM, unit="ms", rows=[row])


async def restarts(repeats: int) -> tuple[list[float], list[float]]:
    """The gap of each restart, and how long the new process took until it listened; in ms."""
    gaps, starts = [], []
    tone = np.sin(np.arange(60 * SAMPLE_RATE_HZ, dtype=np.float32) * 0.06).astype(np.float32) * 0.5
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server, link = await start(Path(folder), port)
        try:
            async with connect(link, name="anna") as anna, connect(link, name="ben") as ben:
                await ben.join(Sound.clocked(None, keep_playback=False))
                await anna.join(Sound.clocked(np.tile(tone, 10), keep_playback=False))
                for repeat in range(1, repeats + 1):
                    note(f"[{repeat}/{repeats}] restart")
                    await heard(ben, STEADY_S)
                    looking = asyncio.create_task(longest_gap_ms(ben))
                    await asyncio.sleep(0)
                    server.send_signal(signal.SIGTERM)
                    await server.wait()
                    began = time.perf_counter()
                    server, _ = await start(Path(folder), port)
                    starts.append(1000 * (time.perf_counter() - began))
                    gaps.append(await looking)
        finally:
            if server.returncode is None:
                server.terminate()
                await server.wait()
    return gaps, starts


async def longest_gap_ms(listener: Session) -> float:
    """Until the voice has been back for STEADY_S."""
    longest, count, last = 0.0, received(listener), time.perf_counter()
    async with asyncio.timeout(WITHIN_S):
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now, newest = time.perf_counter(), received(listener)
            if newest != count:
                longest, count, last = max(longest, now - last), newest, now
            if longest > STEADY_S / 4 and now - last < STEADY_S / 10:
                await heard(listener, STEADY_S)
                return 1000 * longest


async def heard(listener: Session, seconds: float) -> None:
    """Until so much voice has come."""
    enough = received(listener) + seconds * 40  # packets of 20 ms, some of which may be longer
    async with asyncio.timeout(WITHIN_S):
        while received(listener) < enough:  # noqa: ASYNC110 a native thread counts
            await asyncio.sleep(LOOK_EVERY_S)


def received(listener: Session) -> int:
    stats = listener.stats()
    return stats.received_packets if stats is not None else 0


async def start(data: Path, port: int) -> tuple[asyncio.subprocess.Process, str]:
    """A server that listens, and an invite."""
    process = await asyncio.create_subprocess_exec(
        *SERVE,
        "--port",
        str(port),
        "--data",
        str(data),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    return process, json.loads(await process.stdout.readline())["invite"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
