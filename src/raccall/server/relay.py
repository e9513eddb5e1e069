"""The relay as the control plane holds it."""

import os

from raccall._native import Relay

RECEIVE_BUFFER_BYTES = 8 << 20
"""Asked for per socket: a burst must fit while the thread waits for a processor. The usual 208 KiB lose 1 to 3 %."""
NONCE_SPACE = 1 << 30
"""Nonces that the relay has for each key."""

SPEAKERS_AT_ONCE = 8
"""More voices than that at once nobody follows, and each costs every listener its bandwidth."""
MAX_THREADS = 256


def usual_threads() -> int:
    """Half of the processors that this process may use: the other half is for Python and the system.

    One thread forwards some hundred thousand packets a second; more cost nothing per packet (`bench relay`).
    """
    return max(1, min(MAX_THREADS, _processors() // 2))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class MediaRelay:
    """The native relay behind the methods that routing and voice sessions use. Any thread may call them.

    bind: (IP address, port) pairs. Raises OSError, with errno, if one is busy or not of this machine.
    threads: rooms are divided among them, on Linux; elsewhere there is one.
    speakers_at_once: of a room, the loudest; recorders hear all.
    """

    def __init__(
        self,
        bind: list[tuple[str, int]],
        *,
        receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES,
        threads: int = 1,
        speakers_at_once: int = SPEAKERS_AT_ONCE,
        nonce_space: int = NONCE_SPACE,
    ) -> None:
        self._asked_bytes = receive_buffer_bytes
        self._foreign_hosts = 0
        self._native = Relay(
            bind,
            receive_buffer_bytes=receive_buffer_bytes,
            threads=threads,
            speakers_at_once=speakers_at_once,
            nonce_space=nonce_space,
        )

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return self._native.addresses

    @property
    def threads(self) -> int:
        """How many forward voice: one where the system cannot hand out packets by room."""
        return self._native.threads

    @property
    def shortage(self) -> str | None:
        """One sentence for the owner if the system granted a smaller receive buffer than was asked for."""
        granted = self._native.receive_buffer_bytes
        if granted >= self._asked_bytes:
            return None
        return (
            f"The system grants {granted // 1024} KiB of receive buffer instead of {self._asked_bytes // 1024} KiB, so "
            "a busy machine may lose packets; on Linux, raise net.core.rmem_max."
        )

    def add_session(self, session_id: int, ssrc: int, mode: str, key: bytes) -> None:
        self._native.add_session(session_id, ssrc, mode, key)

    def remove_session(self, session_id: int) -> None:
        self._native.remove_session(session_id)

    def set_room(self, session_id: int, room_id: int, hears_all: bool) -> None:
        self._native.set_room(session_id, room_id, hears_all)

    def set_silenced(self, session_id: int, silenced: bool) -> None:
        self._native.set_silenced(session_id, silenced)

    def set_route(self, session_id: int, destinations: list[int]) -> None:
        self._native.set_route(session_id, destinations)

    def set_address(self, session_id: int, address: tuple[str, int], *, proven: bool) -> None:
        """The address comes from a client: one that is none was not observed either."""
        try:
            self._native.set_address(session_id, address, proven=proven)
        except (ValueError, OverflowError):
            self._foreign_hosts += 1

    def counters(self) -> dict[str, int]:
        counters = self._native.counters()
        counters["not_observed"] += self._foreign_hosts
        return counters

    def latency(self) -> tuple[list[tuple[float, int]], int, float]:
        return self._native.latency()

    def session_stats(self, session_id: int) -> dict[str, int] | None:
        return self._native.session_stats(session_id)

    def stop(self) -> None:
        self._native.stop()
