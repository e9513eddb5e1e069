"""Which lost connections are waited for."""

import pytest

from raccall.server.resuming import GRACE_MS, resumable_until
from raccall.units import Nanos, after_ms
from raccall.voice.gateway.codes import CloseCode

NOW = Nanos(7)
LATER = after_ms(NOW, GRACE_MS)


@pytest.mark.parametrize("code", [None, 1006, 1011, 4999])
def test_one_that_broke_is_waited_for(code: int | None) -> None:
    assert resumable_until(None, code, NOW) == LATER


@pytest.mark.parametrize("code", [CloseCode.NORMAL, CloseCode.GOING_AWAY])
def test_a_goodbye_is_final(code: CloseCode) -> None:
    assert resumable_until(None, int(code), NOW) is None


def test_what_the_server_decided_counts_more_than_what_the_client_says() -> None:
    assert resumable_until(CloseCode.SESSION_TIMEOUT, int(CloseCode.NORMAL), NOW) == LATER
    assert resumable_until(CloseCode.SERVER_CRASHED, None, NOW) == LATER
    assert resumable_until(CloseCode.DISCONNECTED, None, NOW) is None
