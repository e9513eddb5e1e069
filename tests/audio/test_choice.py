"""What `--mic` and `--speaker` mean."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from raccall.audio.choice import choose_sound, open_sound
from raccall.errors import InputError


@pytest.fixture
def speech(tmp_path: Path) -> str:
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.zeros(160, np.float32), 16_000)
    return str(path)


def test_files(speech: str, tmp_path: Path) -> None:
    choice = choose_sound(speech, str(tmp_path / "heard.flac"))
    assert choice.speech is not None and len(choice.speech) == 480
    assert choice.recording == tmp_path / "heard.flac"
    with open_sound(choice) as (sound, card):
        assert card is None
        assert not sound.capture_done
        assert len(sound.read_playback()) == 0


def test_two_channels_stay_two_where_asked_for(tmp_path: Path) -> None:
    path = str(tmp_path / "stereo.wav")
    soundfile.write(path, np.tile(np.float32([0.5, -0.25]), (441, 1)), 44_100)
    assert not choose_sound(path, None).is_stereo
    choice = choose_sound(path, None, keep_stereo=True)
    assert choice.is_stereo and choice.speech is not None and choice.speech.shape == (480, 2)
    assert np.median(choice.speech, axis=0) == pytest.approx([0.5, -0.25], abs=0.01)
    with open_sound(choice) as (sound, _):
        assert not sound.capture_done


def test_one_file_is_enough_to_leave_the_sound_card_alone(speech: str) -> None:
    assert choose_sound(speech, None).uses_files
    listening = choose_sound(None, "heard.wav")
    with open_sound(listening) as (sound, _):
        assert sound.capture_done  # nothing to say


def test_names_of_devices() -> None:
    choice = choose_sound("Built-in Audio", None)
    assert (choice.uses_files, choice.microphone, choice.speaker) == (False, "Built-in Audio", "")


@pytest.mark.parametrize(
    ("mic", "speaker", "code"),
    [
        ("nothing.wav", None, "unreadable_audio"),
        (None, "heard.mp3", "unknown_audio_format"),
        ("Built-in Audio", "heard.wav", "sound_mixed"),
    ],
)
def test_what_cannot_be(mic: str | None, speaker: str | None, code: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_sound(mic, speaker)
    assert caught.value.code == code
