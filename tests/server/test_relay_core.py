"""The relay's forwarding in virtual time. Packets are sealed and opened by `cryptography`, not by our own code."""

import struct
from dataclasses import dataclass, field

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from raccall._native import Relay, RelayCore
from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND

GCM = "aead_aes256_gcm_rtpsize"
Address = tuple[str, int]
STUN_COOKIE = 0x2112A442


@dataclass
class Member:
    id: int
    address: Address
    key: bytes = b""
    nonce: int = 0
    seen_nonces: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.key = bytes([self.id]) * 32

    @property
    def ssrc(self) -> int:
        return 1000 + self.id

    def seal(self, packet: bytes, clear: int = 12, nonce: bytes | None = None) -> bytes:
        if nonce is None:
            nonce = struct.pack(">I", self.nonce)
            self.nonce += 1
        return packet[:clear] + AESGCM(self.key).encrypt(nonce + bytes(8), packet[clear:], packet[:clear]) + nonce

    def open(self, datagram: bytes, clear: int = 12) -> bytes:
        header, sealed, nonce = datagram[:clear], datagram[clear:-4], datagram[-4:]
        assert nonce not in self.seen_nonces
        assert nonce[0] & nonce[3] & 0x80, "outside the relay's nonce space"
        self.seen_nonces.add(nonce)
        return header + AESGCM(self.key).decrypt(nonce + bytes(8), sealed, header)

    def rtp(self, sequence: int, payload: bytes = b"speech", ssrc: int | None = None) -> bytes:
        ssrc = self.ssrc if ssrc is None else ssrc
        return struct.pack(">BBHII", 0x80, 120, sequence % 65536, sequence * 960 % 2**32, ssrc) + payload

    def discovery(self) -> bytes:
        return struct.pack(">HHI66x", 1, 70, self.ssrc)

    def sender_report(self, ntp: int, packets: int = 0) -> bytes:
        report = struct.pack(">BBHIQIII", 0x80, 200, 6, self.ssrc, ntp, 0, packets, 0)
        return self.seal(report, clear=8)


class Room:
    """Members who hear each other; every one of them was discovered and settled at its address."""

    def __init__(self, size: int = 3, *, nonce_space: int = 1 << 30) -> None:
        self.core = RelayCore(nonce_space=nonce_space)
        self.now = 5 * NANOS_PER_SECOND
        self.members = [Member(i, (f"192.0.2.{i}", 40000)) for i in range(1, size + 1)]
        for member in self.members:
            self.core.add_session(member.id, member.ssrc, GCM, member.key)
            self.send(member, member.discovery())
            self.core.set_address(member.id, member.address, proven=True)
        for member in self.members:
            self.core.set_route(member.id, [other.id for other in self.members])

    def send(self, member: Member, datagram: bytes, source: Address | None = None) -> dict[Address, list[bytes]]:
        sent: dict[Address, list[bytes]] = {}
        for datagram_out, address in self.core.forward(self.now, datagram, source or member.address):
            sent.setdefault(address, []).append(datagram_out)
        return sent

    def count(self, *reasons: str) -> tuple[int, ...]:
        return tuple(self.core.counters()[reason] for reason in reasons)


def test_every_listener_gets_the_same_packet_and_the_sender_nothing() -> None:
    room = Room()
    anna, *others = room.members
    packet = anna.rtp(7)
    sent = room.send(anna, anna.seal(packet))
    assert {address: other.open(sent[address][0]) for other in others for address in [other.address]} == {
        other.address: packet for other in others
    }
    assert set(sent) == {other.address for other in others}
    assert room.count("opened", "forwarded") == (1, 2)


def test_who_is_silenced_is_heard_by_nobody_and_counted_and_may_move() -> None:
    room = Room()
    anna = room.members[0]
    room.core.set_silenced(anna.id, True)
    elsewhere = ("198.51.100.7", 50000)
    assert room.send(anna, anna.seal(anna.rtp(7))) == {}
    assert room.send(anna, anna.seal(anna.rtp(8)), elsewhere) == {}
    assert room.count("silenced", "opened", "forwarded", "roamed") == (2, 0, 0, 1)
    room.core.set_silenced(anna.id, False)
    assert len(room.send(anna, anna.seal(anna.rtp(9)), elsewhere)) == 2
    room.core.set_silenced(12345, True)
    assert room.count("silenced", "command_refused") == (2, 1)


