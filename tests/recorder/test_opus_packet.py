"""Lengths and framing of Opus packets, without a decoder."""

import pytest

from raccall.recorder.opus_packet import (
    SILENCE_20_MS,
    concealing_packets,
    frame_samples,
    is_stereo,
    packet_samples,
    silent_packets,
)


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        (SILENCE_20_MS, 960),
        (b"\x78", 960),  # TOC only, hybrid
        (b"\x08" + bytes(10), 960),  # SILK 20 ms
        (b"\x18" + bytes(10), 2880),  # SILK 60 ms
        (b"\xe0" + bytes(4), 120),  # CELT 2.5 ms
        (b"\xf9" + bytes(4), 1920),  # two equal frames
        (b"\xfa\x03" + bytes(3 + 5), 1920),  # two frames, the first of three bytes
        (b"\xfb\x03" + bytes(9), 2880),  # three equal frames
        (b"\xfb\x83\x01\x02" + bytes(3 + 7), 2880),  # three frames with lengths
        (b"\xfb\x42\x02" + bytes(4 + 2), 1920),  # two frames and two bytes of padding
    ],
)
def test_length_of_whole_packets(payload: bytes, samples: int) -> None:
    assert packet_samples(payload) == samples


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xf9" + bytes(3),  # two equal frames of 1.5 bytes
        b"\xfa",  # no length
        b"\xfa\x09" + bytes(3),  # longer than the packet
        b"\xfa\xff",  # half a length
        b"\xfb",  # no count
        b"\xfb\x00" + bytes(4),  # no frame
        b"\xfb\x07" + bytes(7),  # 140 ms
        b"\xfb\x02" + bytes(3),  # unequal equal frames
        b"\xfb\x42\xff",  # padding without end
        b"\xfb\x42\x09" + bytes(4),  # more padding than packet
        b"\xfb\x82\xf0" + bytes(4),  # first frame longer than packet
        b"\x78" + bytes(1276),  # frame too long
    ],
)
def test_broken_framing_is_refused(payload: bytes) -> None:
    assert packet_samples(payload) is None


def test_fillers_last_as_long_as_asked_on_the_grid() -> None:
    for toc in range(0, 256, 4):
        for samples in (0, 120, 360, 960, 2880 + 840, 48_000):
            for packets in (list(concealing_packets(toc, samples)), list(silent_packets(samples))):
                assert sum(length for _, length in packets) == samples
                assert all(packet_samples(packet) == length for packet, length in packets)
        assert frame_samples(toc) % 120 == 0
    assert is_stereo(list(concealing_packets(0xFC, 1080))[-1][0])
    with pytest.raises(ValueError, match="grid"):
        list(silent_packets(100))
