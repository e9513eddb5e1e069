"""Encrypted calls: chains against davey's own cryptors (the Python wheel), engines through a relay."""

from collections.abc import Iterator

import davey
import numpy as np
import pytest

from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.chains import ReceiveChain, SendChain
from raccall.voice.codec import payload_samples
from raccall.voice.e2ee import DAVE_PROTOCOL_VERSION, DaveMember
from raccall.voice.engine import Encryption, Engine, Sound, read_stats
from raccall.voice.tap import TappedPacket
from raccall.wire.packet import Cipher, Extension, Packet
from tests.voice.delivery_stand_in import ExternalSender, split, vector
from tests.voice.test_engine import Call, tone, wait_until

pytestmark = pytest.mark.realtime

KEY = bytes(range(32))
MODE = "aead_aes256_gcm_rtpsize"
CHANNEL = 777
ALICE, BOB = 111, 222
SILENCE = b"\xf8\xff\xfe"


@pytest.fixture
def call() -> Iterator[Call]:
    call = Call()
    yield call
    call.close()


def davey_and_ours() -> tuple[davey.DaveSession, DaveMember]:
    """Alice is davey's, Bob is ours; both are in the first epoch."""
    sender = ExternalSender(CHANNEL)
    alice = davey.DaveSession(DAVE_PROTOCOL_VERSION, ALICE, CHANNEL)
    bob = DaveMember(BOB, CHANNEL)
    alice.set_external_sender(sender.package())
    bob.set_external_sender(sender.package())
    proposals = vector(sender.add(0, bob.key_package()))
    answer = alice.process_proposals(davey.ProposalsOperationType.append, proposals)
    assert answer is not None and answer.welcome is not None
    alice.process_commit(answer.commit)
    bob.process_welcome(answer.welcome, [ALICE, BOB])
    return alice, bob


def two_of_ours() -> tuple[DaveMember, DaveMember]:
    sender = ExternalSender(CHANNEL)
    alice, bob = DaveMember(ALICE, CHANNEL), DaveMember(BOB, CHANNEL)
    for member in (alice, bob):
        member.set_external_sender(sender.package())
    answer = alice.process_proposals(b"\0" + vector(sender.add(0, bob.key_package())))
    assert answer is not None
    commit, welcome = split(answer)
    alice.process_commit(commit)
    bob.process_welcome(welcome)
    return alice, bob


def test_a_davey_session_understands_what_our_chain_sends() -> None:
    alice, bob = davey_and_ours()
    chain = SendChain(7, MODE, KEY)
    chain.set_encryption(Encryption.ON)
    frame = (0.3 * np.sin(np.arange(960) / 20)).astype(np.float32)
    assert chain.push(frame, Nanos(0)) is None
    assert (chain.unsent_frames, chain.sent_packets) == (1, 0)
    chain.use_keys(bob.keys())
    for number in range(1, 200):
        datagram = chain.push(frame, Nanos(number * 20 * NANOS_PER_MS))
        assert datagram is not None
        packet = Packet.parse(Cipher(MODE, KEY).open(datagram))
        assert packet.extension is not None, "the level stays outside"
        payload = alice.decrypt(BOB, davey.MediaType.audio, packet.payload)
        assert payload_samples(payload) == 960
    chain.set_muted(True)
    datagram = chain.push(frame, Nanos(NANOS_PER_SECOND))
    assert datagram is not None
    assert Packet.parse(Cipher(MODE, KEY).open(datagram)).payload == SILENCE
    assert chain.encrypted_frames == 200


def sealed(payload: bytes, sequence: int, *, padding_bytes: int = 0, ssrc: int = 7) -> bytes:
    packet = Packet(
        sequence=sequence,
        timestamp=960 * sequence,
        ssrc=Ssrc(ssrc),
        payload=payload,
        extension=Extension(0xBEDE, b"\x10\x85\0\0"),
        padding_bytes=padding_bytes,
    )
    return Cipher(MODE, KEY).seal(packet.write(), (ssrc << 16 | sequence).to_bytes(4, "big"))


def receive_chain() -> ReceiveChain:
    chain = ReceiveChain(MODE, KEY)
    chain.set_encryption(Encryption.ON, Nanos(0))
    return chain