def test_header_extension_csrc_and_padding_pass_unchanged() -> None:
    room = Room(2)
    anna, ben = room.members
    # version 2, padding, extension, one CSRC; in rtpsize modes CSRC and the extension's preamble are in clear too
    clear = struct.pack(">BBHIIIHH", 0xB1, 0xF8, 1, 960, anna.ssrc, 77, 0xBEDE, 1)
    packet = clear + b"\x10\x7f\x00\x00" + b"speech" + b"\x00\x02"
    sent = room.send(anna, anna.seal(packet, clear=len(clear)))
    assert ben.open(sent[ben.address][0], clear=len(clear)) == packet


def test_the_two_aead_modes_meet_in_one_room() -> None:
    room = Room(2)
    anna, ben = room.members
    room.core.add_session(3, 1003, "aead_xchacha20_poly1305_rtpsize", bytes(32))
    room.core.set_route(anna.id, [ben.id, 3])
    room.send(anna, struct.pack(">HHI66x", 1, 70, 1003), ("192.0.2.3", 1))
    room.core.set_address(3, ("192.0.2.3", 1), proven=True)
    sent = room.send(anna, anna.seal(anna.rtp(1)))
    assert set(sent) == {ben.address, ("192.0.2.3", 1)}


def test_a_replayed_packet_is_dropped() -> None:
    room = Room()
    anna = room.members[0]
    datagram = anna.seal(anna.rtp(1))
    assert room.send(anna, datagram)
    assert not room.send(anna, datagram)
    assert not room.send(anna, datagram, ("203.0.113.9", 9))
    assert room.count("replayed") == (2,)


def test_reordered_packets_pass_once_and_ancient_ones_do_not() -> None:
    room = Room(2)
    anna = room.members[0]
    datagrams = {sequence: anna.seal(anna.rtp(sequence)) for sequence in (65534, 65535, 65536, 65537, 70000)}
    assert room.send(anna, datagrams[65534])
    assert room.send(anna, datagrams[65537])
    assert room.send(anna, datagrams[65535])
    assert room.send(anna, datagrams[70000])
    assert not room.send(anna, datagrams[65536])
    assert room.count("too_old", "opened") == (1, 4)


@pytest.mark.parametrize("length", range(0, 12 + 16 + 4 + 1))
def test_truncated_datagrams_are_counted(length: int) -> None:
    room = Room(2)
    anna = room.members[0]
    assert not room.send(anna, anna.seal(anna.rtp(1, b"x"))[:length])
    assert sum(room.count("too_short", "bad_seal", "malformed")) == 1


def test_forged_and_foreign_datagrams_are_counted_by_reason() -> None:
    room = Room()
    anna, ben, _ = room.members
    stranger = ("203.0.113.9", 9)
    good = anna.seal(anna.rtp(1))
    assert not room.send(anna, good[:-1] + bytes([good[-1] ^ 1]))
    assert not room.send(anna, bytes([0x80, 121]) + good[2:])  # the header is authenticated
    assert room.count("bad_seal") == (2,)
    assert not room.send(anna, anna.seal(anna.rtp(1, ssrc=ben.ssrc)))  # as if Ben had spoken
    assert not room.send(anna, anna.seal(anna.rtp(1, ssrc=99)))
    assert room.count("wrong_source") == (2,)
    assert not room.send(anna, anna.rtp(1, ssrc=99, payload=bytes(40)), stranger)
    assert room.count("unknown_ssrc") == (1,)
    assert not room.send(anna, b"hello", stranger)
    assert room.count("unknown_address") == (1,)
    assert not room.send(anna, struct.pack(">HHI", 1, 0, STUN_COOKIE) + bytes(12), stranger)
    assert not room.send(anna, struct.pack(">HHI66x", 1, 70, STUN_COOKIE), stranger)
    assert room.count("stun") == (2,)
    assert not room.send(anna, anna.seal(anna.rtp(1, bytes(1500))))
    assert room.count("too_long") == (1,)
    assert room.count("opened", "forwarded") == (0, 0)
    assert room.send(anna, good)  # nobody else was harmed


