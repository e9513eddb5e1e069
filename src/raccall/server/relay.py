"""The relay as the control plane holds it."""

from raccall._native import Relay

RECEIVE_BUFFER_BYTES = 8 << 20
"""Asked for per socket: a burst must fit while the thread waits for a processor. The usual 208 KiB lose 1 to 3 %."""
NONCE_SPACE = 1 << 30
"""Nonces that the relay has for each key."""


class MediaRelay:
    """The native relay behind the methods that routing and voice sessions use. Any thread may call them.

    bind: (IP address, port) pairs. Raises OSError, with errno, if one is busy or not of this machine.
    """

    def __init__(
        self,
        bind: list[tuple[str, int]],
        *,
        receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES,
        nonce_space: int = NONCE_SPACE,
    ) -> None:
        self._asked_bytes = receive_buffer_bytes
        self._foreign_hosts = 0
        self._native = Relay(bind, receive_buffer_bytes=receive_buffer_bytes, nonce_space=nonce_space)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return self._native.addresses

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

    def session_stats(self, session_id: int) -> dict[str, int] | None:
        return self._native.session_stats(session_id)

    def stop(self) -> None:
        self._native.stop()
