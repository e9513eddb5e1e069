"""The engine's Python face. What its thread does on the network is tested in crates/engine and tests/behaviour."""

import ctypes
import socket
import struct
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from raccall.clock import monotonic_now
from raccall.voice.engine import Engine, Sound, read_stats

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


def test_strange_datagrams_are_counted_by_reason_and_a_closed_tap_ends(relay: socket.socket, engine: Engine) -> None:
    tap = engine.open_tap()
    engine.start(ssrc=77, mode=MODE, key=KEY, sound=None)
    for datagram in (b"", b"short", bytes([0x80, 120]) + bytes(100)):
        relay.sendto(datagram, engine.local_address)
    assert tap.read(60) == []
    engine.close()
    assert tap.read(1000) is None
    assert tap.dropped == 0
    assert sum(read_stats(engine).refused.values()) == 3


def test_wrong_order_and_wrong_values_are_refused(engine: Engine) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        engine.set_muted(True)
    with pytest.raises(ValueError, match="no mode"):
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
    callback(sound.playback_callback_address)(None, played.ctypes.data, None, len(played))
    assert not played.any()
    callback(sound.capture_callback_address)(None, None, played.ctypes.data, len(played))
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
