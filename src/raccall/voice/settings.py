"""What a member brings to a voice call (`voice.call`)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from raccall.voice.e2ee import EpochKeys
from raccall.voice.engine import GateMode, PacketTap, Sound
from raccall.voice.processing import Processing


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """What stays the same over all voice sessions of one call."""

    sound: Sound | None
    """None: listen only, nothing is decoded (a recorder)."""
    media_address: tuple[str, int] | None = None
    """Instead of the one that the server names (a network emulator in between)."""
    bitrate_bps: int = 32_000
    music: bool = False
    """Encode whatever sounds, not speech."""
    dred_ms: int = 0
    """How far back each packet tells of what was said before it (DRED), 0 to 1040, from 48 000 bit/s on; with music,
    never."""
    dtx: bool | None = None
    """Send next to nothing while nobody speaks. None: with a sound card, not with a file; with music, never."""
    gate_mode: GateMode = GateMode.OPEN
    processing: Processing | None = None
    """None: everything for a sound card, nothing for a file or for music."""
    on_tap: Callable[[PacketTap], None] | None = None
    """Gets a tap of each voice session before its first packet."""
    announce: bool = False
    """Say whose the own SSRC is even if nothing is ever sent: before, Discord's servers send nothing either."""

    @property
    def rests(self) -> bool:
        """What is meant by `dtx`."""
        if self.dtx is None:
            return self.sound is not None and not self.sound.is_clocked and not self.music
        return self.dtx and not self.music


@dataclass(slots=True)
class Hearing:
    """How one hears the others, over all voice sessions of one call and beyond."""

    deafened: bool = False
    gains_db: dict[str, float] = field(default_factory=dict)
    """user id → -60 to +12; who is not in it is heard as they are."""


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """What a member brings to a call's end-to-end encryption."""

    channel_id: int
    """The group's: the room's."""
    identity_key: bytes | None = field(default=None, repr=False)
    """Private P-256 key, 32 bytes, by which others recognise us; None: made for this voice session alone."""
    clear_allowed: bool = True
    """The server may have the call in clear; else nothing is ever sent unencrypted."""
    former_keys: tuple[EpochKeys, ...] = ()
    """`VoiceCall.keys` of the voice session that this one replaces: until the others are told the new keys they encrypt
    for the former session, and all of that can still be opened."""
    people: frozenset[int] | None = None
    """Whom the user is shown in the room, ourselves included or not; None: the voice gateway's own list counts."""
