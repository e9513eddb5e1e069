"""What each close code asks of a member."""

import pytest

from raccall.voice.gateway.closing import Next, closed_by
from raccall.voice.gateway.codes import CloseCode


@pytest.mark.parametrize("code", [None, 1005, 1006, 1011])
def test_what_nobody_decided_is_resumed(code: int | None) -> None:
    closed = closed_by(code)
    assert (closed.code, closed.next) == (None, Next.RESUME)


@pytest.mark.parametrize(
    ("code", "then"),
    [
        (CloseCode.SERVER_CRASHED, Next.RESUME),
        (CloseCode.SESSION_INVALID, Next.RECONNECT),
        (CloseCode.GOING_AWAY, Next.RECONNECT),
        (CloseCode.SERVICE_RESTART, Next.RECONNECT),
        (CloseCode.DISCONNECTED, Next.STOP),
        (CloseCode.ENCRYPTION_REQUIRED, Next.STOP),
    ],
)
def test_a_code_says_what_to_do_in_its_own_words(code: CloseCode, then: Next) -> None:
    closed = closed_by(int(code))
    assert (closed.code, closed.sentence, closed.next) == (code, code.sentence, then)


def test_an_unknown_code_begins_anew_and_is_named() -> None:
    closed = closed_by(4999)
    assert closed.next is Next.RECONNECT
    assert "4999" in closed.sentence
