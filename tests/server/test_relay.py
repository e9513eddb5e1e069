"""The relay's handle: binding, and what clients may say."""

import errno
import socket
import sys

import pytest

from raccall.server.relay import MediaRelay, usual_threads

pytestmark = pytest.mark.realtime

SMALL = 64 << 10


def test_every_address_is_bound_or_none() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        busy = other.getsockname()[1]
        with pytest.raises(OSError) as error:
            MediaRelay([("127.0.0.1", 0), ("127.0.0.1", busy)], receive_buffer_bytes=SMALL)
    assert error.value.errno == errno.EADDRINUSE


def test_what_a_client_selects_is_never_raised() -> None:
    relay = MediaRelay([("127.0.0.1", 0)], receive_buffer_bytes=SMALL)
    try:
        relay.add_session(1, 7, "aead_aes256_gcm_rtpsize", bytes(32))
        for address in [("not an address", 5), ("192.0.2.1", 70000), ("192.0.2.1", -1), ("192.0.2.1", 9)]:
            relay.set_address(1, address, proven=True)
        stats = relay.session_stats(1)
        assert stats is not None and not stats["has_address"]
        assert relay.counters()["not_observed"] == 4
    finally:
        relay.stop()


def test_a_capped_receive_buffer_is_reported() -> None:
    relay = MediaRelay([("127.0.0.1", 0)], receive_buffer_bytes=1 << 40)
    try:
        assert relay.shortage is not None and "KiB" in relay.shortage
    finally:
        relay.stop()
    relay = MediaRelay([("127.0.0.1", 0)], receive_buffer_bytes=SMALL)
    try:
        assert relay.shortage is None
    finally:
        relay.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="times are the kernel's")
def test_the_time_in_this_machine_is_sampled() -> None:
    relay = MediaRelay([("127.0.0.1", 0)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number in range(1, 200):
            stranger.sendto(b"hello", relay.addresses[0])
            while relay.counters()["received"] < number:
                pass
    counts, longer, sum_s = relay.latency()
    relay.stop()
    samples = sum(count for _, count in counts) + longer
    assert 3 <= samples <= 13, "one of sixteen batches, the first of which only begins to take times"
    assert 0 < sum_s < samples
    assert [bound for bound, _ in counts] == sorted(bound for bound, _ in counts)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a relay has one thread")
def test_it_has_as_many_threads_as_it_was_told() -> None:
    relay = MediaRelay([("127.0.0.1", 0)], receive_buffer_bytes=SMALL, threads=3)
    try:
        for session, ssrc in enumerate((0x100, 0x101, 0x102), start=1):
            relay.add_session(session, ssrc, "aead_aes256_gcm_rtpsize", bytes(32))
        assert relay.threads == 3
        assert all(relay.session_stats(session) is not None for session in (1, 2, 3))
        assert relay.counters()["command_refused"] == 0
    finally:
        relay.stop()


def test_usually_half_of_the_processors_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    for processors, threads in {1: 1, 2: 1, 3: 1, 8: 4, 2000: 256}.items():
        monkeypatch.setattr("raccall.server.relay._processors", lambda count=processors: count)
        assert usual_threads() == threads
