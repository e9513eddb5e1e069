"""What to do when a voice session on Discord has ended. Pure.

| closed with | meaning | do |
|--|--|--|
| 4015, or broken | the session lives | resumed by `voice.call`; here only when that failed: ask for a new session |
| 4014 | kicked, moved, or the channel is gone | wait: a new server is told after a move, nothing after a kick |
| 4006, 4009, others | the session is over, the channel is not | ask for a new session |
| 1000, 4012, 4016, 4017, 4021, 4022 | Discord does not want us, or not like this | stop |
"""

from enum import Enum, auto

from raccall.voice.gateway.closing import Closed
from raccall.voice.gateway.messages import CloseCode


class Then(Enum):
    """The next step."""

    WAIT = auto()
    """For a server update; if none comes, we were thrown out."""
    ASK = auto()
    """Tell the main gateway once more that we want to be in the channel."""
    STOP = auto()


_FINAL = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.UNKNOWN_PROTOCOL,
        CloseCode.UNKNOWN_MODE,
        CloseCode.ENCRYPTION_REQUIRED,
        CloseCode.RATE_LIMITED,
        CloseCode.CALL_TERMINATED,
    }
)


def after(closed: Closed) -> Then:
    """By the close code; None is a connection that broke and could not be resumed."""
    if closed.code == CloseCode.DISCONNECTED:
        return Then.WAIT
    return Then.STOP if closed.code in _FINAL else Then.ASK
