"""A recorder's memory over a long call, in virtual time: a day's recording in seconds.

    python -m bench.virtual_hours FOLDER HOURS

25 speakers, three of them talking at a time, who change every two seconds; every half minute somebody leaves and comes
back with a new SSRC. The Ticks go through the Recorder to journal and events as fast as the disk takes them. Prints the
process's resident memory in MB after a virtual minute and at the end.
"""

import asyncio
import os
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from raccall._native import PacketBatch
from raccall.recorder import TICK_MS, MemberJoined, MemberLeft, Recorder, Source
from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, OPUS_PAYLOAD_TYPE, Nanos
from raccall.voice.tap import Packets, Tick

SPEAKERS, TALKING, TURN_S, REJOIN_S = 25, 3, 2, 30
PACKETS_PER_TICK = TICK_MS // 20
PAYLOAD = b"\x78" + bytes(79)


class LongCall:
    """A Tap of a call that lasts `hours`; `memory_mb` is filled while it runs."""

    def __init__(self, recorder: Recorder, hours: int) -> None:
        self.memory_mb: list[float] = []
        self._recorder = recorder
        self._begin = recorder.now
        self._ticks = hours * 3600 * 1000 // TICK_MS
        self._ssrcs = list(range(SPEAKERS))
        self._sent = [0] * SPEAKERS

    async def __aiter__(self) -> AsyncIterator[Tick]:
        for number in range(self._ticks):
            second, part = divmod(number * TICK_MS, 1000)
            now = Nanos(self._begin + number * TICK_MS * NANOS_PER_MS)
            if part == 0 and second % REJOIN_S == 0:
                self._rejoin(second // REJOIN_S % SPEAKERS, now)
            yield Tick(now, Packets(self._packets(second, now)))
            if (number + 1) * TICK_MS in (60_000, self._ticks * TICK_MS):
                self.memory_mb.append(resident_mb())

    def _rejoin(self, speaker: int, now: Nanos) -> None:
        self._recorder.event(MemberLeft(now=now, user_id=str(speaker)))
        self._ssrcs[speaker] += SPEAKERS
        self._recorder.event(MemberJoined(now=now, user_id=str(speaker), name=f"speaker {speaker}"))
        self._recorder.event(Source(now=now, ssrc=self._ssrcs[speaker], user_id=str(speaker)))

    def _packets(self, second: int, now: Nanos) -> PacketBatch:
        packets = []
        turn = second // TURN_S
        for frame in range(PACKETS_PER_TICK):
            for talker in range(TALKING):
                speaker = (turn + 8 * talker) % SPEAKERS
                sent = self._sent[speaker] = self._sent[speaker] + 1
                ssrc, sequence, timestamp = self._ssrcs[speaker], sent & 0xFFFF, sent * 960 & 0xFFFFFFFF
                header = struct.pack(">BBHII", 0x80, OPUS_PAYLOAD_TYPE, sequence, timestamp, ssrc)
                arrival = now + frame * NANOS_PER_SECOND // 50
                packets.append((arrival, ssrc, sent, sent * 960, header + PAYLOAD))
        return PacketBatch(packets)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def main(folder: Path, hours: int) -> None:
    async with Recorder(folder, room="bench") as recorder:
        call = LongCall(recorder, hours)
        await recorder.run(call)
    print(*call.memory_mb)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
