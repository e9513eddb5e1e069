"""The tunnel's messages and its queue, and what the server's core lets through."""

import json

from hypothesis import given
from hypothesis import strategies as st

from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos
from raccall.voice.gateway import messages, tunnel
from raccall.voice.gateway.allowance import TUNNEL_BURST
from raccall.voice.gateway.client import VoiceGatewayClient
from raccall.voice.gateway.client_events import VoiceIdentity, VoiceReady
from raccall.voice.gateway.messages import CloseCode
from raccall.voice.gateway.replay import ReplayBuffer
from raccall.voice.gateway.server import VoiceGatewayServer
from raccall.voice.gateway.server_events import Tunnelled

NOW = Nanos(NANOS_PER_SECOND)
IDENTIFY = messages.write_message(messages.Identify(server_id="1", user_id="2", session_id="s", token="t"))


def connected() -> VoiceGatewayServer:
    core = VoiceGatewayServer(NOW, version="8")
    core.receive(IDENTIFY, NOW)
    core.next_event()
    core.accept_identify(ssrc=7, host="192.0.2.1", port=7420, replay=ReplayBuffer())
    return core


@given(st.binary(min_size=1, max_size=tunnel.MAX_DATAGRAM_BYTES))
def test_a_datagram_comes_out_as_it_went_in(datagram: bytes) -> None:
    assert tunnel.from_client(tunnel.to_server(datagram)) == datagram
    assert tunnel.from_server(tunnel.to_client(datagram)) == datagram


@given(st.binary(max_size=40))
def test_other_messages_are_none_of_the_tunnels(message: bytes) -> None:
    for found, head in ((tunnel.from_client(message), 1), (tunnel.from_server(message), 3)):
        assert found is None or (found == message[head:] and message[head - 1] == tunnel.OPCODE)


def test_empty_and_oversized_datagrams_are_refused() -> None:
    for size in (0, tunnel.MAX_DATAGRAM_BYTES + 1):
        assert tunnel.from_client(tunnel.to_server(bytes(size))) is None
        assert tunnel.from_server(tunnel.to_client(bytes(size))) is None


def test_what_waits_too_long_is_dropped_and_counted_oldest_first() -> None:
    queue = tunnel.DatagramQueue()
    queue.push(b"old", NOW)
    later = Nanos(NOW + tunnel.LONGEST_WAIT_MS * NANOS_PER_MS + 1)
    queue.push(b"new", later)
    assert (queue.pop(later), queue.pop(later), queue.dropped) == (b"new", None, 1)
    for number in range(tunnel.MAX_WAITING + 3):
        queue.push(b"%d" % number, later)
    assert (len(queue), queue.dropped, queue.pop(later)) == (tunnel.MAX_WAITING, 4, b"3")


def test_the_server_offers_a_tunnel_and_takes_datagrams_from_who_is_known() -> None:
    core = connected()
    ready = json.loads(core.to_send(NOW)[-1])
    assert ready["d"]["raccall_tunnel"] == tunnel.VERSION
    core.receive(tunnel.to_server(b"voice"), NOW)
    assert core.next_event() == Tunnelled(b"voice")

    stranger = VoiceGatewayServer(NOW, version="8")
    stranger.receive(tunnel.to_server(b"voice"), NOW)
    assert (stranger.next_event(), stranger.close_code) == (None, CloseCode.NOT_AUTHENTICATED)


def test_a_flood_in_the_tunnel_is_cut_and_takes_nothing_from_the_gateways_own_limit() -> None:
    core = connected()
    for _ in range(10 * TUNNEL_BURST):
        core.receive(tunnel.to_server(b"voice"), NOW)
    passed = 0
    while core.next_event() is not None:
        passed += 1
    core.receive(messages.write_message(messages.Heartbeat(t=1)), NOW)
    assert passed == TUNNEL_BURST and not core.closed


def test_a_server_that_does_not_offer_it_is_never_sent_one() -> None:
    offers = []
    for fields in ({}, {"raccall_tunnel": tunnel.VERSION}, {"raccall_tunnel": 99}):
        core = VoiceGatewayClient(VoiceIdentity("1", "2", "s", "t"))
        core.opened(NOW)
        core.receive(json.dumps({"op": 2, "d": {"ssrc": 7, "ip": "a", "port": 1, "modes": []} | fields}), NOW)
        ready = core.next_event()
        assert isinstance(ready, VoiceReady)
        offers.append(ready.tunnel)
    assert offers == [False, True, False]
