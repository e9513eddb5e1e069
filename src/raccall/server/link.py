"""The joint between what the server decides and the WebSocket that carries it."""

from typing import Generic, Protocol, TypeVar

Core = TypeVar("Core", covariant=True)


class Link(Protocol, Generic[Core]):
    """One WebSocket with its protocol core."""

    @property
    def core(self) -> Core:
        """After a command to it, call `wake`."""

    @property
    def host(self) -> str:
        """The server's host as this client reached it: a name or an IP address, without brackets."""

    @property
    def port(self) -> int: ...

    @property
    def peer(self) -> str | None:
        """The IP address that the connection comes from: the client's, or that of a proxy before the server."""

    def wake(self) -> None:
        """The core has something to send, or was closed."""
