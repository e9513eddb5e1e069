"""Where Discord wants our voice, as the main gateway tells it in two events of any order. Pure.

    VOICE_STATE_UPDATE    we are in this channel, with this session
    VOICE_SERVER_UPDATE   its voice is at this endpoint, by this token; without an endpoint one is being looked for

Each server update is a new voice session, at the same endpoint too: a move and a region change bring one.
"""

from dataclasses import dataclass, field

from raccall.voice.gateway.client_events import VoiceIdentity
from raccall.voice.gateway.messages import GATEWAY_VERSION


@dataclass(frozen=True, slots=True)
class VoiceServer:
    """Enough to connect to."""

    url: str
    identity: VoiceIdentity
    channel_id: int = field(compare=False)
    """Told apart from the rest: after a move the former server is the wrong one only when the new one is told."""


class VoiceServers:
    """What is known of one guild's voice."""

    def __init__(self, user_id: int) -> None:
        self._user_id = str(user_id)
        self._channel_id: int | None = None
        self._session_id = ""
        self._guild_id = ""
        self._token = ""
        self._endpoint: str | None = None

    @property
    def channel_id(self) -> int | None:
        """In which channel Discord sees us; None: in none."""
        return self._channel_id

    @property
    def current(self) -> VoiceServer | None:
        """None while something is missing. Another object's equal is the same voice session."""
        if self._channel_id is None or not self._session_id or not self._token or self._endpoint is None:
            return None
        identity = VoiceIdentity(self._guild_id, self._user_id, self._session_id, self._token)
        return VoiceServer(f"wss://{self._endpoint}/?v={GATEWAY_VERSION}", identity, self._channel_id)

    def on_state(self, channel_id: int | None, session_id: str) -> None:
        """We are there now. Outside of a channel a former server is of no more use."""
        self._channel_id, self._session_id = channel_id, session_id
        if channel_id is None:
            self.forget()

    def on_server(self, guild_id: str, token: str | None, endpoint: str | None) -> None:
        """A server, or that one is being looked for."""
        self._guild_id, self._token = guild_id, token or ""
        self._endpoint = endpoint.removeprefix("wss://") if endpoint else None

    def forget(self) -> None:
        """The server is of no more use; only a new update counts."""
        self._token, self._endpoint = "", None
