"""Which packets may be kept. Pure; in front of everything that writes.

A packet passes when its speaker did not say no. Whose it is Discord often tells later than its first packet; so while
somebody is here who said no, what nobody is known to have sent is held, in memory only, for ten seconds at most: then
it passes with its own arrival time, or is thrown away. Nothing passes while the channel was not told of the recording.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from raccall.units import NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.tap import Packets, Tick

HOLD: int = 10 * NANOS_PER_SECOND
HOLD_BYTES = 4 << 20
"""Of all that is held; beyond, the oldest is thrown away. Half a minute of 25 strangers."""
LINGER: int = 10 * NANOS_PER_SECOND
"""Packets of one who has left may still come so long."""


@dataclass(slots=True)
class GateCounts:
    """Packets that were not written, by reason."""

    opted_out: int = 0
    """Of one who said no."""
    unannounced: int = 0
    """While the channel was not told."""
    unknown: int = 0
    """Nobody said in time whose they were, while somebody was here who said no."""


@dataclass(frozen=True, slots=True)
class _Held:
    until: Nanos
    ssrc: Ssrc
    packets: Packets


class Gate:
    """One recording's. Tell it what is known; `take` then decides."""

    def __init__(self, opted_out: Collection[str] = ()) -> None:
        """opted_out: user ids."""
        self.open = False
        """The channel was told."""
        self.counts = GateCounts()
        self._opted_out = set(opted_out)
        self._owners: dict[Ssrc, str] = {}
        self._here: set[str] = set()
        self._gone: dict[str, Nanos] = {}
        self._held: deque[_Held] = deque()
        self._held_bytes = 0

    def may_keep(self, user_id: str) -> bool:
        """Whether this person did not say no."""
        return user_id not in self._opted_out

    @property
    def opted_out_here(self) -> int:
        """How many in the channel said no."""
        return len(self._opted_out & self._here)

    def opt_out(self, user_id: str, opted_out: bool) -> None:
        """Somebody says no, or takes it back; it holds from the next packet on."""
        if opted_out:
            self._opted_out.add(user_id)
        else:
            self._opted_out.discard(user_id)

    def set_people(self, now: Nanos, user_ids: Collection[str]) -> None:
        """Who is in the channel; to be told now and then, even if nothing has changed."""
        here = set(user_ids)
        self._gone |= dict.fromkeys(self._here - here, Nanos(now + LINGER))
        self._here = here
        for user_id in [user_id for user_id, until in self._gone.items() if user_id in here or now >= until]:
            del self._gone[user_id]
            if user_id not in here:  # an SSRC is free again: the next one who has it may have said no
                self._owners = {ssrc: owner for ssrc, owner in self._owners.items() if owner != user_id}

    def owner_of(self, ssrc: Ssrc) -> str | None:
        """User id, if it was told."""
        return self._owners.get(ssrc)

    def set_owner(self, ssrc: Ssrc, user_id: str) -> None:
        """Whose voice it is, from now on and of what is held."""
        self._owners[ssrc] = user_id

    def take(self, tick: Tick) -> list[Packets]:
        """What may be written now, the oldest first."""
        passed = self._release(tick.now)
        batch = Packets.of(tick.packets)
        if not self.open:
            self.counts.unannounced += len(batch)
            return passed
        if not self._opted_out:
            return [*passed, batch] if len(batch) else passed
        keep: list[int] = []
        for source, indices in batch.batch.by_source():
            owner = self._owners.get(Ssrc(source))
            if owner is None and self._stranger_may_object():
                self._hold(tick.now, Ssrc(source), Packets(batch.batch.select([int(i) for i in indices])))
            elif owner is None or self.may_keep(owner):
                keep += [int(i) for i in indices]
            else:
                self.counts.opted_out += len(indices)
        if keep:
            passed.append(Packets(batch.batch.select(sorted(keep))))
        return passed

    def _stranger_may_object(self) -> bool:
        """Somebody who said no is here, or was a moment ago."""
        return not self._opted_out.isdisjoint(self._here | self._gone.keys())

    def _hold(self, now: Nanos, ssrc: Ssrc, packets: Packets) -> None:
        self._held.append(_Held(Nanos(now + HOLD), ssrc, packets))
        self._held_bytes += packets.batch.rtp_bytes
        while self._held_bytes > HOLD_BYTES:
            self._throw_away(self._held.popleft())

    def _release(self, now: Nanos) -> list[Packets]:
        """Of what is held: what is known now, in its order. What has waited too long goes."""
        passed: list[Packets] = []
        still: deque[_Held] = deque()
        for held in self._held:
            owner = self._owners.get(held.ssrc)
            if owner is None and now < held.until:
                still.append(held)
            elif owner is None:
                self._throw_away(held)
            else:
                self._held_bytes -= held.packets.batch.rtp_bytes
                if self.may_keep(owner):
                    passed.append(held.packets)
                else:
                    self.counts.opted_out += len(held.packets)
        self._held = still
        return passed

    def _throw_away(self, held: _Held) -> None:
        self._held_bytes -= held.packets.batch.rtp_bytes
        self.counts.unknown += len(held.packets)
