"""Run a recorded call through another listener: here one that watches how many bits per second each voice takes.

    python examples/replay.py DIR

The listener gets a Tap, an async iterator of Ticks, and cannot tell a recording from a call that goes on now. So a
transcriber or a meter is developed and tested on yesterday's recording.
"""

import asyncio
import sys
from collections import Counter

import raccall
from raccall.errors import RaccallError
from raccall.voice.tap import Tap


async def watch(tap: Tap) -> None:
    """Print a line for every second in which somebody spoke."""
    second, bits = None, Counter[int]()
    async for tick in tap:
        if second is not None and tick.now // 1_000_000_000 != second:
            print("  ".join(f"{ssrc:08x} {count / 1000:5.1f} kbit/s" for ssrc, count in sorted(bits.items())))
            bits.clear()
        second = tick.now // 1_000_000_000
        for packet in tick.packets:
            bits[packet.ssrc] += 8 * len(packet.payload)


def main(folder: str) -> int:
    try:
        asyncio.run(watch(raccall.Recording.open(folder).replay()))
    except RaccallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
