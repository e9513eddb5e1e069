"""One user's voice in one room, and the pass that lets it begin."""

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from raccall.server.link import Link
from raccall.units import Nanos
from raccall.voice.gateway.replay import ReplayBuffer
from raccall.voice.gateway.server import OFFERED_MODES, VoiceGatewayServer, Wire, first_replay

VoiceLink = Link[VoiceGatewayServer]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicePass:
    """Lets one user open a voice session in one room. A newer one replaces it."""

    session_id: str
    token: str = field(repr=False)
    user_id: int
    room_id: int

    def fits(self, token: str) -> bool:
        """Is this its token? Takes as long whatever was given."""
        return hmac.compare_digest(token.encode(errors="replace"), self.token.encode())


@dataclass(eq=False, slots=True, kw_only=True)
class VoiceSession:
    """One user's voice in one room; outlives its connections."""

    id: int
    """What the relay calls it."""
    voice_pass: VoicePass
    ssrc: int
    key: bytes = field(repr=False)
    link: VoiceLink | None
    """None while the connection is lost."""
    mode: str = OFFERED_MODES[0]
    connected: bool = False
    speaking: int | None = None
    """What the client said last; None before it spoke."""
    described_key: bytes = field(default=b"", repr=False)
    """The key that the client was told last."""
    dave_version: int
    """The newest of end-to-end encryption that the client speaks; 0: none."""
    described_dave_version: int = 0
    """What the client was told last that the call is at."""
    replay: ReplayBuffer[Wire] = field(default_factory=first_replay)
    expires: Nanos | None = None
    """When a lost connection can no longer be resumed."""
    user_id: int = field(init=False)
    room_id: int = field(init=False)

    def __post_init__(self) -> None:
        self.user_id, self.room_id = self.voice_pass.user_id, self.voice_pass.room_id


class Passes:
    """The newest pass of each user in each room; it may be shown as often as the connection is lost."""

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._by_session: dict[str, VoicePass] = {}
        self._newest: dict[tuple[int, int], VoicePass] = {}  # by user and room

    def get(self, session_id: str) -> VoicePass | None:
        return self._by_session.get(session_id)

    def new(self, user_id: int, room_id: int) -> VoicePass:
        """In place of the one that this user had there."""
        self.drop(user_id, room_id)
        voice_pass = VoicePass(
            session_id=self._random_bytes(16).hex(),
            token=self._random_bytes(16).hex(),
            user_id=user_id,
            room_id=room_id,
        )
        self._by_session[voice_pass.session_id] = self._newest[user_id, room_id] = voice_pass
        return voice_pass

    def drop(self, user_id: int, room_id: int) -> None:
        """No session begins with it any more. A no-op if there is none."""
        if (former := self._newest.pop((user_id, room_id), None)) is not None:
            del self._by_session[former.session_id]
