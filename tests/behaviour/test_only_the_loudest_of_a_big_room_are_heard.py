"""A room with more talkers than are let through at once: listeners hear the loudest and miss nothing, recorders all.

Packets are sealed and opened by `cryptography`, not by our own code.
"""

import struct
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from raccall._native import RelayCore
from raccall.errors import InputError
from raccall.server.settings import ServerSettings
from raccall.units import NANOS_PER_MS

GCM = "aead_aes256_gcm_rtpsize"
ROOM, LISTENER, RECORDER = 7, 100, 101
TALKERS = (1, 2, 3, 4)
SPEECH = b"speech" * 10
FIRST_SEQUENCE = 65_400
"""So that it wraps during the test."""


def address(member):
    return f"192.0.2.{member}", 40000


def key(member):
    return bytes([member]) * 32


class BigRoom:
    """Four talk, of whom `at_once` are let through; one listens, one records."""

    def __init__(self, at_once):
        self.core = RelayCore(speakers_at_once=at_once)
        self.frame = 0
        self.sent = {member: [] for member in TALKERS}
        everyone = (*TALKERS, LISTENER, RECORDER)
        for member in everyone:
            self.core.add_session(member, member, GCM, key(member))
            self.core.set_room(member, ROOM, member == RECORDER)
            self.core.forward(0, struct.pack(">HHI66x", 1, 70, member), address(member))
            self.core.set_address(member, address(member), proven=True)
        for member in everyone:
            self.core.set_route(member, everyone)

    def packet(self, member, level_db):
        """As our client sends it: the level in the header extension, whose body is encrypted."""
        sequence = (FIRST_SEQUENCE + self.frame) % 65536
        header = struct.pack(">BBHIIHH", 0x90, 120, sequence, 960 * self.frame, member, 0xBEDE, 1)
        return header, struct.pack(">BBH", 0x10, -level_db, 0) + SPEECH + struct.pack(">I", self.frame)

    def talk(self, seconds, **levels_db):
        """Everyone sends for so long, at these levels (a=...: talker 1). What listener and recorder got."""
        got = {LISTENER: [], RECORDER: []}
        for _ in range(round(seconds * 50)):
            self.frame += 1
            for member, level_db in zip(TALKERS, levels_db.values(), strict=True):
                header, body = self.packet(member, level_db)
                self.sent[member].append(header + body)
                nonce = struct.pack(">I", self.frame)
                sealed = header + AESGCM(key(member)).encrypt(nonce + bytes(8), body, header) + nonce
                now = self.frame * 20 * NANOS_PER_MS + member
                for datagram, to in self.core.forward(now, sealed, address(member)):
                    for ear, packets in got.items():
                        if to == address(ear):
                            packets.append(unseal(datagram, ear))
        return got


def unseal(datagram, member):
    header, sealed, nonce = datagram[:16], datagram[16:-4], datagram[-4:]
    return header + AESGCM(key(member)).decrypt(nonce + bytes(8), sealed, header)


def talkers(packets):
    return {packet[11] for packet in packets}


def numbers(packets, member):
    return [int.from_bytes(packet[2:4], "big") for packet in packets if packet[11] == member]


def test_the_loudest_are_heard_and_change_without_a_gap():
    room = BigRoom(at_once=2)
    first = room.talk(3, a=-30, b=-30, c=-127, d=-127)
    assert talkers(first[LISTENER]) == {1, 2}
    second = room.talk(3, a=-127, b=-127, c=-30, d=-30)
    assert talkers(second[LISTENER][-100:]) == {3, 4}
    third = room.talk(3, a=-30, b=-30, c=-127, d=-127)
    assert talkers(third[LISTENER][-100:]) == {1, 2}

    heard = first[LISTENER] + second[LISTENER] + third[LISTENER]
    for talker in TALKERS:
        sequence = numbers(heard, talker)
        steps = {(after - before) % 65536 for before, after in pairwise(sequence)}
        assert steps == {1}, "what was kept back looks lost"
    returned = next(packet for packet in third[LISTENER] if packet[11] == 1 and packet[1] & 0x80)
    assert returned[16 + 4 :].startswith(SPEECH)
    assert sum(packet[1] >> 7 for packet in heard) == len(TALKERS), "a marker for each return or late begin"
    assert room.core.counters()["quieter"] == 9 * 50 * 4 - len(heard)


def test_a_recorder_gets_every_packet_as_it_was_sent():
    room = BigRoom(at_once=1)
    got = room.talk(2, a=-30, b=-30, c=-30, d=-30)[RECORDER] + room.talk(2, a=-127, b=-20, c=-127, d=-30)[RECORDER]
    assert {member: [packet for packet in got if packet[11] == member] for member in TALKERS} == room.sent


def test_a_talker_whose_route_was_taken_holds_no_seat():
    """So a moderator's mute also frees the room of who claims to be loudest."""
    room = BigRoom(at_once=1)
    room.talk(1, a=-10, b=-40, c=-127, d=-127)
    room.core.set_route(1, [])
    assert talkers(room.talk(1, a=0, b=-40, c=-127, d=-127)[LISTENER]) == {2}


def test_what_is_kept_back_is_no_loss_in_the_relays_report_either():
    room = BigRoom(at_once=1)
    room.talk(2, a=-20, b=-30, c=-30, d=-30)
    for talker in TALKERS:
        stats = room.core.session_stats(talker)
        assert stats is not None and (stats["received"], stats["lost"]) == (100, 0)


@pytest.mark.parametrize("settings", [{"speakers_at_once": 0}, {"relay_threads": 0}, {"relay_threads": 257}])
def test_settings_that_make_no_sense_are_refused_with_a_sentence(tmp_path, settings):
    with pytest.raises(InputError, match=r"\.$") as error:
        ServerSettings(data=tmp_path, **settings).check()
    assert error.value.code in ("speakers_malformed", "threads_malformed")
