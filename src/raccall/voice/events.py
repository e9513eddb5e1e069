"""What a voice call tells its owner (`voice.call`)."""

from dataclasses import dataclass

from raccall.units import Ssrc


@dataclass(frozen=True, slots=True)
class VoiceConnected:
    """Media flows: at the start of a call, and again after a voice session had to be made anew."""

    ssrc: Ssrc
    """Of the own voice."""
    mode: str
    """The transport mode in use."""
    media_address: tuple[str, int]
    """Where media goes."""


@dataclass(frozen=True, slots=True)
class SourceKnown:
    """Whose voice an SSRC is; also told for those who were there before us."""

    user_id: str
    ssrc: Ssrc


Event = VoiceConnected | SourceKnown
