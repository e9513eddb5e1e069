"""Which calls are encrypted, who is let in, what everyone is told: a whole server in virtual time, davey as client."""

import davey
import pytest

from raccall.errors import RefusedError
from raccall.server import rooms
from raccall.server.rooms import Rooms
from raccall.voice.delivery.service import BATCH_MS, PACKAGE_WITHIN_MS
from raccall.voice.gateway import binary, messages
from raccall.voice.gateway.messages import CloseCode, Opcode
from raccall.wire import control
from raccall.wire.control import EncryptionPolicy, EncryptionState

ROOM = 7
FRAME = b"\x78" + bytes(50)


class Client:
    """A control connection and a voice connection that does as discord.py."""

    def __init__(self, house, user_id, name, dave=1):
        self.house, self.user_id = house, user_id
        self.control = house.control(house.user(user_id, name))
        self.told = self.control.identify()
        self.dave_version = dave
        self.dave = davey.DaveSession(1, user_id, ROOM) if dave else None
        self.heard = []
        self.enter()

    def enter(self):
        server = self.control.join()
        self.told.append(server)
        self.voice = self.house.voice()
        self.note(self.voice.identify(self.control.user, server, max_dave_protocol_version=self.dave_version))
        if self.voice.closed_with is None:
            self.note(self.voice.select())

    def note(self, came):
        """Answer what came."""
        for opcode, what in came:
            self.heard.append(opcode)
            match what:
                case binary.ExternalSender(external_sender=sender):
                    self.dave.set_external_sender(sender)
                case binary.Proposals(operation=operation, proposals=proposals):
                    kind = davey.ProposalsOperationType.revoke if operation else davey.ProposalsOperationType.append
                    made = self.dave.process_proposals(kind, proposals)
                    if made is not None:
                        self.say(binary.CommitWelcome(made.commit + (made.welcome or b"")))
                case binary.AnnounceCommit(transition_id=transition, commit=commit):
                    self.dave.process_commit(commit)
                    self.say(messages.TransitionReady(transition_id=transition))
                case binary.Welcome(transition_id=transition, welcome=welcome):
                    self.dave.process_welcome(welcome)
                    self.say(messages.TransitionReady(transition_id=transition))
                case {"dave_protocol_version": version}:
                    self.version = version
                    if version:
                        self.begin()
                case {"epoch": 1}:
                    self.begin()
                case {"transition_id": transition, "protocol_version": version}:
                    self.version = version
                    if transition:
                        self.say(messages.TransitionReady(transition_id=transition))

    def begin(self):
        self.dave.reinit(1, self.user_id, ROOM)
        self.say(binary.KeyPackage(self.dave.get_serialized_key_package()))

    def say(self, message):
        self.note(self.voice.send(message))

    @property
    def state(self):
        """Of encryption, as this one was told last."""
        self.told += self.control.take()
        states = [m.encryption for m in self.told if isinstance(m, control.EncryptionChanged | control.VoiceServer)]
        return states[-1]


@pytest.fixture
def many(house):
    house.rooms._capacity = 50
    house.rooms.get(ROOM).encryption = EncryptionPolicy.PREFERRED
    return house


def settle(house, *clients):
    """Until nobody has anything more to say."""
    for _ in range(12):
        house.wait(BATCH_MS)
        for client in clients:
            client.note(client.voice.take())


def agree(*clients):
    return len({client.dave.get_epoch_authenticator() for client in clients if client.dave.ready}) == 1 and all(
        client.dave.ready for client in clients
    )


def set_policy(house, policy):
    house.hub.set_encryption(ROOM, policy)
    house.settle()


def test_three_clients_of_a_required_room_agree(many):
    set_policy(many, EncryptionPolicy.REQUIRED)
    clients = [Client(many, user_id, name) for user_id, name in ((1, "Anna"), (2, "Ben"), (3, "Cleo"))]
    settle(many, *clients)
    assert agree(*clients)
    assert [client.version for client in clients] == [1, 1, 1]
    anna, ben, cleo = clients
    assert anna.state == EncryptionState(policy=EncryptionPolicy.REQUIRED, active=True)
    assert ben.dave.decrypt(1, davey.MediaType.audio, anna.dave.encrypt_opus(FRAME)) == FRAME
    cleo.voice.lose(1000)
    settle(many, anna, ben)
    assert agree(anna, ben) and sorted(anna.dave.get_user_ids()) == ["1", "2"]


