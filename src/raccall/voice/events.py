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
    encrypted: bool = False
    """End to end: what is sent is for the members of the call alone. Else the server can listen."""


@dataclass(frozen=True, slots=True)
class SourceKnown:
    """Whose voice an SSRC is; also told for those who were there before us."""

    user_id: str
    ssrc: Ssrc


@dataclass(frozen=True, slots=True)
class EncryptionChanged:
    """What is sent is for other ears from now on, or for everyone's: told of each epoch, and of calls in clear."""

    encrypted: bool
    """End to end; False: the server can listen."""
    epoch: int
    """0 while there is no group, because we are alone or the call is in clear."""
    transition_id: int
    """Of the voice gateway, for reports of bugs."""
    code: str
    """30 digits in groups of five, the same for everyone in the call and for nobody else; empty without a group."""
    identities: dict[str, str]
    """user id → public identity key (hexadecimal) of all who can listen, ourselves included."""


@dataclass(frozen=True, slots=True)
class GhostsChanged:
    """These can listen, or the server tried to let them, and nobody is shown them: tell the user, loudly."""

    user_ids: tuple[str, ...]
    """Empty: it is over."""


@dataclass(frozen=True, slots=True)
class ClearRefused:
    """The server wants to go on in clear, where that is not allowed: nothing is sent unencrypted."""


@dataclass(frozen=True, slots=True)
class EncryptionBroken:
    """The keys could not be agreed on, and are agreed on anew. Meanwhile we may neither hear nor be heard."""

    reason: str
    """Stable, for programs: what was wrong (`voice.e2ee`)."""


EncryptionEvent = EncryptionChanged | GhostsChanged | ClearRefused | EncryptionBroken
Event = VoiceConnected | SourceKnown | EncryptionEvent