def test_a_seal_around_rubbish_is_malformed() -> None:
    room = Room()
    anna = room.members[0]
    rubbish = struct.pack(">BBHII", 0xA0, 120, 1, 0, anna.ssrc) + b"padding claims more than there is\xff"
    assert not room.send(anna, anna.seal(rubbish))
    assert not room.send(anna, anna.seal(struct.pack(">BBHI", 0x81, 201, 1, anna.ssrc), clear=8))
    assert room.count("malformed") == (2,)


def test_discovery_answers_to_where_the_question_came_from() -> None:
    room = Room(2)
    anna = room.members[0]
    asked_from = ("2001:db8::7", 4711)
    (answer,) = room.send(anna, anna.discovery(), asked_from)[asked_from]
    kind, length, ssrc, host, port = struct.unpack(">HHI64sH", answer)
    assert (kind, length, ssrc, host.rstrip(b"\0"), port) == (2, 70, anna.ssrc, b"2001:db8::7", 4711)
    assert not room.core.forward(room.now, struct.pack(">HHI66x", 1, 70, 5), asked_from)
    assert room.count("discovery", "unknown_ssrc") == (3, 1)


def test_only_an_observed_address_can_be_selected() -> None:
    room = Room(2)
    anna, ben = room.members
    room.core.set_address(ben.id, ("203.0.113.9", 9), proven=True)  # a victim who never asked
    room.core.set_address(ben.id, anna.address, proven=True)  # observed, but for another session
    assert room.count("not_observed") == (2,)
    assert set(room.send(anna, anna.seal(anna.rtp(1)))) == {ben.address}


def test_a_listener_without_address_is_left_out() -> None:
    room = Room(2)
    anna = room.members[0]
    room.core.add_session(9, 9, GCM, bytes(32))
    room.core.set_route(anna.id, [9])
    assert not room.send(anna, anna.seal(anna.rtp(1)))
    assert room.count("no_address", "forwarded") == (1, 0)


def test_a_member_that_changes_its_network_is_followed() -> None:
    room = Room(2)
    anna, ben = room.members
    new = ("198.51.100.7", 50000)
    room.send(ben, ben.seal(ben.rtp(1)))
    assert set(room.send(ben, ben.seal(ben.rtp(2)), new)) == {anna.address}
    room.send(ben, ben.seal(ben.rtp(3)), new)
    assert set(room.send(anna, anna.seal(anna.rtp(1)))) == {new}
    assert room.count("roamed") == (1,)


def test_an_old_packet_from_elsewhere_moves_nobody() -> None:
    room = Room(2)
    anna, ben = room.members
    late = ben.seal(ben.rtp(1))
    room.send(ben, ben.seal(ben.rtp(2)))
    assert room.send(ben, late, ("198.51.100.7", 50000))  # valid, late: heard, but not followed
    assert set(room.send(anna, anna.seal(anna.rtp(1)))) == {ben.address}


def test_an_address_is_adopted_at_most_once_a_second() -> None:
    room = Room(2)
    anna, ben = room.members
    first, second = ("198.51.100.1", 1), ("198.51.100.2", 2)
    room.send(ben, ben.seal(ben.rtp(1)), first)
    room.now += 999 * NANOS_PER_MS
    room.send(ben, ben.seal(ben.rtp(2)), second)
    room.send(ben, ben.seal(ben.rtp(3)), first)
    assert set(room.send(anna, anna.seal(anna.rtp(1)))) == {first}
    room.now += NANOS_PER_MS
    room.send(ben, ben.seal(ben.rtp(4)), second)
    assert set(room.send(anna, anna.seal(anna.rtp(2)))) == {second}


def test_an_unproven_address_is_no_target_to_flood() -> None:
    room = Room(2)
    anna, ben = room.members
    victim = ("203.0.113.9", 9)
    forged = ben.seal(ben.rtp(1, bytes(10)))  # a true member lies about its source address
    room.send(ben, forged, victim)
    flood = [room.send(anna, anna.seal(anna.rtp(sequence, bytes(10)))) for sequence in range(20)]
    received = sum(len(datagram) for sent in flood for datagram in sent.get(victim, []))
    assert 0 < received <= 3 * len(forged)
    assert room.count("held_back") == (17,)
    room.send(ben, ben.seal(ben.rtp(2)), victim)
    assert set(room.send(anna, anna.seal(anna.rtp(100)))) == {victim}