def test_a_required_room_refuses_a_client_that_cannot(many):
    set_policy(many, EncryptionPolicy.REQUIRED)
    old = Client(many, 1, "Anna", dave=0)
    assert old.voice.closed_with is CloseCode.ENCRYPTION_REQUIRED
    assert "end-to-end" in CloseCode.ENCRYPTION_REQUIRED.sentence
    assert len(many.calls) == 0


def test_a_preferred_room_goes_down_for_one_that_cannot_and_up_again(many):
    anna, ben = Client(many, 1, "Anna"), Client(many, 2, "Ben")
    settle(many, anna, ben)
    assert agree(anna, ben) and anna.state.active
    old = Client(many, 3, "Old", dave=0)
    settle(many, anna, ben, old)
    assert (anna.version, ben.version, old.version) == (0, 0, 0)
    assert anna.state == old.state == EncryptionState(policy=EncryptionPolicy.PREFERRED, active=False, without=["3"])
    assert Opcode.DAVE_EXECUTE_TRANSITION in anna.heard
    late = Client(many, 4, "Late")
    settle(many, anna, ben, old, late)
    assert late.version == 0 and Opcode.MLS_EXTERNAL_SENDER not in late.heard
    old.voice.lose(1000)
    settle(many, anna, ben, late)
    assert agree(anna, ben, late), "the one that came at version 0 is described anew"
    assert late.state == EncryptionState(policy=EncryptionPolicy.PREFERRED, active=True)


def test_the_others_take_plain_voice_before_the_first_comes(many):
    """They go down when a client that cannot has identified itself: before it knows where voice goes."""
    anna, ben = Client(many, 1, "Anna"), Client(many, 2, "Ben")
    settle(many, anna, ben)
    user = many.user(3, "Old")
    old = many.control(user)
    old.identify()
    voice = many.voice()
    voice.identify(user, old.join(), max_dave_protocol_version=0)
    settle(many, anna, ben)
    assert (anna.version, ben.version) == (0, 0)
    voice.lose(None)
    settle(many, anna, ben)
    assert agree(anna, ben), "it never came"


def test_an_off_room_never_begins(many):
    set_policy(many, EncryptionPolicy.OFF)
    anna, ben = Client(many, 1, "Anna"), Client(many, 2, "Ben")
    settle(many, anna, ben)
    assert (anna.version, ben.version) == (0, 0) and not anna.state.active
    set_policy(many, EncryptionPolicy.REQUIRED)
    settle(many, anna, ben)
    assert agree(anna, ben) and anna.state.active
    set_policy(many, EncryptionPolicy.OFF)
    settle(many, anna, ben)
    assert (anna.version, ben.version) == (0, 0) and anna.state == EncryptionState(policy=EncryptionPolicy.OFF)


def test_who_cannot_is_sent_away_when_it_becomes_required(many):
    old, anna = Client(many, 1, "Old", dave=0), Client(many, 2, "Anna")
    settle(many, old, anna)
    set_policy(many, EncryptionPolicy.REQUIRED)
    settle(many, anna)
    assert old.voice.closed_with is CloseCode.ENCRYPTION_REQUIRED
    assert anna.version == 1 and anna.state.without == []


def test_the_same_user_with_a_new_session_is_added_again(many):
    anna, ben, cleo = (Client(many, user_id, name) for user_id, name in ((1, "Anna"), (2, "Ben"), (3, "Cleo")))
    settle(many, anna, ben, cleo)
    former = ben.voice
    ben.enter()
    assert former.closed_with is CloseCode.DISCONNECTED
    settle(many, anna, ben, cleo)
    assert agree(anna, ben, cleo)


