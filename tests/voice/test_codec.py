"""The typed face of libopus, checked by itself and by a decoder that is not ours (libsndfile's own libopus)."""

import io
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from raccall.testing.call import KEY, MODE
from raccall.units import Nanos
from raccall.voice import Application, Decoder, Encoder, OpusError, payload_has_lbrr, payload_samples
from raccall.voice.chains import ReceiveChain, SendChain
from raccall.voice.codec import libopus_version

SPEECH = sorted((Path(__file__).parents[2] / "src/raccall/testing/speech").glob("*.flac"))[0]
FRAME = 960
LOST = slice(40, 140, 5)


def speech() -> NDArray[np.float32]:
    """Three seconds of the project's own speech, mono at 48 kHz, in frames of 20 ms: (150, 960)."""
    sound, rate_hz = soundfile.read(SPEECH, dtype="float32", always_2d=True)
    positions = np.arange(150 * FRAME) * rate_hz / 48_000
    mono = np.interp(positions, np.arange(len(sound)), sound.mean(axis=1))
    return mono.astype(np.float32).reshape(-1, FRAME)


def energy(sound: NDArray[np.float32]) -> float:
    return float(np.sum(np.square(sound, dtype=np.float64)))


def ogg_opus(payloads: list[bytes], pre_skip: int) -> bytes:
    """The smallest Ogg Opus file (RFC 3533, RFC 7845), one payload a page, so that another decoder can read it."""
    table = []
    for index in range(256):
        value = index << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x8000_0000 else 0)
        table.append(value & 0xFFFF_FFFF)

    def page(number: int, flags: int, granule: int, body: bytes) -> bytes:
        lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
        header = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 1, number, 0, len(lacing)) + lacing
        crc = 0
        for byte in header + body:
            crc = ((crc << 8) & 0xFFFF_FFFF) ^ table[(crc >> 24) ^ byte]
        return header[:22] + struct.pack("<I", crc) + header[26:] + body

    head = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, pre_skip, 48_000, 0, 0)
    tags = struct.pack("<8sI4sI", b"OpusTags", 4, b"test", 0)
    pages = [page(0, 2, 0, head), page(1, 0, 0, tags)]
    for index, payload in enumerate(payloads):
        last = index == len(payloads) - 1
        pages.append(page(index + 2, 4 if last else 0, (index + 1) * FRAME, payload))
    return b"".join(pages)


def test_the_library_inside_is_modern() -> None:
    assert libopus_version() == "libopus 1.6.1"


def test_another_decoder_hears_the_same() -> None:
    encoder, decoder = Encoder(bitrate_bps=32_000), Decoder()
    payloads = [encoder.encode(frame) for frame in speech()]
    ours = np.concatenate([decoder.decode(payload) for payload in payloads])[:, 0]
    skip = encoder.lookahead_samples
    theirs, rate_hz = soundfile.read(io.BytesIO(ogg_opus(payloads, skip)), dtype="float32")
    assert rate_hz == 48_000
    assert np.abs(ours[skip : skip + len(theirs)] - theirs).max() < 1e-6
    said = speech().ravel()[: len(theirs)]
    assert np.corrcoef(theirs, said)[0, 1] > 0.8


def test_another_decoder_passes_over_redundancy() -> None:
    send, keep = SendChain(1, MODE, KEY, bitrate_bps=64_000, expected_loss_pct=20, dred_ms=500), ReceiveChain(MODE, KEY)
    datagrams = [send.push(frame, Nanos(number)) or b"" for number, frame in enumerate(speech())]
    payloads = [packet.payload for datagram in datagrams if (packet := keep.push(datagram, Nanos(0)))]
    assert len(payloads) == len(datagrams)
    assert sum(payload[0] & 3 == 3 for payload in payloads) > len(payloads) / 2, "they carry something behind the sound"
    decoder, skip = Decoder(), Encoder().lookahead_samples
    ours = np.concatenate([decoder.decode(payload) for payload in payloads])[:, 0]
    theirs, _ = soundfile.read(io.BytesIO(ogg_opus(payloads, skip)), dtype="float32")
    assert np.abs(ours[skip : skip + len(theirs)] - theirs).max() < 1e-6