def test_discovery_alone_proves_no_address() -> None:
    room = Room(2)
    anna, ben = room.members
    victim = ("203.0.113.9", 9)
    room.send(ben, ben.discovery(), victim)  # forged
    room.core.set_address(ben.id, victim, proven=False)
    flood = [room.send(anna, anna.seal(anna.rtp(sequence))) for sequence in range(50)]
    received = sum(len(datagram) for sent in flood for datagram in sent.get(victim, []))
    assert 0 < received <= 3 * 74
    assert room.count("held_back")[0] > 40
    room.send(ben, ben.seal(ben.rtp(1)), victim)  # it was Ben after all
    assert set(room.send(anna, anna.seal(anna.rtp(100)))) == {victim}


def test_an_address_that_is_known_otherwise_hears_at_once() -> None:
    room = Room(2)
    anna, ben = room.members
    other = ("192.0.2.2", 9)
    room.send(ben, ben.discovery(), other)
    room.core.set_address(ben.id, other, proven=True)
    assert all(set(room.send(anna, anna.seal(anna.rtp(sequence)))) == {other} for sequence in range(50))


def test_a_copied_datagram_steals_a_session_for_one_packet_at_most() -> None:
    room = Room(2)
    anna, ben = room.members
    thief = ("198.51.100.66", 6)
    copied = ben.seal(ben.rtp(1))
    room.send(ben, copied, thief)  # and it overtook the original
    assert room.count("roamed") == (1,)
    room.now += NANOS_PER_MS
    room.send(ben, copied)
    assert set(room.send(anna, anna.seal(anna.rtp(1)))) == {thief}
    room.now += 20 * NANOS_PER_MS
    room.send(ben, ben.seal(ben.rtp(2)))
    assert set(room.send(anna, anna.seal(anna.rtp(2)))) == {ben.address}
    assert room.count("roamed", "replayed") == (2, 1)


def test_after_a_rebinding_of_the_nat_the_gap_is_one_packet() -> None:
    room = Room(2)
    anna, ben = room.members
    heard = []
    for step in range(100):  # both talk; Ben's NAT takes another port after a second
        room.now += 20 * NANOS_PER_MS
        mapped = ben.address if step < 50 else (ben.address[0], 40001)
        heard += room.send(anna, anna.seal(anna.rtp(step))).get(mapped, [])
        room.send(ben, ben.seal(ben.rtp(step)), mapped)
    assert len(heard) == 99


def test_a_stranger_is_looked_at_far_less_than_a_member() -> None:
    room = Room(2)
    anna, _ = room.members
    for number in range(1000):
        room.send(anna, b"\x80\x78" + bytes(40), ("198.51.100.1", 1000 + number % 3))
    assert room.count("unknown_ssrc", "stranger_limited") == (300, 700)
    for sequence in range(1000):
        assert room.send(anna, anna.seal(anna.rtp(sequence)))
    assert not room.send(anna, anna.seal(anna.rtp(1001)))
    assert room.count("rate_limited") == (1,)
    room.now += 20 * NANOS_PER_MS
    assert room.send(anna, anna.seal(anna.rtp(1002)))


def test_a_flooder_behind_the_same_nat_silences_nobody() -> None:
    room = Room(2)
    anna, ben = room.members
    for port in range(1024, 6024):
        room.send(anna, b"\x80\x78" + bytes(60), (anna.address[0], port))
    assert room.count("stranger_limited")[0] > 3900
    assert room.send(anna, anna.seal(anna.rtp(1)))  # from where she was
    room.send(anna, anna.seal(anna.rtp(2)), (anna.address[0], 7000))  # and with the port that her NAT gave her now
    room.send(anna, anna.seal(anna.rtp(3)), (anna.address[0], 7000))
    assert set(room.send(ben, ben.seal(ben.rtp(1)))) == {(anna.address[0], 7000)}


