"""Whom the server proposes to add: read from op 27 before MLS looks at it (RFC 9420, sections 6.2, 7.2, 10 and 12.1).

MLS itself would tell of a stranger only after it has stored the proposals before that one, and storing them again when
the stranger turns out to be expected is refused.
"""

from raccall.voice.dave.people import MAX_USER_ID

APPEND = 0
PUBLIC_MESSAGE_HEAD = bytes.fromhex("00010001")
EXTERNAL_SENDER = 2
PROPOSAL = 2
ADD = 1
FROM_KEY_PACKAGE = 1
LIFETIME_BYTES = 16
CAPABILITY_LISTS = 5
USER_ID_BYTES = 8


def added_users(body: bytes) -> frozenset[int]:
    """User ids of those whom `body` (of op 27, its operation included) adds.

    Nothing is checked here: what cannot be read is left to MLS, which refuses it. Never raises.
    """
    try:
        return frozenset(_added(body)) if body[:1] == bytes([APPEND]) else frozenset()
    except (IndexError, ValueError):
        return frozenset()


def _added(body: bytes) -> list[int]:
    proposals = _Reader(_Reader(body[1:]).vector())
    users = []
    while not proposals.done:
        if proposals.take(4) != PUBLIC_MESSAGE_HEAD:
            raise ValueError("not a PublicMessage")
        proposals.vector()  # group
        proposals.take(8)  # epoch
        if proposals.number(1) != EXTERNAL_SENDER:
            raise ValueError("not sent by the server")
        proposals.take(4)  # which of the external senders
        proposals.vector()  # authenticated data
        if proposals.number(1) != PROPOSAL:
            raise ValueError("not a proposal")
        if proposals.number(2) == ADD:
            users.append(_user_of_key_package(proposals))
        else:
            proposals.take(4)  # the leaf to be removed; anything else is refused anyway
        proposals.vector()  # signature
    return users


def _user_of_key_package(reader: "_Reader") -> int:
    reader.take(4)  # version, cipher suite
    for _ in ("init key", "encryption key", "signature key"):
        reader.vector()
    reader.take(2)  # credential type: basic
    identity = reader.vector()
    for _ in range(CAPABILITY_LISTS):
        reader.vector()
    if reader.number(1) == FROM_KEY_PACKAGE:
        reader.take(LIFETIME_BYTES)
    for _ in ("extensions", "signature of the leaf node", "extensions", "signature"):
        reader.vector()
    if len(identity) != USER_ID_BYTES:
        raise ValueError("not a user id")
    return int.from_bytes(identity, "big") & MAX_USER_ID


class _Reader:
    """Goes through MLS bytes; IndexError where they end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise IndexError
        self._at += count
        return part

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self) -> bytes:
        """Bytes behind their length, whose own width stands in its two top bits (RFC 9420 section 2.1.2)."""
        width = 1 << (self._data[self._at] >> 6)
        return self.take(self.number(width) & ((1 << (8 * width - 2)) - 1))