def test_our_chain_understands_what_a_davey_session_sends_padded_or_not() -> None:
    alice, bob = davey_and_ours()
    chain = receive_chain()
    chain.use_keys(bob.keys(), Nanos(0))
    for sequence in range(300):
        payload = bytes([0x78]) + sequence.to_bytes(2, "big") * 30
        datagram = sealed(alice.encrypt_opus(payload), sequence, padding_bytes=sequence % 4)
        packet = chain.push(datagram, Nanos(sequence * 20 * NANOS_PER_MS))
        assert packet is not None and packet.payload == payload
        assert Packet.parse(packet.rtp).padding_bytes == 0
        assert chain.push(datagram, Nanos(0)) is None, "a duplicate"
    silence = chain.push(sealed(SILENCE, 300), Nanos(6 * NANOS_PER_SECOND))
    assert silence is not None and silence.payload == SILENCE
    report = chain.report()
    assert report.refused == {"duplicate": 300}
    assert (report.encryption.decrypted, report.encryption.plain, report.encryption.bad_tag) == (300, 1, 0)
    assert report.sources[0].owner == ALICE


def test_what_waited_for_its_key_is_handed_out_as_it_came() -> None:
    alice, bob = davey_and_ours()
    chain = receive_chain()
    times = [Nanos(sequence * 20 * NANOS_PER_MS) for sequence in range(100)]
    payloads = [bytes([0x78]) + sequence.to_bytes(2, "big") for sequence in range(100)]
    for sequence, (now, payload) in enumerate(zip(times, payloads, strict=True)):
        assert chain.push(sealed(alice.encrypt_opus(payload), sequence), now) is None
    assert chain.released() == []
    assert chain.report().encryption.waiting == 100
    chain.add_keys(bob.keys(), Nanos(2 * NANOS_PER_SECOND))
    packets = chain.released()
    assert [(packet.arrival, packet.payload) for packet in packets] == list(zip(times, payloads, strict=True))
    assert np.diff([packet.sequence for packet in packets]).tolist() == [1] * 99
    chain.push(sealed(b"\x78 plain", 100), Nanos(2 * NANOS_PER_SECOND))
    chain.tend(Nanos(3 * NANOS_PER_SECOND))
    assert chain.report().refused == {"unencrypted": 1}
    assert chain.report().encryption.unencrypted == 1


def test_a_recorder_that_gets_its_key_late_misses_no_frame(call: Call) -> None:
    alice, bob = two_of_ours()
    sound = Sound.clocked(tone(400.0), keep_playback=False)
    recorder, talker = (Engine(call.relay.addresses[0]) for _ in range(2))
    tap = recorder.open_tap()
    for ssrc, engine in ((2, recorder), (1, talker)):
        call.relay.add_session(ssrc, ssrc, MODE, bytes([ssrc] * 32))
        call.relay.set_address(ssrc, engine.discover(ssrc), proven=True)
        call.engines[ssrc] = engine
    call.relay.set_route(1, [2])
    for ssrc, engine, own in ((2, recorder, None), (1, talker, sound)):
        engine.start(ssrc=ssrc, mode=MODE, key=bytes([ssrc] * 32), sound=own, encryption="on")
    talker.use_keys(alice.keys())
    wait_until(lambda: sound.capture_done and read_stats(recorder).received_packets == 51 - unsent(talker))
    assert read_stats(recorder).encryption.waiting > 0
    recorder.set_owner(1, ALICE)
    recorder.add_keys(bob.keys())
    wait_until(lambda: read_stats(recorder).encryption.waiting == 0)
    call.close()
    stats = read_stats(recorder)
    packets: list[TappedPacket] = []
    while (batch := tap.read(100)) is not None:
        packets += [TappedPacket(*packet) for packet in batch]
    sent = read_stats(talker).encryption
    assert len(packets) == stats.received_packets == sent.encrypted == 51 - unsent(talker)
    assert (stats.encryption.released, stats.encryption.decrypted) == (len(packets), len(packets) - 1)
    assert all(payload_samples(packet.payload) == 960 for packet in packets)
    assert packets[-1].payload == SILENCE, "it waited behind the others"
    assert np.all(np.diff([packet.sequence for packet in packets]) == 1)
    assert np.all(np.diff([packet.arrival for packet in packets]) > 0), "the times when they came"
    assert stats.sources[0].owner == ALICE
    assert stats.refused == {}, "nothing came in clear, not even before the key"


def unsent(talker: Engine) -> int:
    """How many frames the talker had before its key."""
    return read_stats(talker).encryption.unsent


def test_words_for_the_encryption_are_checked(call: Call) -> None:
    engine = call.join(1, Sound.clocked(None, keep_playback=False))
    with pytest.raises(ValueError, match="off, either or on"):
        engine.set_encryption("perhaps")
    with pytest.raises(ValueError, match="off, either or on"):
        SendChain(7, MODE, KEY)._native.set_encryption("perhaps")
    assert {mode.value for mode in Encryption} == {"off", "either", "on"}
