"""What of a voice session may be kept, as a Tap."""

from collections.abc import AsyncIterator

from raccall.discord.gate import Gate
from raccall.voice.tap import Tap, Tick


class GatedTap:
    """A Tap of what may be kept; it can end before the voice session does."""

    def __init__(self, tap: Tap, gate: Gate) -> None:
        self._tap = tap
        self._gate = gate
        self._ended = False

    def end(self) -> None:
        """Within a fifth of a second: a quiet Tap ticks that often."""
        self._ended = True

    async def __aiter__(self) -> AsyncIterator[Tick]:
        async for tick in self._tap:
            gap_packets = tick.gap_packets
            for packets in self._gate.take(tick):
                yield Tick(tick.now, packets, gap_packets)
                gap_packets = 0
            if gap_packets:
                yield Tick(tick.now, (), gap_packets)
            if self._ended:
                return
