"""What happens in a session, as a program that uses `raccall.client` sees it."""

from dataclasses import dataclass, field

from raccall.voice.events import ClearRefused as ClearRefused
from raccall.voice.events import EncryptionBroken as EncryptionBroken
from raccall.voice.events import EncryptionChanged as EncryptionChanged
from raccall.voice.events import GhostsChanged as GhostsChanged
from raccall.voice.events import SourceKnown as SourceKnown
from raccall.voice.events import VoiceConnected as VoiceConnected
from raccall.wire.control import EncryptionPolicy, EncryptionState, MemberInfo, RecordingState


@dataclass(frozen=True, slots=True)
class Identified:
    """The server knows us: on the first connection, and after one that could not be resumed."""

    user_id: str
    """The own one."""
    name: str
    """The own one, as the others see it."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A lost control connection is back; nothing was missed."""


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Somebody entered the room's call."""

    room_id: str
    member: MemberInfo
    """`member.recording` is True for a recorder: show it."""


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Somebody left the room's call."""

    room_id: str
    member: MemberInfo
    """As last known."""


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """Somebody was muted, deafened, silenced, or is not any more, or has another name."""

    room_id: str
    before: MemberInfo
    member: MemberInfo
    """As of now."""


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    """One who keeps what is said came into the call: tell the user, loudly."""

    room_id: str
    user_id: str
    name: str
    """Of the recorder."""


@dataclass(frozen=True, slots=True)
class RecordingStopped:
    """A recorder left the call."""

    room_id: str
    user_id: str
    name: str


@dataclass(frozen=True, slots=True)
class RecordingPolicyChanged:
    """The room's owner decided anew whether it may be recorded, or for how long recordings are kept."""

    room_id: str
    recording: RecordingState
    """As of now."""


@dataclass(frozen=True, slots=True)
class EncryptionPolicyChanged:
    """The room's owner decided anew about end-to-end encryption, or a client that cannot do it came or left.

    The server says so; whether what we send is encrypted tells EncryptionChanged.
    """

    room_id: str
    policy: EncryptionPolicy
    without: tuple[str, ...]
    """Names of those because of whom the call is in clear."""


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """Somebody agreed to being recorded, or does not any more; also told of the own user."""

    room_id: str
    before: MemberInfo
    member: MemberInfo
    """As of now; `member.kept` says whether a recorder gets this voice."""


@dataclass(frozen=True, slots=True)
class TextReceived:
    """A line that somebody typed, also the own ones."""

    room_id: str
    user_id: str
    name: str
    """Of who typed it, at that time."""
    text: str
    wall: str
    """UTC, ISO 8601."""
    nonce: str
    """What the own `say` returned; empty for lines of others."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server did not do something."""

    code: str
    """Stable, for programs."""
    sentence: str
    """For people."""


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The control connection ended; it is opened again by itself unless `final`."""

    code: str
    """Stable, for programs."""
    sentence: str
    """For people."""
    final: bool = False
    """True: the session is over."""


@dataclass(frozen=True, slots=True)
class VoiceServerGiven:
    """JoinRoom was accepted: where the voice gateway is, and what to identify with. Not among `Session.events`."""

    room_id: str
    endpoint: str
    """host:port."""
    token: str = field(repr=False)
    session_id: str
    recording: RecordingState
    """To be told to the user before anything is said."""
    encryption: EncryptionState
    """The same."""


@dataclass(frozen=True, slots=True)
class VoiceLost:
    """The voice connection ended."""

    code: int | None
    """Its WebSocket close code, if there was one."""
    sentence: str
    """For people."""
    final: bool
    """True: it stays so until the next `join`; False: it is being made again."""


Event = (
    Identified
    | Resumed
    | MemberJoined
    | MemberLeft
    | MemberChanged
    | RecordingStarted
    | RecordingStopped
    | RecordingPolicyChanged
    | ConsentChanged
    | TextReceived
    | Refused
    | ConnectionLost
    | VoiceServerGiven
    | VoiceConnected
    | VoiceLost
    | SourceKnown
    | EncryptionPolicyChanged
    | EncryptionChanged
    | GhostsChanged
    | ClearRefused
    | EncryptionBroken
)
