"""The mix's file, judged by libsndfile's decoder and by the loudness meter."""

from pathlib import Path

import numpy as np
import pytest
from calls import Sound, speech
from folders import read

from raccall.recorder.loudness import LoudnessMeter
from raccall.recorder.mix import TARGET_LUFS, MixDraft

SECOND = 48_000


def mixed(path: Path, sound: Sound, channels: int = 1) -> Sound:
    """Through draft and file, decoded: shape (frames, channels)."""
    draft = MixDraft(path / "draft", channels)
    for at in range(0, len(sound), SECOND):
        draft.add(sound[at : at + SECOND])
    shares: list[float] = []
    draft.write(path / "mix.opus", comments={"TITLE": "Mix"}, progress=shares.append)
    draft.close()
    assert shares == sorted(shares) and shares[-1] == 1.0
    return read(path / "mix.opus").reshape(-1, channels)


def lufs(sound: Sound) -> float:
    meter = LoudnessMeter(sound.shape[1])
    meter.add(np.ascontiguousarray(sound))
    return meter.lufs


@pytest.mark.parametrize("gain", [0.1, 0.3, 3.0])
def test_quiet_or_loud_a_mix_is_as_loud_as_podcasts_are_and_never_clips(tmp_path: Path, gain: float) -> None:
    said = gain * speech(8, 1)[:, None]
    heard = mixed(tmp_path, said)
    assert len(heard) == len(said)
    assert lufs(heard) == pytest.approx(TARGET_LUFS, abs=1.0)
    assert np.abs(heard).max() < 1


def test_who_was_quieter_stays_quieter(tmp_path: Path) -> None:
    loud, quiet = 0.3 * speech(4, 1), 0.1 * speech(4, 1)
    heard = mixed(tmp_path, np.concatenate([loud, quiet])[:, None])
    first, second = np.abs(heard[: 4 * SECOND]).mean(), np.abs(heard[4 * SECOND :]).mean()
    assert first / second == pytest.approx(3, rel=0.1)


def test_two_channels_stay_apart(tmp_path: Path) -> None:
    left = 0.3 * speech(4, 1)
    heard = mixed(tmp_path, np.stack([left, np.zeros_like(left)], axis=1), channels=2)
    assert np.abs(heard[:, 0]).mean() > 20 * np.abs(heard[:, 1]).mean()


@pytest.mark.parametrize("frames", [960, 5 * SECOND + 960])
def test_silence_stays_silence_as_long_as_it_was(tmp_path: Path, frames: int) -> None:
    heard = mixed(tmp_path, np.zeros((frames, 1), np.float32))
    assert len(heard) == frames
    assert np.abs(heard).max() < 1e-4


def test_silence_takes_no_room_in_the_draft(tmp_path: Path) -> None:
    draft = MixDraft(tmp_path / "draft", 1)
    said = 0.3 * speech(1, 1)[:, None]
    for _ in range(100):
        draft.add(np.zeros((SECOND, 1), np.float32))
    draft.add(said)
    draft.add(np.zeros((SECOND, 1), np.float32))
    pieces = list(draft.pieces())
    draft.close()
    assert (len(pieces), {len(piece) for piece in pieces}) == (102, {SECOND})
    assert np.abs(pieces[100] - said).max() < 1e-3
    assert not pieces[99].any() and not pieces[101].any()
    assert (tmp_path / "draft").stat().st_blocks * 512 < 1_000_000
