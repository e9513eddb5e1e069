"""The emulated network between real sockets: a small UDP proxy for one client.

    client ⇄ proxy.address ⇄ [emulated, each way] ⇄ own socket ⇄ server

Neither side knows: IP discovery tells the client the proxy's outer address, as a home router's would be.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

from raccall.clock import monotonic_now
from raccall.testing.network import EmulatedNetwork, NetworkConditions
from raccall.units import NANOS_PER_SECOND

Address = tuple[str, int]


class BadNetwork:
    """A link to `server` with `conditions` in each direction; `address` is where the client sends.

    `blocked` may be set at any time: then nothing goes through, as behind a firewall that knows no UDP.
    Queue: EmulatedNetwork's, the newest dropped beyond it. Use as an async context manager.
    """

    def __init__(self, server: Address, conditions: NetworkConditions, seed: int) -> None:
        self.up = EmulatedNetwork(conditions, 2 * seed)
        self.down = EmulatedNetwork(conditions, 2 * seed + 1)
        self.blocked = False
        self._server = server
        self._inner = _Side(self.up, self._open, self._spared)
        self._outer = _Side(self.down, self._open, self._spared)

    @property
    def address(self) -> Address:
        """Where the client sends its datagrams."""
        name = self._inner.transport.get_extra_info("sockname")
        return name[0], name[1]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        host = self._server[0]
        await loop.create_datagram_endpoint(lambda: self._inner, local_addr=(host, 0))
        await loop.create_datagram_endpoint(lambda: self._outer, remote_addr=self._server)
        self._inner.deliver = self._outer.transport.sendto
        self._outer.deliver = self._to_client
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for side in (self._inner, self._outer):
            side.close()

    async def rebind(self) -> None:
        """The server sees another address from now on, as after a NAT or a network has changed."""
        former, self._outer = self._outer, _Side(self.down, self._open, self._spared)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self._outer, remote_addr=self._server)
        self._outer.deliver = self._to_client
        self._inner.deliver = self._outer.transport.sendto
        former.close()

    def _spared(self, datagram: bytes) -> bool:
        """Whether this one is never lost, whatever the conditions are."""
        return False

    def _open(self) -> bool:
        return not self.blocked

    def _to_client(self, datagram: bytes) -> None:
        if self._inner.peer is not None:
            self._inner.transport.sendto(datagram, self._inner.peer)


class _Side(asyncio.DatagramProtocol):
    """What arrives at one socket goes through the network and then to `deliver`."""

    transport: asyncio.DatagramTransport

    def __init__(self, network: EmulatedNetwork, is_open: Callable[[], bool], spared: Callable[[bytes], bool]) -> None:
        self.network = network
        self._is_open = is_open
        self._spared = spared
        self.deliver: Callable[[bytes], None] = lambda datagram: None  # set once both sockets are open
        self.peer: Address | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # as asyncio promises for datagram endpoints

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.peer = addr
        if not self._is_open():
            return
        hand_over = self.network.carry if self._spared(data) else self.network.send
        hand_over(data, monotonic_now())
        self._arm()

    def error_received(self, exc: Exception) -> None:
        """The other end is gone for the moment (an ICMP error): a network drops, it does not fail."""

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        self.transport.close()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
        due = self.network.next_delivery()
        if due is not None:
            wait_s = max(0, due - monotonic_now()) / NANOS_PER_SECOND
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._run)

    def _run(self) -> None:
        for datagram in self.network.receive(monotonic_now()):
            self.deliver(datagram)
        self._arm()
