"""Sound files as other programs read them: libsndfile, and sox and opusinfo where they are installed."""

import resource
import shutil
import struct
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from calls import Sound, offset_ms, speech

from raccall.errors import InputError, StorageError
from raccall.recorder.export.formats import Depth, Format, check_depth, open_sound

EXACT = [(Format.WAV, depth) for depth in Depth] + [(Format.FLAC, Depth.INT_16), (Format.FLAC, Depth.INT_24)]
LOSSY = [(Format.MP3, Depth.INT_16), (Format.OPUS, Depth.INT_16), (Format.OGG, Depth.INT_16)]
STEP = {Depth.INT_16: 2**-15, Depth.INT_24: 2**-23, Depth.FLOAT: 0.0}


def write(path: Path, format: Format, sound: Sound, depth: Depth = Depth.INT_16, **options: int) -> Path:
    """In pieces of an odd length."""
    frames = sound.reshape(len(sound), -1)
    channels = frames.shape[1]
    tags = {"title": "Zoë", "album": "lounge", "date": "2026-11-21"}
    out = open_sound(path, format, depth=depth, channels=channels, frames=len(sound), tags=tags, **options)
    with closing(out):
        for at in range(0, len(frames), 7_777):
            piece = frames[at : at + 7_777]
            out.write((piece * 32_768).round().clip(-32_768, 32_767).astype(np.int16) if out.int16 else piece)
        out.finish()
    return path


def read(path: Path) -> Sound:
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == 48_000
    return sound


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("format", "depth"), EXACT)
def test_lossless_formats_give_back_what_went_in(tmp_path: Path, format: Format, depth: Depth, channels: int) -> None:
    sound = speech(0.3, 1)[:14_321]
    frames = sound if channels == 1 else np.stack([sound, -0.5 * sound], axis=1)
    found = read(write(tmp_path / f"a.{format}", format, frames, depth))
    assert found.shape == frames.shape
    assert np.abs(found - frames).max() <= STEP[depth]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("format", "depth"), LOSSY)
def test_lossy_formats_keep_length_and_place(tmp_path: Path, format: Format, depth: Depth, channels: int) -> None:
    sound = speech(2, 1)[:90_001]
    frames = sound if channels == 1 else np.stack([sound, 0.5 * sound], axis=1)
    found = read(write(tmp_path / f"a.{format}", format, frames, depth))
    assert found.shape == frames.shape
    left = found if channels == 1 else found[:, 0]
    offset, correlation = offset_ms(left, sound)
    assert abs(offset) < 0.1
    assert correlation > 0.98


@pytest.mark.parametrize("format", list(Format))
def test_players_are_told_whose_sound_it_is(tmp_path: Path, format: Format) -> None:
    with soundfile.SoundFile(write(tmp_path / f"a.{format}", format, speech(0.1, 1))) as file:
        assert file.title == "Zoë"
        assert file.album == "lounge"
        assert file.date.startswith("2026")


@pytest.mark.skipif(not shutil.which("soxi"), reason="sox is not installed")
@pytest.mark.parametrize("format", [Format.WAV, Format.FLAC, Format.OGG])
def test_sox_reads_the_same_length(tmp_path: Path, format: Format) -> None:
    path = write(tmp_path / f"a.{format}", format, speech(1, 1)[:40_003])
    assert subprocess.run(["soxi", "-s", path], capture_output=True, text=True, check=True).stdout.strip() == "40003"


@pytest.mark.skipif(not shutil.which("opusinfo"), reason="opus-tools is not installed")
def test_opusinfo_finds_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "a.opus", Format.OPUS, speech(2.5, 1))
    told = subprocess.run(["opusinfo", path], capture_output=True, text=True, check=True).stdout
    assert "Playback length: 0m:02.500s" in told
    assert "WARNING" not in told


def test_sound_of_more_than_4_gib_is_rf64(tmp_path: Path) -> None:
    sound = speech(0.5, 1)
    path = write(tmp_path / "a.wav", Format.WAV, sound, max_riff_bytes=len(sound) * 2 - 1)
    head = path.read_bytes()[:48]
    assert (head[:4], head[8:16]) == (b"RF64", b"WAVEds64")
    assert struct.unpack("<I", head[4:8])[0] == 0xFFFFFFFF  # "look into ds64": EBU Tech 3306
    _, riff_bytes, data_bytes, samples = struct.unpack("<IQQQ", head[16:44])
    assert riff_bytes == path.stat().st_size - 8
    assert (data_bytes, samples) == (len(sound) * 2, len(sound))
    assert np.abs(read(path) - sound).max() <= STEP[Depth.INT_16]
    just_fits = write(tmp_path / "b.wav", Format.WAV, sound, max_riff_bytes=len(sound) * 2)
    assert just_fits.read_bytes()[:4] == b"RIFF"


@pytest.mark.parametrize("hours", [6, 7])
def test_the_border_to_rf64_lies_at_4_gib(tmp_path: Path, hours: int) -> None:
    frames = hours * 3600 * 48_000  # 32 bits: 4.15 and 4.84 billion bytes
    out = open_sound(tmp_path / "a.wav", Format.WAV, depth=Depth.FLOAT, channels=1, frames=frames, tags={})
    out.close()
    assert (tmp_path / "a.wav").read_bytes()[:4] == (b"RIFF" if hours == 6 else b"RF64")


@pytest.mark.parametrize("format", list(Format))
def test_a_full_disk_is_told(tmp_path: Path, format: Format) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 20 * 48_000).astype(np.float32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises((OSError, StorageError)):
            write(tmp_path / f"a.{format}", format, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_floating_point_is_for_wav_only() -> None:
    check_depth(Format.WAV, Depth.FLOAT)
    with pytest.raises(InputError) as caught:
        check_depth(Format.FLAC, Depth.FLOAT)
    assert caught.value.code == "depth_unsupported"