def test_an_answer_to_discovery_is_as_long_as_the_question_and_rare() -> None:
    room = Room(1)
    anna = room.members[0]
    room.now += NANOS_PER_SECOND
    answers = [
        answer
        for host in range(200)
        for answers in room.send(anna, anna.discovery(), (f"198.51.100.{host}", 1)).values()
        for answer in answers
    ]
    assert {len(answer) for answer in answers} == {74}
    assert len(answers) == 20
    assert room.count("discovery_limited") == (180,)


def test_a_keepalive_of_other_programs_is_no_fault() -> None:
    room = Room(1)
    room.send(room.members[0], struct.pack(">Q", 7))
    assert room.count("keepalive", "malformed") == (1, 0)


def test_a_listener_roams_by_its_reports() -> None:
    room = Room(2)
    anna, ben = room.members
    new = ("198.51.100.7", 50000)
    report = ben.sender_report(ntp=1 << 32)
    room.send(ben, report)
    room.now += NANOS_PER_SECOND
    assert set(room.send(ben, report, new)) == {
        ben.address
    }  # replayed by someone: answered to the member, not followed
    room.now += NANOS_PER_SECOND
    assert set(room.send(ben, ben.sender_report(ntp=2 << 32), new)) == {new}
    room.send(ben, ben.sender_report(ntp=3 << 32), new)
    assert set(room.send(anna, anna.seal(anna.rtp(1)))) == {new}


def test_a_new_member_may_get_the_port_that_another_left() -> None:
    room = Room(2)
    anna, ben = room.members
    ben.address = anna.address
    room.send(ben, ben.seal(ben.rtp(1)))
    room.send(ben, ben.seal(ben.rtp(2)))
    sent = room.send(anna, anna.seal(anna.rtp(1)), ("198.51.100.1", 1))
    assert set(sent) == {ben.address}


def test_routes_change_at_once() -> None:
    room = Room(3)
    anna, ben, cora = room.members
    room.core.set_route(anna.id, [anna.id, ben.id, 12345])
    assert set(room.send(anna, anna.seal(anna.rtp(1)))) == {ben.address}
    room.core.remove_session(ben.id)
    assert not room.send(anna, anna.seal(anna.rtp(2)))
    assert not room.send(ben, ben.seal(ben.rtp(1)))
    assert room.core.session_stats(ben.id) is None
    dora = Member(4, ("192.0.2.4", 4))
    room.core.add_session(dora.id, dora.ssrc, GCM, dora.key)  # takes Ben's place in the table, not his packets
    room.send(dora, dora.discovery())
    room.core.set_address(dora.id, dora.address, proven=True)
    assert not room.send(anna, anna.seal(anna.rtp(3)))
    room.core.set_route(anna.id, [dora.id, cora.id])
    assert set(room.send(anna, anna.seal(anna.rtp(4)))) == {dora.address, cora.address}


def test_contradicting_commands_are_refused() -> None:
    room = Room(2)
    for id, ssrc in [(1, 5), (7, 1001), (7, 0), (7, STUN_COOKIE)]:
        room.core.add_session(id, ssrc, GCM, bytes(32))
    room.core.remove_session(7)
    room.core.set_route(7, [1])
    assert room.count("command_refused") == (6,)
    with pytest.raises(ValueError, match="32 bytes"):
        room.core.add_session(8, 8, GCM, b"short")
    with pytest.raises(ValueError, match="mode"):
        room.core.add_session(8, 8, "rot13", bytes(32))


def test_a_new_key_keeps_address_route_and_replay_window() -> None:
    room = Room(2)
    anna, ben = room.members
    old = anna.seal(anna.rtp(1))
    room.send(anna, old)
    anna.key = ben.key = b"k" * 32
    for member in room.members:
        room.core.add_session(member.id, member.ssrc, GCM, member.key)
    assert not room.send(anna, old)
    room.send(ben, ben.seal(ben.rtp(1)))
    assert not room.send(anna, anna.seal(anna.rtp(1)))
    assert ben.open(room.send(anna, anna.seal(anna.rtp(2)))[ben.address][0]) == anna.rtp(2)
    assert room.count("bad_seal", "replayed") == (0, 2)


