"""Record Discord's voice channels, end-to-end encrypted ones too (`pip install "raccall[discord]"`).

    recording = await raccall.discord.record(channel, seconds=30)           # join, tell everyone, keep, leave
    async for tick in raccall.discord.listen(channel): ...                  # everyone's voice as it comes
    voice = await channel.connect(cls=raccall.discord.RecordingVoiceClient) # or step by step
    wav = await voice.record(record_time=30)

`channel` is a voice or stage channel of a discord.py client that is logged in; `raccall discord` is a whole bot.
discord.py is imported when one of these names is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from raccall.discord.library import check_library

if TYPE_CHECKING:
    from raccall.discord.keep import keep_channel
    from raccall.discord.listening import SpeechTick, listen
    from raccall.discord.recording import record
    from raccall.discord.voice_client import RecordingVoiceClient

__all__ = ["RecordingVoiceClient", "SpeechTick", "keep_channel", "listen", "record"]

_HOMES = {
    "SpeechTick": "raccall.discord.listening",
    "keep_channel": "raccall.discord.keep",
    "listen": "raccall.discord.listening",
    "record": "raccall.discord.recording",
    "RecordingVoiceClient": "raccall.discord.voice_client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_library()
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
