"""When a voice session needs a new key, and whether its client took it.

    relay wants one (`rekey_wanted`) ─▶ new key to relay and client ─▶ client's first packet under it ─▶ done
                                                                └── none within ADOPT_WITHIN_MS ─▶ ended, to begin anew

A key lasts for months of talk; what wants a new one sooner is a client that uses the relay's nonces. The relay opens
with both keys and seals with the old one until the client uses the new one, so nobody hears a gap (`keys.rs`).
"""

from collections.abc import Iterable

from raccall.server.routing import RelayHandle
from raccall.units import NANOS_PER_MS, Nanos

LOOK_EVERY_S = 1.0
"""A look costs nothing while no session wants a key: one counter is compared."""
ADOPT_WITHIN_MS = 15_000
"""Some clients ignore a second session description. Their old key still has a tenth of its nonces."""
AT_MOST_EVERY_MS = 10_000
"""For one session: a client that spoils each key at once gets no more."""


class KeyWatch:
    """Asks the relay; knows sessions by the ids that the relay has for them."""

    def __init__(self, relay: RelayHandle) -> None:
        self._relay = relay
        self._told = 0
        self._waiting: set[int] = set()
        """Want a key, and had one a moment ago."""
        self._given: dict[int, Nanos] = {}
        """Session → when it was given its last new key."""
        self._adopting: set[int] = set()

    def wanted(self, session_ids: Iterable[int], now: Nanos) -> list[int]:
        """Sessions to be given a new key now; they count as given one."""
        told = self._relay.counters().get("rekey_wanted", 0)
        if told != self._told:
            self._told = told
            self._waiting |= {known for known in session_ids if self._stat(known, "needs_rekey")}
        due = [known for known in self._waiting if self._given_ms_ago(known, now) >= AT_MOST_EVERY_MS]
        for session_id in due:
            self._given[session_id] = now
        self._adopting.update(due)
        self._waiting.difference_update(due)
        return due

    def ignored(self, now: Nanos) -> list[int]:
        """Sessions whose client had time enough and still uses the old key; each is told once."""
        self._adopting = {known for known in self._adopting if self._stat(known, "rekeying")}
        late = [known for known in self._adopting if self._given_ms_ago(known, now) >= ADOPT_WITHIN_MS]
        self._adopting.difference_update(late)
        return late

    def forget(self, session_id: int) -> None:
        """The session has ended."""
        self._given.pop(session_id, None)
        self._waiting.discard(session_id)
        self._adopting.discard(session_id)

    def _stat(self, session_id: int, name: str) -> bool:
        return bool((self._relay.session_stats(session_id) or {}).get(name, 0))

    def _given_ms_ago(self, session_id: int, now: Nanos) -> float:
        given = self._given.get(session_id)
        return float("inf") if given is None else (now - given) / NANOS_PER_MS
