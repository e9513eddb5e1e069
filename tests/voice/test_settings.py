"""What a member's settings mean when nobody says."""

import pytest

from raccall.voice.engine import Sound
from raccall.voice.settings import VoiceSettings

pytestmark = pytest.mark.realtime


@pytest.mark.parametrize(
    ("dtx", "card", "file", "music"),
    [(None, True, False, False), (True, True, True, False), (False, False, False, False)],
)
def test_a_microphone_rests_in_silence_a_file_only_when_told_and_music_never(
    dtx: bool | None, card: bool, file: bool, music: bool
) -> None:
    microphone, recording = Sound.device(), Sound.clocked(None, keep_playback=False)
    assert VoiceSettings(microphone, dtx=dtx).rests is card
    assert VoiceSettings(recording, dtx=dtx).rests is file
    assert VoiceSettings(microphone, music=True, dtx=dtx).rests is music
    assert VoiceSettings(None).rests is False
