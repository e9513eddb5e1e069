"""The chains' Python face: what it takes, gives, refuses and reports. Its promises are in tests/behaviour."""

import numpy as np
import pytest

from raccall._native import TRANSPORT_MODES, Cipher
from raccall.testing.call import KEY, MODE, VirtualCall, talker
from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.chains import LinkReport, ReceiveChain, SendChain
from raccall.wire.packet import Packet, parse_compound

START = Nanos(10**12)


def tone(frames: int = 1, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.sin(np.arange(960 * frames) * 0.03)).astype(np.float32)


@pytest.mark.parametrize("mode", TRANSPORT_MODES)
def test_every_mode_carries_a_packet(mode: str) -> None:
    send, receive = SendChain(7, mode, KEY, first_sequence=5, first_timestamp=77), ReceiveChain(mode, KEY)
    datagram = send.push(tone().reshape(960, 1), START)
    assert datagram is not None
    packet = receive.push(datagram, START)
    assert packet is not None
    assert (packet.arrival, packet.ssrc, packet.sequence, packet.timestamp) == (START, 7, 5 + 2**16, 77 + 2**32)
    assert Packet.parse(packet.rtp).payload == packet.payload != b""
    assert receive.push(datagram, START) is None
    assert receive.report().refused == {"duplicate": 1}
    assert (send.sent_packets, send.sent_bytes) == (1, len(datagram))


def test_a_pull_is_10_ms_of_everyone() -> None:
    receive = ReceiveChain(MODE, KEY)
    frame = receive.pull(START)
    assert (frame.shape, frame.dtype, np.abs(frame).max()) == ((480, 1), np.float32, 0)


def test_pull_each_gives_the_sources_apart() -> None:
    loud, quiet, receive = talker(1), talker(2), ReceiveChain(MODE, KEY, deep_plc=False)
    receive.set_gain_db(2, -60)  # before anything was heard of it
    for number in range(20):
        now = Nanos(START + number * 20 * NANOS_PER_MS)
        for chain in (loud, quiet):
            receive.push(chain.push(tone(), now) or b"", now)
        receive.pull_each(now)
        frames = receive.pull_each(Nanos(now + 10 * NANOS_PER_MS))
    assert set(frames) == {1, 2}
    assert np.abs(frames[Ssrc(1)]).max() > 0.1 > 0.001 > np.abs(frames[Ssrc(2)]).max()
    receive.remove_source(1)
    assert [source.ssrc for source in receive.report().sources] == [2]


def test_only_recording_decodes_nothing() -> None:
    receive, send = ReceiveChain(MODE, KEY), talker(1)
    receive.set_decoding(False)
    assert receive.push(send.push(tone(), START) or b"", START) is not None
    assert receive.pull_each(START) == {}
    assert receive.report().sources[0].received == 1


def test_the_level_rides_in_the_header() -> None:
    send, cipher = talker(1), Cipher(MODE, KEY)
    packet = Packet.parse(cipher.open(send.push(tone(amplitude=1.0), START) or b""))
    assert packet.extension is not None
    assert packet.extension.profile == 0xBEDE
    assert packet.extension.body == bytes([0x10, 0x80 | 3, 0, 0]), "a full scale sine is 3 dB below full scale, active"
    send.set_level_extension(False)
    assert Packet.parse(cipher.open(send.push(tone(), START) or b"")).extension is None


def test_reports_tell_loss_and_keep_it_apart_by_time() -> None:
    send, receive = talker(1), ReceiveChain(MODE, KEY)
    for number in range(20):
        datagram = send.push(tone(), START)
        if number % 4 != 1 and datagram is not None:
            receive.push(datagram, START)
    blocks = receive.report_blocks()
    assert [(block.ssrc, block.lost, block.fraction_lost) for block in blocks] == [(1, 5, 64)]
    assert receive.report_blocks()[0].fraction_lost == 0
    compound = Cipher(MODE, KEY).open(send.report_datagram(blocks, START) or b"")
    sender, receiver = parse_compound(compound)
    assert sender.sender is not None and sender.sender.packets == 20
    assert list(receiver.blocks) == blocks
    assert receive.push(send.report_datagram([], START) or b"", START) is None
    assert receive.report().refused == {}


def test_the_mode_without_nonce_sends_no_reports() -> None:
    assert SendChain(1, "xsalsa20_poly1305", KEY).report_datagram([], START) is None


def test_a_poor_link_lowers_the_bitrate() -> None:
    send = SendChain(1, MODE, KEY, bitrate_bps=48_000)
    for second in range(30):
        send.apply(LinkReport(uplink_loss_pct=20), Nanos(START + second * NANOS_PER_SECOND))
    assert send.bitrate_bps == 16_000
    send.apply(LinkReport(uplink_loss_pct=float("nan")), START)
    for second in range(30, 70):
        send.apply(LinkReport(uplink_loss_pct=0, round_trip_ms=30), Nanos(START + second * NANOS_PER_SECOND))
    assert send.bitrate_bps == 48_000


def test_dtx_sends_little_of_silence() -> None:
    send = SendChain(1, MODE, KEY, dtx=True)
    talked = sum(send.push(tone(), START) is not None for _ in range(50))
    quiet = sum(send.push(np.zeros(960, np.float32), START) is not None for _ in range(200))
    assert talked == 50
    assert quiet < 60


def test_music_keeps_its_bass() -> None:
    """40 Hz: of speech it is taken for rumble and left out."""

    def loudness(*, music: bool) -> float:
        send = SendChain(1, MODE, KEY, bitrate_bps=96_000, music=music)
        receive = ReceiveChain(MODE, KEY)
        bass = 0.3 * np.sin(2 * np.pi * 40 * np.arange(96_000, dtype=np.float32) / 48_000)
        heard = []
        for number, frame in enumerate(bass.reshape(-1, 960)):
            now = Nanos(START + number * 20 * NANOS_PER_MS)
            receive.push(send.push(frame, now) or b"", now)
            heard += [receive.pull(Nanos(now + half * 10 * NANOS_PER_MS)) for half in range(2)]
        sounding = slice(24_000, 72_000)
        return float(np.concatenate(heard)[sounding].std() / bass[sounding].std())

    assert loudness(music=True) == pytest.approx(1.0, abs=0.05)
    assert loudness(music=False) < 0.6


def test_sound_that_is_no_number_is_silence() -> None:
    call = VirtualCall()
    call.add(1)
    broken = np.tile(np.array([np.nan, np.inf, 50.0, -0.1], np.float32), 12_000)
    heard = call.run({1: broken})
    assert np.isfinite(heard).all() and np.abs(heard).max() <= 1


@pytest.mark.parametrize("frame", [np.zeros(480, np.float32), np.zeros((960, 2), np.float32), np.zeros(0, np.float32)])
def test_a_frame_of_another_shape_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match="shape"):
        talker(1).push(frame, START)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="mode"):
        SendChain(1, "rot13", KEY)
    with pytest.raises(ValueError, match="32 bytes"):
        ReceiveChain(MODE, KEY[:31])
    with pytest.raises(ValueError, match="encoder"):
        SendChain(1, MODE, KEY, complexity=11)
    with pytest.raises(ValueError, match="larger"):
        ReceiveChain(MODE, KEY, min_target_ms=100, max_target_ms=50)