def test_what_was_missed_is_repeated_after_a_resume(many):
    """Binary messages share the numbers of the others."""
    anna, ben = Client(many, 1, "Anna"), Client(many, 2, "Ben")
    settle(many, anna, ben)
    session = next(s for s in many.calls._sessions.values() if s.user_id == 2)
    seen = session.replay.newest & 0xFFFF
    voice_pass = session.voice_pass
    ben.voice.lose(1006)
    cleo = Client(many, 3, "Cleo")
    settle(many, anna, cleo)
    assert agree(anna, cleo)
    ben.voice = many.voice()
    resume = messages.Resume(
        server_id=str(ROOM), session_id=voice_pass.session_id, token=voice_pass.token, seq_ack=seen
    )
    ben.say(resume)
    assert {Opcode.RESUMED, Opcode.MLS_PROPOSALS, Opcode.MLS_ANNOUNCE_COMMIT} <= set(ben.heard)
    settle(many, anna, ben, cleo)
    assert agree(anna, ben, cleo)


def test_who_brings_no_key_package_must_begin_anew(many):
    anna = Client(many, 1, "Anna")
    anna.begin = lambda: None
    silent = Client(many, 2, "Silent")
    silent.begin = lambda: None
    silent.enter()
    settle(many, anna)
    many.wait(PACKAGE_WITHIN_MS)
    many.wait(0)
    assert silent.voice.closed_with is CloseCode.SESSION_INVALID
    assert anna.voice.closed_with is None


def test_an_encrypted_message_before_the_description_closes(house):
    user = house.user(1, "Anna")
    anna = house.control(user)
    anna.identify()
    voice = house.voice()
    voice.identify(user, anna.join(), max_dave_protocol_version=1)
    voice.send(binary.KeyPackage(b""))
    assert voice.closed_with is CloseCode.BAD_REQUEST


def test_a_flood_of_commits_is_closed(many):
    anna = Client(many, 1, "Anna")
    settle(many, anna)
    for _ in range(300):
        anna.voice.send(binary.CommitWelcome(b"x"))
    assert anna.voice.closed_with is CloseCode.RATE_LIMITED
    assert 100 < many.calls.encryption.refusals()["malformed"] <= 200
    ben = Client(many, 2, "Ben")
    for _ in range(10):
        ben.voice.send(binary.CommitWelcome(bytes(binary.MAX_PAYLOAD_BYTES)))
    assert ben.voice.closed_with is CloseCode.RATE_LIMITED


def test_an_encrypted_call_has_its_own_limit(monkeypatch):
    monkeypatch.setattr(rooms, "ENCRYPTED_CAPACITY", 2)
    all_rooms = Rooms(capacity=10)
    room = all_rooms.add(ROOM, "lounge", encryption=EncryptionPolicy.REQUIRED)
    for user_id in (1, 2):
        all_rooms.join(ROOM, rooms.Member(user_id=user_id, name=str(user_id)))
    with pytest.raises(RefusedError, match="an encrypted call holds 2 members"):
        all_rooms.check_space(ROOM)
    room.encryption = EncryptionPolicy.PREFERRED
    all_rooms.check_space(ROOM)


def test_more_than_an_encrypted_call_holds_go_on_without(many, monkeypatch):
    monkeypatch.setattr("raccall.server.encryption.ENCRYPTED_CAPACITY", 2)
    monkeypatch.setattr("raccall.server.hub.ENCRYPTED_CAPACITY", 2)
    clients = [Client(many, user_id, str(user_id)) for user_id in (1, 2, 3)]
    settle(many, *clients)
    assert [client.version for client in clients] == [0, 0, 0] and not clients[0].state.active
    with pytest.raises(RefusedError, match="lounge has 3 members now"):
        many.hub.check_encryption(ROOM, EncryptionPolicy.REQUIRED)


def test_nothing_is_left_of_a_call_that_is_over(many):
    anna, ben = Client(many, 1, "Anna"), Client(many, 2, "Ben")
    settle(many, anna, ben)
    for client in (anna, ben):
        client.voice.lose(1000)
    settle(many)
    assert many.calls.encryption._calls == {} and many.calls.encryption.get_timer() is None
