"""Several clients against a hub, without WebSockets and in virtual time; the relay only remembers."""

import json

import pytest

from raccall.server.batches import BATCH_MS
from raccall.server.calls import Calls
from raccall.server.control import ControlGatewayServer
from raccall.server.hub import Hub
from raccall.server.rooms import Rooms
from raccall.server.tokens import Tokens, User
from raccall.units import NANOS_PER_MS, Nanos
from raccall.voice.gateway import binary, messages
from raccall.voice.gateway.server import OFFERED_MODES, VoiceGatewayServer
from raccall.wire import control

ROOM = 7


class FakeRelay:
    shortage = None
    addresses = (("127.0.0.1", 9),)

    def __init__(self, bind=()):
        self.bind = list(bind)
        self.commands = []
        self.stopped = False
        self.stats = {}
        self.rooms = {}
        self.silenced = {}

    def add_session(self, session_id, ssrc, mode, key):
        self.commands.append(("add", session_id, ssrc, mode, key))

    def remove_session(self, session_id):
        self.commands.append(("remove", session_id))

    def set_room(self, session_id, room_id, hears_all):
        self.rooms[session_id] = (room_id, hears_all)

    def set_silenced(self, session_id, silenced):
        self.silenced[session_id] = silenced

    def set_route(self, session_id, destinations):
        self.commands.append(("route", session_id, destinations))

    def set_address(self, session_id, address, *, proven):
        self.commands.append(("address", session_id, address, proven))

    def counters(self):
        wanted = sum(stats.get("needs_rekey", 0) for stats in self.stats.values())
        return {"commands": len(self.commands), "rekey_wanted": wanted}

    def latency(self):
        return [(0.001, 0)], 0, 0.0

    def session_stats(self, session_id):
        return self.stats.get(session_id)

    def stop(self):
        self.stopped = True

    def take(self):
        commands, self.commands = self.commands, []
        return commands


class FakeLink:
    """One connection that never blocks."""

    host = "192.0.2.9"
    port = 7420
    peer = "192.0.2.1"

    def __init__(self, core):
        self.core = core
        self.woken = 0

    def wake(self):
        self.woken += 1

    def __hash__(self):
        return id(self)


class House:
    """A hub with its calls, a fake relay and a clock that stands still until `wait`. A room holds two people."""

    def __init__(self):
        self.now = Nanos(10**9)
        self.relay = FakeRelay()
        self.tokens = Tokens(b"secret")
        self.rooms = Rooms(capacity=2)
        self.rooms.add(ROOM, "lounge", encryption=control.EncryptionPolicy.OFF)
        self.rooms.add(ROOM + 1, "kitchen")
        self.calls = Calls(self.relay, self.rooms)
        self.hub = Hub(self.rooms, self.calls, self.tokens)

    def control(self, user):
        return ControlClient(self, user)

    def voice(self):
        return VoiceClient(self)

    def wait(self, milliseconds):
        self.now = Nanos(self.now + milliseconds * NANOS_PER_MS)
        self.hub.handle_timer(self.now)
        self.settle()

    def settle(self):
        """Tell what was held back to be told together; the next news goes out at once."""
        for batches in (self.hub._announcements._presence, self.calls._routes, self.calls._news):
            for waited_ms in (0, BATCH_MS, 2 * BATCH_MS):
                batches.handle_timer(Nanos(self.now + waited_ms * NANOS_PER_MS))
        self.calls.encryption.handle_timer(self.now)

    def user(self, user_id, name, room_id=ROOM, recorder=False, bot=False):
        return User(id=user_id, name=name, recorder=recorder, bot=bot, room_id=room_id)


class ControlClient:
    """One control connection; `send` returns what it led to for this client."""

    def __init__(self, house, user):
        self.house, self.user = house, user
        self.token = house.tokens.guest(user)
        self.link = FakeLink(ControlGatewayServer(house.now))
        self.take()

    def send(self, message):
        core = self.link.core
        core.receive(control.write_message(message), self.house.now)
        while (event := core.next_event()) is not None:
            self.house.hub.on_event(self.link, event)
        return self.take()

    def take(self):
        self.house.settle()
        texts = self.link.core.to_send(self.house.now)
        return [control.parse_server_message(text) for text in texts]

    def identify(self):
        return self.send(control.Identify(token=self.token))

    def join(self, muted=False):
        """The VoiceServer message."""
        return self.send(control.JoinRoom(room_id=str(ROOM), muted=muted))[-1]

    def lose(self, code=None):
        self.house.hub.on_lost(self.link, code, self.house.now)

    @property
    def closed_with(self):
        return self.link.core.close_code


class VoiceClient:
    """One voice connection."""

    def __init__(self, house):
        self.house = house
        self.link = FakeLink(VoiceGatewayServer(house.now, version="8"))
        self.take()

    def send(self, message):
        core = self.link.core
        data = isinstance(message, binary.ClientBinary) and binary.write_client_binary(message)
        core.receive(data or messages.write_message(message), self.house.now)
        while (event := core.next_event()) is not None:
            self.house.calls.on_event(self.link, event)
        return self.take()

    def take(self):
        """(opcode, fields) of what came; for a binary message (opcode, message)."""
        self.house.settle()
        return [_came(data) for data in self.link.core.to_send(self.house.now)]

    def identify(self, user, server, **changes):
        fields = {
            "server_id": server.room_id,
            "user_id": str(user.id),
            "session_id": server.session_id,
            "token": server.token,
        }
        return self.send(messages.Identify(**(fields | changes)))

    def select(self, mode=OFFERED_MODES[0], port=5000):
        chosen = messages.ProtocolAddress(address="192.0.2.1", port=port, mode=mode)
        return self.send(messages.SelectProtocol(protocol="udp", data=chosen))

    def connect(self, user, server):
        """The SSRC."""
        ((_, ready),) = self.identify(user, server)
        self.select()
        return ready["ssrc"]

    def lose(self, code=None):
        self.house.calls.on_lost(self.link, code, self.house.now)

    @property
    def closed_with(self):
        return self.link.core.close_code


def _came(data):
    if isinstance(data, bytes):
        message, _ = binary.parse_server_binary(data)
        return message.opcode, message
    came = json.loads(data)
    return messages.Opcode(came["op"]), came["d"]


@pytest.fixture
def house():
    return House()