def test_an_old_key_opens_five_seconds_more() -> None:
    room = Room(2)
    anna, _ = room.members
    under_way = [anna.seal(anna.rtp(sequence)) for sequence in (2, 3)]
    anna.key = b"k" * 32
    room.core.add_session(anna.id, anna.ssrc, GCM, anna.key)
    room.send(anna, anna.seal(anna.rtp(1)))
    assert room.send(anna, under_way[0])
    room.now += 5 * NANOS_PER_SECOND
    assert not room.send(anna, under_way[1])
    assert room.count("bad_seal") == (1,)


def test_the_same_key_told_again_repeats_no_nonce() -> None:
    room = Room(2)
    anna, ben = room.members
    for sequence in range(3):
        (copy,) = room.send(anna, anna.seal(anna.rtp(sequence)))[ben.address]
        ben.open(copy)  # checks the nonce against all before
        room.core.add_session(ben.id, ben.ssrc, GCM, ben.key)


def test_a_client_that_uses_the_relays_nonces_needs_a_new_key() -> None:
    room = Room(2)
    anna, ben = room.members
    assert room.send(anna, anna.seal(anna.rtp(1), nonce=b"\x80\0\0\x80"))  # heard, but no longer sealed for
    assert not room.send(ben, ben.seal(ben.rtp(1)))
    assert room.count("needs_rekey") == (1,)
    stats = room.core.session_stats(anna.id)
    assert stats is not None and stats["needs_rekey"] == 1


