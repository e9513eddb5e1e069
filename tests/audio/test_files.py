"""Reading what people have, writing what they hear."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from raccall.audio import files
from raccall.audio.files import SoundWriter, read_samples
from raccall.errors import InputError, StorageError


def tone(seconds: float, rate_hz: int, pitch_hz: float = 440.0) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "FLOAT"), ("a.flac", "PCM_24")])
def test_48_khz_mono_comes_as_it_is(tmp_path: Path, name: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, tone(3, 48_000), 48_000, subtype)
    samples = read_samples(tmp_path / name)
    assert samples.dtype == np.float32
    assert samples.shape == (3 * 48_000,)
    assert np.abs(samples - tone(3, 48_000)).max() < 1 / 32768


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 96_000])
def test_every_rate_becomes_48_khz_without_a_shift(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(4, rate_hz), rate_hz, "FLOAT")
    samples = read_samples(tmp_path / "a.wav")
    assert len(samples) == 4 * 48_000
    inside = slice(4800, -4800)  # the ends ring a little
    assert np.abs(samples - tone(4, 48_000))[inside].max() < 1e-3


def test_a_long_file_is_read_in_blocks_that_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3).uniform(-0.5, 0.5, 50_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", random, 44_100, "FLOAT")
    at_once = read_samples(tmp_path / "a.wav", 16_000)
    monkeypatch.setattr(files, "BLOCK_FRAMES", 1000)  # 50 whole blocks: the last read is empty
    assert np.abs(read_samples(tmp_path / "a.wav", 16_000) - at_once).max() < 1e-6


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = tone(1, 48_000)
    soundfile.write(tmp_path / "a.flac", np.stack([left, np.zeros_like(left)], axis=1), 48_000)
    assert np.abs(read_samples(tmp_path / "a.flac") - left / 2).max() < 1 / 16384


def test_ogg_opus_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.opus", tone(2, 48_000), 48_000, "OPUS", format="OGG")
    samples = read_samples(tmp_path / "a.opus")
    assert abs(len(samples) - 2 * 48_000) < 960
    said = tone(2, 48_000)[: len(samples)]
    assert np.corrcoef(samples[4800:90_000], said[4800:90_000])[0, 1] > 0.95


def test_a_broken_float_file_is_tamed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([np.nan, np.inf, -np.inf, 7.0, 0.25], np.float32), 48_000, "FLOAT")
    assert read_samples(tmp_path / "a.wav").tolist() == [0.0, 1.0, -1.0, 1.0, 0.25]


def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("not a sound")
    (tmp_path / "empty.flac").touch()
    (tmp_path / "sound.raw").write_bytes(bytes(4000))
    soundfile.write(tmp_path / "silent.wav", np.zeros(0), 48_000)
    expected = {
        "missing.wav": "cannot be opened: no such file or directory.",
        ".": "cannot be opened: is a directory.",
        "notes.wav": "cannot be read as sound: it is no WAV, FLAC or Ogg Opus, or is damaged.",
        "empty.flac": "cannot be read as sound: it is no WAV, FLAC or Ogg Opus, or is damaged.",
        "sound.raw": "cannot be read as sound: it is no WAV, FLAC or Ogg Opus, or is damaged.",
        "silent.wav": "holds no sound.",
    }
    for name, sentence in expected.items():
        with pytest.raises(InputError) as caught:
            read_samples(tmp_path / name)
        assert caught.value.code == "unreadable_audio"
        assert str(caught.value) == f"{tmp_path / name} {sentence}"


@pytest.mark.parametrize("ending", ["wav", "flac", "opus", "ogg", "FLAC"])
def test_written_sound_reads_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"heard.{ending}"
    sound = tone(2, 48_000)
    with SoundWriter(path) as writer:
        for start in range(0, len(sound), 480):
            writer.write(sound[start : start + 480])
    samples = read_samples(path)
    assert len(samples) == len(sound)
    assert np.corrcoef(samples[4800:-4800], sound[4800:-4800])[0, 1] > 0.95


def test_stereo_is_written_and_loud_samples_are_cut(tmp_path: Path) -> None:
    with SoundWriter(tmp_path / "a.wav", channels=2) as writer:
        writer.write(np.array([[3.0, -3.0], [0.5, 0.0]], np.float32))
    sound, rate_hz = soundfile.read(tmp_path / "a.wav")
    assert rate_hz == 48_000
    assert np.abs(sound - [[1.0, -1.0], [0.5, 0.0]]).max() < 1e-4


def test_what_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"heard\.mp3 does not end in one of \.wav, \.flac") as wrong:
        SoundWriter(tmp_path / "heard.mp3")
    assert wrong.value.code == "unknown_audio_format"
    assert not list(tmp_path.iterdir())
    with pytest.raises(StorageError, match=r"cannot be written: no such file or directory\.$") as missing:
        SoundWriter(tmp_path / "nowhere" / "heard.wav")
    assert missing.value.code == "unwritable_audio"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_loud(tmp_path: Path) -> None:
    (tmp_path / "heard.wav").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"is the disk full\?$") as caught:
        SoundWriter(tmp_path / "heard.wav")
    assert caught.value.code == "unwritable_audio"


@pytest.mark.parametrize("ending", ["wav", "flac", "opus"])
def test_a_disk_that_fills_up_is_loud(tmp_path: Path, ending: str) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(1).uniform(-1, 1, 48_000).astype(np.float32)
    writer = SoundWriter(tmp_path / f"heard.{ending}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"is the disk full\?$"):
            for _ in range(40):
                writer.write(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.close()
