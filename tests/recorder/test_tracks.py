"""Track files, judged by decoders that are not ours (libsndfile; opusinfo when it is installed)."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from calls import START, Sender, encode, offset_ms, ogg_packets, over_network, speech

from raccall.recorder.ogg import page_checksum
from raccall.recorder.opus_packet import SILENCE_20_MS, packet_samples
from raccall.recorder.timeline import LEAD_IN_SAMPLES, Timeline
from raccall.recorder.tracks import Track
from raccall.voice.tap import Packets, TappedPacket

LENGTH = 12 * 48_000


def write_track(path: Path, packets: list[TappedPacket]) -> Path:
    timeline, track = Timeline(START), Track(path, channels=1, comments={"TITLE": path.stem})
    timeline.push(Packets.of(packets).batch)
    for placed in timeline.finish():
        track.add(placed)
    track.close(LENGTH)
    return path


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_two_tracks_decode_to_what_was_said_when_it_was_said(tmp_path: Path, loss: float) -> None:
    sounds = [speech(8, 1), speech(7, 2)]
    begins_ms = (100.0, 1_337.0)
    offsets = []
    for ssrc, (sound, begin_ms) in enumerate(zip(sounds, begins_ms, strict=True)):
        sender = Sender(ssrc, encode(sound, tmp_path), begin_ms, pauses_ms={150: 700.0})
        packets = over_network([sender], seed=ssrc, loss=loss, jitter_ms=30)
        recorded, rate = soundfile.read(write_track(tmp_path / f"{ssrc}.opus", packets), dtype="float32")
        assert (rate, len(recorded)) == (48_000, LENGTH)
        heard = np.concatenate([sound[: 150 * 960], np.zeros(700 * 48, np.float32), sound[150 * 960 :]])
        at_ms, correlation = offset_ms(recorded, heard)
        assert correlation > (0.9 if loss < 0.1 else 0.7)
        offsets.append(at_ms - begin_ms - 40 - LEAD_IN_SAMPLES / 48)
    assert abs(offsets[0] - offsets[1]) < 5
    assert max(map(abs, offsets)) < 10


def test_received_packets_are_in_the_file_bit_exactly_and_gaps_are_filled(tmp_path: Path) -> None:
    packets = over_network([Sender(1, encode(speech(5, 3), tmp_path), 500.0)], seed=1, loss=0.1, jitter_ms=30)
    path = write_track(tmp_path / "anna.opus", packets)
    in_file = ogg_packets(path.read_bytes())[2:]
    received = [packet.payload for packet in sorted(packets, key=lambda packet: packet.sequence)]
    fillers = [packet for packet in in_file if len(packet) == 1 or packet[1:] == SILENCE_20_MS[1:]]
    assert [packet for packet in in_file if packet not in fillers] == received
    assert sum(packet_samples(packet) or 0 for packet in in_file) >= LENGTH + 312


def test_pages_are_whole_and_granules_never_jump(tmp_path: Path) -> None:
    packets = over_network([Sender(1, encode(speech(5, 3), tmp_path), 500.0)], seed=1, loss=0.1, jitter_ms=30)
    data = write_track(tmp_path / "anna.opus", packets).read_bytes()
    at, granule, flags = 0, 0, []
    while at < len(data):
        segments = data[at + 26]
        size = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        page = bytearray(data[at : at + size])
        stored, page[22:26] = int.from_bytes(page[22:26], "little"), bytes(4)
        assert page_checksum(page) == stored
        now = int.from_bytes(page[6:14], "little")
        assert 0 <= now - granule <= 48_000 + 960
        granule, at = now, at + size
        flags.append(page[5])
    assert (flags[0], flags[-1], set(flags[1:-1])) == (2, 4, {0})
    assert granule == LENGTH + 312


def test_opusinfo_has_no_complaint(tmp_path: Path) -> None:
    opusinfo = shutil.which("opusinfo")
    if not opusinfo:
        pytest.skip("opusinfo is not installed; .ci/run installs it")
    packets = over_network([Sender(1, encode(speech(5, 3), tmp_path), 500.0)], seed=1, loss=0.2, jitter_ms=30)
    path = write_track(tmp_path / "anna.opus", packets)
    said = subprocess.run([opusinfo, path], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "WARNING" not in said.stdout + said.stderr
    assert "TITLE=anna" in said.stdout


def test_a_long_pause_is_silent_and_a_short_one_is_concealed(tmp_path: Path) -> None:
    encoded = encode(speech(4, 5), tmp_path)
    sender = Sender(1, encoded, pauses_ms={60: 3000.0})
    path = write_track(tmp_path / "anna.opus", over_network([sender], seed=1))
    in_file = ogg_packets(path.read_bytes())[2:]
    after = in_file.index(encoded[59]) + 1
    assert all(len(packet) == 1 for packet in in_file[after : after + 50])
    assert in_file[after + 50] == SILENCE_20_MS
    recorded, _ = soundfile.read(path, dtype="float32")
    pause = LEAD_IN_SAMPLES + 40 * 48 + 60 * 960 + 312
    assert np.abs(recorded[pause + 60_000 : pause + 140_000]).max() < 1e-3