@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("application", list(Application))
@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60])
def test_every_frame_comes_back_as_long_as_it_went_in(
    rate_hz: int, channels: int, application: Application, frame_ms: float
) -> None:
    samples = int(rate_hz * frame_ms / 1000)
    frame = np.full((samples, channels), 0.25, dtype=np.float32)
    encoder, decoder = Encoder(rate_hz, channels, application), Decoder(rate_hz, channels)
    payload = encoder.encode(frame)
    assert payload_samples(payload, rate_hz) == samples
    sound = decoder.decode(payload)
    assert sound.shape == (samples, channels)
    assert sound.dtype == np.float32
    assert encoder.final_range == decoder.final_range


def test_960_samples_at_16_khz_last_60_ms_not_20() -> None:
    payload = Encoder(16_000).encode(np.zeros(960, np.float32))
    assert payload_samples(payload, 48_000) == 48 * 60


def test_mono_may_be_flat_and_int16_equals_float() -> None:
    whole = (speech()[60] * 32768).astype(np.int16)
    same = whole.astype(np.float32) / 32768
    payloads = {Encoder().encode(frame) for frame in (whole, same, whole[:, None], same[:, None])}
    assert len(payloads) == 1
    payload = payloads.pop()
    as_int = Decoder().decode_int16(payload)
    assert as_int.dtype == np.int16
    assert as_int.shape == (FRAME, 1)
    assert np.abs(as_int / 32768 - Decoder().decode(payload)).max() < 2 / 32768


def test_a_strided_frame_is_read_in_its_own_order() -> None:
    left, right = speech()[60], speech()[61]
    by_channel = np.stack([left, right])
    interleaved = np.ascontiguousarray(by_channel.T)
    assert Encoder(channels=2).encode(by_channel.T) == Encoder(channels=2).encode(interleaved)


def decoded(payloads: list[bytes], decoder: Decoder, *, lose: slice, lbrr: bool) -> NDArray[np.float32]:
    lost = set(range(len(payloads))[lose])
    frames = []
    for index, payload in enumerate(payloads):
        if index not in lost:
            frames.append(decoder.decode(payload))
        elif lbrr:
            frames.append(decoder.decode_lbrr(payloads[index + 1], FRAME))
        else:
            frames.append(decoder.conceal(FRAME))
    return np.array(frames)[..., 0]


def test_lbrr_repairs_lost_speech() -> None:
    encoder = Encoder(bitrate_bps=32_000, expected_loss_pct=20, lbrr=True)
    payloads = [encoder.encode(frame) for frame in speech()]
    assert sum(map(payload_has_lbrr, payloads)) > 50
    clean = decoded(payloads, Decoder(), lose=slice(0), lbrr=False)
    repaired = decoded(payloads, Decoder(), lose=LOST, lbrr=True)
    concealed = decoded(payloads, Decoder(), lose=LOST, lbrr=False)
    assert energy((repaired - clean)[LOST]) < 0.7 * energy((concealed - clean)[LOST])

    plain = Encoder(bitrate_bps=32_000)
    assert not any(payload_has_lbrr(plain.encode(frame)) for frame in speech())


def test_deep_concealment_is_another_than_the_classic() -> None:
    encoder = Encoder(bitrate_bps=32_000)
    payloads = [encoder.encode(frame) for frame in speech()]
    deep = decoded(payloads, Decoder(deep_plc=True), lose=LOST, lbrr=False)
    classic = decoded(payloads, Decoder(deep_plc=False), lose=LOST, lbrr=False)
    assert np.array_equal(deep[: LOST.start], classic[: LOST.start])
    assert energy((deep - classic)[LOST]) > 0.1 * energy(classic[LOST])


def test_the_int16_twins_conceal_and_repair_alike() -> None:
    encoder = Encoder(expected_loss_pct=20, lbrr=True)
    payloads = [encoder.encode(frame) for frame in speech()[:60]]
    by_float, by_int = Decoder(), Decoder()
    for payload in payloads[:58]:
        by_float.decode(payload)
        by_int.decode_int16(payload)
    for ours, twin in (
        (by_float.decode_lbrr(payloads[59], FRAME), by_int.decode_lbrr_int16(payloads[59], FRAME)),
        (by_float.conceal(480), by_int.conceal_int16(480)),
    ):
        assert twin.shape == ours.shape
        assert np.abs(twin / 32768 - np.clip(ours, -1, 1)).max() < 2 / 32768