def test_a_report_is_answered_with_how_the_session_is_received() -> None:
    room = Room(2)
    anna, ben = room.members
    for sequence in (1, 2, 4, 5):
        room.send(anna, anna.seal(anna.rtp(sequence)))
        room.now += 20 * NANOS_PER_MS
    (answer,) = room.send(anna, anna.sender_report(ntp=0x1111_2222_3333_4444))[anna.address]
    opened = anna.open(answer, clear=8)
    kind, words, ssrc, source, loss, highest, jitter, last_sr, delay = struct.unpack(">xBHIIIIIII", opened[:32])
    assert (kind, words, ssrc, source) == (201, 7, 0, anna.ssrc)
    assert (loss >> 24, loss & 0xFFFFFF, highest) == (256 // 5, 1, 5)
    assert (last_sr, delay) == (0x2222_3333, 0)
    assert jitter < 960
    assert not room.send(anna, anna.sender_report(ntp=0x1111_2222_3333_4445))  # at most five answers a second
    assert room.count("rtcp", "rtcp_answered", "forwarded") == (2, 1, 4)
    with pytest.raises(InvalidTag):
        ben.open(answer, clear=8)


LINK = ">BBHI4sHHHHIBBH"
"""Header, SSRC, name; standing, newest and arrived ms, packets, bytes, listeners, their loss in 256ths, alarm."""
OVERDUE, ALL_CLEAR = 1, 2


def link_feedback(opened: bytes) -> tuple[int, ...]:
    version, kind, words, ssrc, name, *numbers = struct.unpack(LINK, opened[32:])
    assert (version, kind, words, ssrc, name) == (0x80, 204, 6, 0, b"LINK")
    return tuple(numbers)


def test_who_speaks_is_told_how_three_quarters_of_the_listeners_hear_it() -> None:
    room = Room(3)
    anna, ben, carla = room.members
    for number, (member, lost) in enumerate([(ben, 40), (carla, 4), (anna, 200)]):
        sender = struct.pack(">BBHIQIII", 0x80, 200, 6, member.ssrc, 1 + number, 0, 0, 0)
        block = struct.pack(">BBHIIBxxxIIII", 0x81, 201, 7, member.ssrc, anna.ssrc, lost, 0, 0, 0, 0)
        sent = room.send(member, member.seal(sender + block, clear=8))
    listeners, heard_loss = link_feedback(anna.open(sent[anna.address][0], clear=8))[-3:-1]
    assert (listeners, heard_loss) == (2, 4), "one bad listener decides nothing, and who speaks is no listener"


def test_a_sender_whose_packets_queue_is_told_without_asking() -> None:
    room = Room(2)
    anna, _ = room.members
    told = []
    for sequence in range(200):
        late_ms = max(sequence - 100, 0) * 60  # from then on each packet takes 80 ms
        room.now = (5000 + sequence * 20 + late_ms) * NANOS_PER_MS
        told += room.send(anna, anna.seal(anna.rtp(sequence))).get(anna.address, [])
        if sequence == 50:
            assert not told, "who never reported knows of no reports"
            assert room.send(anna, anna.sender_report(ntp=1))[anna.address]
    standing_ms, newest_ms, arrived_ms, packets, size, *_ = link_feedback(anna.open(told[0], clear=8))
    assert 40 < standing_ms <= newest_ms < 200
    assert arrived_ms / packets == 80
    assert size == packets * (12 + 6 + 20)
    seconds = 100 * 80 / 1000
    assert 0.8 * 5 * seconds < len(told) <= 10 * seconds


def test_a_sender_whose_next_packet_is_overdue_is_told_and_told_again_when_it_comes() -> None:
    room = Room(2)
    anna, _ = room.members

    def alarms(sent: list[bytes]) -> list[tuple[int, int]]:
        opened = [anna.open(datagram, clear=8) for datagram in sent]
        return [(struct.unpack(">I", packet[16:20])[0] & 0xFFFF, link_feedback(packet)[-1]) for packet in opened]

    def pass_time(ms: int) -> list[bytes]:
        told = []
        for _ in range(ms):
            room.now += NANOS_PER_MS
            told += room.core.alarm(room.now)
        assert {address for _, address in told} <= {anna.address}
        return [datagram for datagram, _ in told]

    def speak(first: int, last: int, each_ms: int = 20) -> list[bytes]:
        told = []
        for sequence in range(first, last):
            told += room.send(anna, anna.seal(anna.rtp(sequence))).get(anna.address, [])
            told += pass_time(each_ms)
        return told

    assert not speak(0, 50)
    assert not pass_time(500), "who never reported knows of no reports"
    assert room.send(anna, anna.sender_report(ntp=1))[anna.address]
    speak(75, 200)
    assert not pass_time(40), "20 ms more than the packet's time have not passed"
    assert alarms(pass_time(60)) == [(199, OVERDUE)], "once, however long it takes"
    assert alarms(speak(200, 206, each_ms=0)) == [(203, ALL_CLEAR)], "they come all together, and catch up"
    assert not speak(206, 220)
    room.core.remove_session(anna.id)
    assert not pass_time(1000)


def test_reflected_datagrams_open_for_nobody() -> None:
    room = Room(2)
    anna, ben = room.members
    (copy,) = room.send(anna, anna.seal(anna.rtp(1)))[ben.address]
    (answer,) = room.send(ben, ben.sender_report(ntp=1))[ben.address]
    assert not room.send(ben, copy)
    assert not room.send(ben, answer)
    assert room.count("wrong_source") == (2,)


def test_a_busy_port_raises_and_a_stopped_relay_takes_no_commands() -> None:
    relay = Relay([("127.0.0.1", 0)], receive_buffer_bytes=1 << 20)
    with pytest.raises(OSError) as error:
        Relay(relay.addresses)
    assert error.value.errno
    assert relay.session_stats(1) is None
    assert relay.receive_buffer_bytes >= 64 << 10
    relay.stop()
    relay.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        relay.remove_session(1)


def test_a_new_key_is_taken_over_without_a_lost_packet() -> None:
    room = Room(2, nonce_space=100)
    anna, ben = room.members
    old, new = ben.key, bytes(range(32))
    heard = 0
    for sequence in range(170):
        room.now += 20 * NANOS_PER_MS
        (datagram,) = room.send(anna, anna.seal(anna.rtp(sequence)))[ben.address]
        heard += ben.open(datagram)[12:] == b"speech"
        if room.core.session_stats(ben.id)["needs_rekey"] and ben.key == old:
            assert sequence == 89
            room.core.add_session(ben.id, ben.ssrc, GCM, new)
        if sequence == 95:  # only now the client has learned of it
            assert room.core.session_stats(ben.id)["rekeying"]
            ben.key, ben.nonce = new, 0
            ben.seen_nonces.clear()
            room.send(ben, ben.seal(ben.rtp(1)))
    assert heard == 170
    assert room.count("rekey_wanted", "rekeyed", "needs_rekey", "bad_seal") == (1, 1, 0, 0)
