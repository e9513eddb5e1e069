"""What a lost voice connection means for a member: its close code decides what to do next. Pure."""

import enum
from dataclasses import dataclass

from raccall.voice.gateway.codes import CloseCode


class Next(enum.Enum):
    """What a lost voice connection asks of the caller."""

    RESUME = "open a new WebSocket for the same session"
    RECONNECT = "ask the control connection for a new voice session"
    STOP = "do not come back by yourself"


@dataclass(frozen=True, slots=True)
class Closed:
    """The WebSocket is of no more use: close it and do what `next` says."""

    code: int | None
    """Close code; None when the connection broke or the server fell silent."""
    sentence: str
    """For people."""
    next: Next
    """What to do."""


_NEXT = {
    CloseCode.NORMAL: Next.STOP,
    CloseCode.AUTHENTICATION_FAILED: Next.STOP,
    CloseCode.SERVER_NOT_FOUND: Next.STOP,
    CloseCode.UNKNOWN_PROTOCOL: Next.STOP,
    CloseCode.DISCONNECTED: Next.STOP,
    CloseCode.UNKNOWN_MODE: Next.STOP,
    CloseCode.ENCRYPTION_REQUIRED: Next.STOP,
    CloseCode.RATE_LIMITED: Next.STOP,
    CloseCode.CALL_TERMINATED: Next.STOP,
    CloseCode.SERVER_CRASHED: Next.RESUME,
}
"""By close code; any other means a full reconnect."""
_KNOWN = {int(code): code for code in CloseCode}
_BROKEN = frozenset({1005, 1006, 1011})
"""WebSocket codes without a decision of the server (RFC 6455 section 7.4.1): none, abnormal, internal error."""


def closed_by(code: int | None) -> Closed:
    """The WebSocket ended, with its close code if one came."""
    if code is None or code in _BROKEN:
        return Closed(None, "The voice connection broke.", Next.RESUME)
    if code in _KNOWN:
        return Closed(code, _KNOWN[code].sentence, _NEXT.get(_KNOWN[code], Next.RECONNECT))
    return Closed(code, f"The server closed the voice connection with code {code}.", Next.RECONNECT)
