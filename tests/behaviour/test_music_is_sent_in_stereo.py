"""Two channels go out, are kept as they are, and come out in a recording; one loudspeaker plays their middle."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from raccall.audio.files import Samples
from raccall.recorder import Event, MemberJoined, Source, Start, Stop, render
from raccall.recorder.events import EventWriter
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.testing.call import KEY, MODE
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, Nanos
from raccall.voice.chains import ReceiveChain, SendChain
from raccall.voice.tap import Packets, TappedPacket

SSRC, START = 7, Nanos(3_600_000_000_000)
LEFT_HZ, RIGHT_HZ = 440, 660
SECONDS = 3


def tone(pitch_hz: float) -> Samples:
    return np.sin(2 * np.pi * pitch_hz * np.arange(SECONDS * 48_000) / 48_000).astype(np.float32)


def amplitude(sound: Samples, pitch_hz: float) -> float:
    """Of that pitch in the second second."""
    part = sound[48_000:96_000]
    return float(np.abs(np.exp(-2j * np.pi * pitch_hz * np.arange(48_000) / 48_000) @ part) * 2 / 48_000)


def call(stereo: Samples) -> tuple[list[TappedPacket], Samples]:
    """What a recorder is given of it, and what a listener hears."""
    send = SendChain(SSRC, MODE, KEY, bitrate_bps=128_000, music=True, channels=2)
    receive = ReceiveChain(MODE, KEY)
    kept, heard = [], []
    for number in range(len(stereo) // FRAME_SAMPLES):
        now = Nanos(START + number * 20 * NANOS_PER_MS)
        datagram = send.push(stereo[number * FRAME_SAMPLES : (number + 1) * FRAME_SAMPLES], now)
        assert datagram is not None
        packet = receive.push(datagram, now)
        assert packet is not None
        kept.append(packet)
        heard += [receive.pull(Nanos(now + half * 10 * NANOS_PER_MS))[:, 0] for half in range(2)]
    return kept, np.concatenate(heard)


def record(folder: Path, packets: list[TappedPacket]) -> None:
    folder.mkdir()
    journal = JournalWriter(folder / "journal.pcapng", TimeBase(START, 1_795_262_400 * 10**9), application="test")
    journal.append(Packets.of(packets).batch)
    journal.close()
    events: list[Event] = [
        Start(
            now=START, wall_ns=1_795_262_400 * 10**9, wall="2026-11-21T12:00:00+00:00", room="lounge", version="test"
        ),
        MemberJoined(now=START, user_id="1", name="anna"),
        Source(now=START, ssrc=SSRC, user_id="1"),
        Stop(now=Nanos(START + SECONDS * 1_000 * NANOS_PER_MS), reason="test"),
    ]
    log = EventWriter(folder / "events.jsonl")
    for event in events:
        log.append(event)
    log.close()


def test_both_channels_are_recorded_and_their_middle_is_heard(tmp_path: Path) -> None:
    packets, heard = call(np.stack([0.4 * tone(LEFT_HZ), 0.2 * tone(RIGHT_HZ)], axis=1))
    record(tmp_path / "call", packets)
    render(tmp_path / "call")
    track, _ = soundfile.read(tmp_path / "call" / "tracks" / "anna.opus", dtype="float32")
    assert track.shape[1] == 2
    left, right = track[:, 0], track[:, 1]
    assert [amplitude(left, LEFT_HZ), amplitude(right, RIGHT_HZ)] == pytest.approx([0.4, 0.2], rel=0.1)
    assert amplitude(left, RIGHT_HZ) < 0.02 and amplitude(right, LEFT_HZ) < 0.02
    assert [amplitude(heard, LEFT_HZ), amplitude(heard, RIGHT_HZ)] == pytest.approx([0.2, 0.1], rel=0.1)
    (anna,) = json.loads((tmp_path / "call" / "summary.json").read_text())["people"]
    assert (anna["lost"], anna["concealed_s"]) == (0, 0.0)


def test_what_both_channels_hold_is_heard_as_loud_as_it_is_and_never_beyond_full_scale() -> None:
    _, heard = call(np.stack([3 * tone(LEFT_HZ), 3 * tone(LEFT_HZ)], axis=1))
    assert np.abs(heard).max() <= 1.0
    _, heard = call(np.stack([0.5 * tone(LEFT_HZ), 0.5 * tone(LEFT_HZ)], axis=1))
    assert amplitude(heard, LEFT_HZ) == pytest.approx(0.5, rel=0.1)


def test_a_loud_channel_takes_the_quiet_one_along() -> None:
    """The limiter moves nothing from one side to the other."""
    packets, heard = call(np.stack([1.5 * tone(LEFT_HZ), 0.3 * tone(RIGHT_HZ)], axis=1))
    assert amplitude(heard, RIGHT_HZ) / amplitude(heard, LEFT_HZ) == pytest.approx(0.2, rel=0.15)
    assert {packet.payload[0] & 0x04 for packet in packets} == {0x04}, "stereo, says each packet"


@pytest.mark.parametrize(
    ("channels", "shape"), [(2, (960,)), (2, (960, 1)), (1, (960, 2)), (2, (1920,)), (2, (2, 960))]
)
def test_a_frame_of_another_shape_is_refused(channels: int, shape: tuple[int, ...]) -> None:
    send = SendChain(SSRC, MODE, KEY, channels=channels)
    with pytest.raises(ValueError, match="shape"):
        send.push(np.zeros(shape, np.float32), START)
