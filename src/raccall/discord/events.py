"""What a `RecordingVoiceClient` tells those who listen to it, besides the events of `raccall.voice.events`."""

from dataclasses import dataclass

from raccall.voice.events import Event as CallEvent


@dataclass(frozen=True, slots=True)
class Moved:
    """We are in another channel now."""

    channel_id: int


@dataclass(frozen=True, slots=True)
class VoiceLost:
    """The voice session ended."""

    code: int | None
    """Its WebSocket close code, if there was one."""
    sentence: str
    """For people."""
    final: bool
    """True: it stays so; False: a new one is being made."""


Event = CallEvent | Moved | VoiceLost