def test_dtx_writes_next_to_nothing_in_silence() -> None:
    encoder = Encoder(dtx=True)
    for frame in speech()[:50]:
        encoder.encode(frame)
    sizes = [len(encoder.encode(np.zeros(FRAME, np.float32))) for _ in range(100)]
    assert sum(size <= 2 for size in sizes) > 80


def test_settings_change_between_frames() -> None:
    encoder = Encoder(bitrate_bps=64_000, complexity=10)
    rich = sum(len(encoder.encode(frame)) for frame in speech())
    encoder.set_bitrate(12_000)
    encoder.set_complexity(0)
    poor = sum(len(encoder.encode(frame)) for frame in speech())
    assert poor < rich / 3


def test_reset_starts_anew() -> None:
    encoder, decoder = Encoder(), Decoder()
    payloads = [encoder.encode(frame) for frame in speech()[:10]]
    sound = [decoder.decode(payload) for payload in payloads]
    encoder.reset()
    decoder.reset()
    assert [encoder.encode(frame) for frame in speech()[:10]] == payloads
    assert np.array_equal([decoder.decode(payload) for payload in payloads], sound)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: Encoder(44_100), -1),
        (lambda: Encoder(-1), -1),
        (lambda: Encoder(channels=3), -1),
        (lambda: Encoder(channels=0), -1),
        (lambda: Encoder(channels=257), -1),
        (lambda: Encoder(bitrate_bps=0), -1),
        (lambda: Encoder(bitrate_bps=1 << 40), -1),
        (lambda: Encoder(complexity=11), -1),
        (lambda: Encoder(complexity=256), -1),
        (lambda: Encoder(expected_loss_pct=101), -1),
        (lambda: Encoder().encode(np.zeros(123, np.float32)), -1),
        (lambda: Encoder().encode(np.zeros(0, np.float32)), -1),
        (lambda: Decoder(22_050), -1),
        (lambda: Decoder().conceal(100), -1),
        (lambda: Decoder().conceal(0), -1),
        (lambda: Decoder().conceal(-960), -1),
        (lambda: Decoder().conceal(1 << 40), -1),
        (lambda: Decoder().decode(b""), -4),
        (lambda: Decoder().decode(b"\xff\xff\xff"), -4),
        (lambda: Decoder().decode_lbrr(b"", 960), -4),
        (lambda: payload_samples(b""), -4),
        (lambda: payload_samples(b"\x00", 44_100), -1),
        (lambda: payload_has_lbrr(b""), -4),
    ],
)
def test_a_refusal_carries_libopus_code_and_a_sentence(call: object, code: int) -> None:
    with pytest.raises(OpusError, match=r"^cannot .+: .+ \(libopus error -\d\)$") as caught:
        call()  # type: ignore[operator]
    assert caught.value.code == code
    assert isinstance(caught.value, ValueError)


def test_a_wrong_array_is_said_plainly() -> None:
    with pytest.raises(TypeError, match=r"float32 .* or of int16"):
        Encoder().encode(np.zeros(FRAME))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"float32 .* or of int16"):
        Encoder().encode(b"\0" * 1920)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(frames, 2\), this one \[960\]"):
        Encoder(channels=2).encode(np.zeros(FRAME, np.float32))
    with pytest.raises(ValueError, match=r"shape \(frames, 1\), this one \[960, 2\]"):
        Encoder().encode(np.zeros((FRAME, 2), np.float32))
    with pytest.raises(ValueError, match="voip, audio or lowdelay"):
        Encoder(application="video")


def test_hostile_payloads_raise_opus_error_or_sound() -> None:
    random = np.random.default_rng(20)
    decoder = Decoder()
    good = Encoder().encode(speech()[60])
    for _ in range(2000):
        payload = random.bytes(int(random.integers(0, 60)))
        try:
            sound = decoder.decode(payload)
        except OpusError as error:
            assert error.code == -4
        else:
            assert np.isfinite(sound).all()
    assert decoder.decode(good).shape == (FRAME, 1)


def test_threads_may_share_one_decoder() -> None:
    payload = Encoder().encode(speech()[60])
    decoder = Decoder()
    shapes: list[tuple[int, ...]] = []
    threads = [
        threading.Thread(target=lambda: shapes.extend(decoder.decode(payload).shape for _ in range(200)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == [(FRAME, 1)] * 800
