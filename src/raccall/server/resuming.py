"""Lost connections, of both gateways: which of them may be resumed, and for how long. Pure."""

from raccall.units import Nanos, after_ms
from raccall.voice.gateway.codes import CloseCode

GRACE_MS = 30_000
"""A session whose connection was lost is kept this long. Media goes on meanwhile."""
_GOODBYES = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY})
"""A client that closes with one of these does not come back."""
_RESUMABLE = frozenset({CloseCode.SESSION_TIMEOUT, CloseCode.SERVER_CRASHED})
"""Of the codes the server closes with: the client may be there still."""


def resumable_until(own: CloseCode | None, code: int | None, now: Nanos) -> Nanos | None:
    """None: the session is over. own: what the server closed with, if it did. code: what the client closed with."""
    is_over = own not in _RESUMABLE if own is not None else code in _GOODBYES
    return None if is_over else after_ms(now, GRACE_MS)
