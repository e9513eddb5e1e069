"""The engine from Python: alone with a silent media port, and in a call through the relay."""

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

import raccall.testing
from raccall._native import Cipher, Relay
from raccall.clock import monotonic_now
from raccall.testing.intelligibility import intelligibility
from raccall.voice.engine import Engine, Sound, read_stats
from raccall.wire.packet import Packet

pytestmark = pytest.mark.realtime

KEY = bytes(range(32))
MODE = "aead_aes256_gcm_rtpsize"


@pytest.fixture
def relay() -> Iterator[socket.socket]:
    """A media port that says nothing unless a test makes it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(5)
        yield peer


@pytest.fixture
def engine(relay: socket.socket) -> Iterator[Engine]:
    engine = Engine(relay.getsockname())
    yield engine
    engine.close()


def test_discovery_returns_the_address_that_the_relay_tells(relay: socket.socket, engine: Engine) -> None:
    def answer() -> None:
        _, address = relay.recvfrom(100)
        relay.sendto(struct.pack(">HHI64sH", 2, 70, 77, b"192.0.2.9", 40000), address)

    answering = threading.Thread(target=answer)
    answering.start()
    assert engine.discover(77) == ("192.0.2.9", 40000)
    answering.join()


def test_a_silent_media_port_is_a_timeout_with_a_sentence(engine: Engine) -> None:
    with pytest.raises(TimeoutError, match="UDP may be blocked"):
        engine.discover(77, timeout_ms=20)


def test_a_clocked_sound_is_sent_as_voice_packets_of_20_ms(relay: socket.socket, engine: Engine) -> None:
    before = monotonic_now()
    sound = Sound.clocked(np.full(960 * 3, 0.1, dtype=np.float32), keep_playback=True)
    engine.start(ssrc=77, mode=MODE, key=KEY, sound=sound)
    packets: list[bytes] = []
    while len(packets) < 4:
        datagram = relay.recv(2000)
        if datagram[1] & 0x7F == 120:
            packets.append(datagram)
    engine.close()
    headers = [struct.unpack_from(">BBHII", packet) for packet in packets]
    assert {ssrc for *_, ssrc in headers} == {77}
    assert [(header[2] - headers[0][2]) % 2**16 for header in headers] == [0, 1, 2, 3]
    assert [(header[3] - headers[0][3]) % 2**32 for header in headers] == [0, 960, 1920, 2880]
    stats = read_stats(engine)
    assert (stats.sent_packets, stats.received_packets, stats.sources) == (4, 0, ())
    assert stats.first_sent is not None and before < stats.first_sent < monotonic_now()
    assert sound.capture_done
    played = sound.read_playback()
    assert played.dtype == np.float32 and len(played) >= 960 * 3 and not played.any()


@pytest.mark.parametrize(("channels", "stereo_bit"), [(1, 0), (2, 4)])
def test_a_clocked_sound_is_sent_in_its_channels(
    relay: socket.socket, engine: Engine, channels: int, stereo_bit: int
) -> None:
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (960 * 5, channels)).astype(np.float32)
    sound = Sound.clocked(noise, keep_playback=False)
    engine.start(ssrc=77, mode=MODE, key=KEY, sound=sound, bitrate_bps=128_000, music=True)
    cipher, payloads = Cipher(MODE, KEY), []
    while len(payloads) < 6:
        datagram = relay.recv(2000)
        if datagram[1] & 0x7F == 120:
            payloads.append(Packet.parse(cipher.open(datagram)).payload)
    assert {payload[0] & 4 for payload in payloads[1:5]} == {stereo_bit}
    assert payloads[5] == b"\xf8\xff\xfe", "spoken once, whatever the channels"


def test_sound_of_another_shape_is_refused() -> None:
    for shape in ((960, 3), (2, 2, 2)):
        with pytest.raises(ValueError, match="shape"):
            Sound.clocked(np.zeros(shape, np.float32), keep_playback=False)


def test_of_silence_next_to_nothing_is_sent_if_asked(relay: socket.socket) -> None:
    sent = {}
    for dtx in (False, True):
        engine = Engine(relay.getsockname())
        sound = Sound.clocked(np.zeros(960 * 40, dtype=np.float32), keep_playback=False)
        engine.start(ssrc=77, mode=MODE, key=KEY, sound=sound, dtx=dtx)
        wait_until(lambda sound=sound: sound.capture_done)
        engine.close()
        sent[dtx] = read_stats(engine).sent_packets
    assert sent[False] == 41, "the last one says that nothing follows"
    assert 1 <= sent[True] < 20


def test_strange_datagrams_are_counted_by_reason_and_a_closed_tap_ends(relay: socket.socket, engine: Engine) -> None:
    tap = engine.open_tap()
    engine.start(ssrc=77, mode=MODE, key=KEY, sound=None)
    for datagram in (b"", b"short", bytes([0x80, 120]) + bytes(100)):
        relay.sendto(datagram, engine.local_address)
    wait_until(lambda: sum(read_stats(engine).refused.values()) == 3)
    batch = tap.read(0)
    assert batch is not None and len(batch) == 0
    engine.close()
    assert tap.read(1000) is None
    assert tap.dropped == 0
    assert sum(read_stats(engine).refused.values()) == 3


def test_wrong_order_and_wrong_values_are_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="unknown transport mode"):
        engine.start(ssrc=1, mode="rot13", key=KEY, sound=None)
    with pytest.raises(ValueError, match="32 bytes"):
        engine.start(ssrc=1, mode=MODE, key=b"short", sound=None)
    with pytest.raises(ValueError, match="encoder"):
        engine.start(ssrc=1, mode=MODE, key=KEY, sound=None, complexity=11)
    sound = Sound.clocked(None, keep_playback=False)
    engine.start(ssrc=1, mode=MODE, key=KEY, sound=sound)
    with pytest.raises(RuntimeError, match="running already"):
        engine.start(ssrc=1, mode=MODE, key=KEY, sound=None)
    other = Engine(engine.local_address)
    with pytest.raises(ValueError, match="belongs to an engine"):
        other.start(ssrc=2, mode=MODE, key=KEY, sound=sound)
    other.close()
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.set_gain_db(5, -6.0)


def test_a_device_sound_is_silent_while_no_engine_plays() -> None:
    sound = Sound.device()
    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
    played = np.ones(480, dtype=np.float32)

    def call() -> None:
        callback(sound.playback_callback_address)(None, played.ctypes.data, None, len(played))
        callback(sound.capture_callback_address)(None, None, played.ctypes.data, len(played))

    card = threading.Thread(target=call)  # in real time from now on
    card.start()
    card.join()
    assert not played.any()
    assert (sound.capture_callbacks, sound.playback_callbacks) == (1, 1)
    with pytest.raises(ValueError, match="not kept"):
        sound.read_playback()
    with pytest.raises(ValueError, match="no callbacks"):
        _ = Sound.clocked(None, keep_playback=False).playback_callback_address


def test_only_sixteen_device_sounds_are_open_at_once_and_dropped_ones_make_room() -> None:
    sounds = [Sound.device() for _ in range(16)]
    assert len({sound.playback_callback_address for sound in sounds}) == 16
    with pytest.raises(RuntimeError, match="close one first"):
        Sound.device()
    del sounds[3]
    sounds.append(Sound.device())


class Call:
    """Members of one room on a relay of their own; everyone hears everyone else."""

    def __init__(self) -> None:
        self.relay = Relay([("127.0.0.1", 0)])
        self.engines: dict[int, Engine] = {}

    def join(self, ssrc: int, sound: Sound | None, mode: str = MODE) -> Engine:
        key = bytes([ssrc] * 32)
        self.relay.add_session(ssrc, ssrc, mode, key)
        engine = self.engines[ssrc] = Engine(self.relay.addresses[0])
        for member in self.engines:
            self.relay.set_route(member, [other for other in self.engines if other != member])
        address = engine.discover(ssrc)
        assert address == engine.local_address
        self.relay.set_address(ssrc, address, proven=True)
        engine.start(ssrc=ssrc, mode=mode, key=key, sound=sound, complexity=5)
        return engine

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()
        self.relay.stop()


@pytest.fixture
def call() -> Iterator[Call]:
    call = Call()
    yield call
    call.close()


def speech() -> npt.NDArray[np.float32]:
    """One second out of the middle of a sentence."""
    path = Path(raccall.testing.__path__[0]) / "speech" / "anna_1.flac"
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(samples, rate_hz, 48_000)[48_000:96_000], dtype=np.float32)


def tone(hz: float, seconds: float = 1.0) -> npt.NDArray[np.float32]:
    return (0.2 * np.sin(2 * np.pi * hz * np.arange(int(48_000 * seconds)) / 48_000)).astype(np.float32)


def wait_until(done: Callable[[], bool]) -> None:
    """Wait for what the native threads do, at most 5 s."""
    end = time.monotonic() + 5
    while not done():
        assert time.monotonic() < end, "waited 5 s in vain"
        time.sleep(0.005)


def amplitude(samples: npt.NDArray[np.float32], hz: float) -> float:
    """Of one frequency, over the loudest 300 ms."""
    length = 14_400
    wave = np.exp(-2j * np.pi * hz * np.arange(length) / 48_000)
    starts = range(0, len(samples) - length, 2400)
    return max(float(2 * np.abs((samples[start : start + length] * wave).sum()) / length) for start in starts)


def test_speech_goes_from_microphone_through_the_relay_to_the_speaker(call: Call) -> None:
    said = speech()
    microphone, speaker = Sound.clocked(said, keep_playback=False), Sound.clocked(None, keep_playback=True)
    listener = call.join(2, speaker)
    talker = call.join(1, microphone)
    wait_until(lambda: microphone.capture_done and listener.stats()["received_packets"] == 51)
    wait_until(lambda: not listener.stats()["sources"][0]["talking"])
    call.close()
    assert intelligibility(said, speaker.read_playback()) > 0.8
    stats = read_stats(listener)
    assert [(source.ssrc, source.lost, source.concealed) for source in stats.sources] == [(1, 0, 0)]
    assert stats.sent_packets == 0
    assert read_stats(talker).sent_packets == 51


def test_two_talkers_are_mixed_and_each_has_a_volume(call: Call) -> None:
    speaker = Sound.clocked(None, keep_playback=True)
    listener = call.join(3, speaker)
    listener.set_gain_db(2, -12.0)
    sounds = {ssrc: Sound.clocked(tone(hz), keep_playback=False) for ssrc, hz in {1: 400.0, 2: 1000.0}.items()}
    for ssrc, sound in sounds.items():
        call.join(ssrc, sound)
    wait_until(lambda: all(sound.capture_done for sound in sounds.values()))
    call.close()
    heard = speaker.read_playback()
    assert amplitude(heard, 400.0) == pytest.approx(0.2, rel=0.15)
    assert amplitude(heard, 1000.0) == pytest.approx(0.05, rel=0.25)
    assert amplitude(heard, 3000.0) < 0.01


@pytest.mark.parametrize("mode", ["aead_xchacha20_poly1305_rtpsize", "xsalsa20_poly1305_lite"])
def test_members_with_different_modes_hear_each_other(call: Call, mode: str) -> None:
    speaker, microphone = Sound.clocked(None, keep_playback=True), Sound.clocked(tone(500.0, 0.5), keep_playback=False)
    call.join(2, speaker)
    call.join(1, microphone, mode)
    wait_until(lambda: microphone.capture_done)
    wait_until(lambda: call.engines[2].stats()["received_packets"] == 26)
    call.close()
    assert amplitude(speaker.read_playback(), 500.0) == pytest.approx(0.2, rel=0.15)


def test_a_tap_hands_out_every_packet_with_the_time_of_its_arrival(call: Call) -> None:
    before = monotonic_now()
    recorder = call.join(9, None)
    tap = recorder.open_tap()
    talker = call.join(1, Sound.clocked(tone(500.0, 0.5), keep_playback=False))
    packets: list[tuple[int, int, int, int, bytes]] = []
    while len(packets) < 26:
        batch = tap.read(5000)
        assert batch
        packets += batch
    arrivals, ssrcs, sequences, timestamps, rtp = zip(*packets, strict=True)
    assert set(ssrcs) == {1}
    assert [sequence - sequences[0] for sequence in sequences] == list(range(26))
    assert [timestamp - timestamps[0] for timestamp in timestamps] == [960 * number for number in range(26)]
    assert list(arrivals) == sorted(arrivals) and before < arrivals[0] and arrivals[-1] < monotonic_now()
    assert all(struct.unpack_from(">I", packet, 8) == (1,) for packet in rtp)
    call.close()
    assert tap.read(0) is None and tap.dropped == 0
    first_sent = read_stats(talker).first_sent
    assert first_sent is not None and abs(arrivals[0] - first_sent) < 50_000_000
    assert read_stats(recorder).sources[0].concealed == 0


def test_the_relay_reports_loss_and_round_trip(call: Call) -> None:
    engine = call.join(1, None)
    wait_until(lambda: engine.stats()["round_trip_ms"] is not None)
    stats = read_stats(engine)
    assert stats.uplink_loss_pct == 0.0
    assert stats.round_trip_ms is not None and 0 <= stats.round_trip_ms < 500


def test_a_pause_by_muting_shows_in_timestamps_and_not_in_sequence_numbers(call: Call) -> None:
    tap = call.join(9, None).open_tap()
    talker = call.join(1, Sound.clocked(tone(500.0, 3.0), keep_playback=False))
    before = [tap.read(5000)]
    talker.set_muted(True)
    while before[-1]:
        before.append(tap.read(100))
    talker.set_muted(False)
    batch = tap.read(5000)
    assert batch
    first = batch[0]
    last = [packet for batch in before for packet in batch or []][-1]
    assert first[2] == last[2] + 1
    assert (first[3] - last[3]) % 960 == 0 and first[3] - last[3] >= 5 * 960
    assert first[4][1] & 0x80, "the marker tells that speech begins anew"
