"""What was heard becomes a file: mono until somebody was heard in stereo."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from raccall.audio.files import Samples
from raccall.audio.heard import HeardWriter
from raccall.errors import StorageError

MONO = np.tile((0.5 * np.sin(np.arange(48_000) * 0.06)).astype(np.float32)[:, None], 2)
STEREO = MONO * np.float32([1.0, 0.25])


def write(path: Path, *parts: Samples) -> Samples:
    with HeardWriter(path) as writer:
        for part in parts:
            for begin in range(0, len(part), 12_000):
                writer.write(part[begin : begin + 12_000])
    heard, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == 48_000
    return np.asarray(heard, np.float32)


@pytest.mark.parametrize("ending", ["wav", "flac", "opus"])
def test_where_nobody_sends_stereo_there_is_one_channel(ending: str, tmp_path: Path) -> None:
    heard = write(tmp_path / f"heard.{ending}", MONO, MONO[:0])
    assert heard.shape == (48_000, 1)
    assert np.abs(heard - MONO[:, :1]).mean() < 0.02


@pytest.mark.parametrize("ending", ["wav", "flac", "opus"])
def test_with_the_first_stereo_sound_the_file_has_two(ending: str, tmp_path: Path) -> None:
    heard = write(tmp_path / f"heard.{ending}", MONO, STEREO, MONO)
    assert heard.shape == (144_000, 2)
    assert np.abs(heard - np.concatenate([MONO, STEREO, MONO])).mean() < 0.02
    assert [path.name for path in tmp_path.iterdir()] == [f"heard.{ending}"]


def test_a_file_that_cannot_be_written_anew_is_told_and_what_was_heard_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = HeardWriter(tmp_path / "heard.wav")
    writer.write(MONO)

    def failing(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(StorageError) as caught:
        writer.write(STEREO)
    assert caught.value.code == "unwritable_audio"
    writer.close()
    assert len(soundfile.read(tmp_path / "heard.wav")[0]) == 48_000
