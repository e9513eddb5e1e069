"""One voice session: its gateway connection and its engine, from Ready to the last packet."""

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from raccall.errors import ConnectionFailed
from raccall.units import Ssrc
from raccall.voice.engine import Engine, EngineStats, GateMode, PacketTap, Sound, read_stats
from raccall.voice.events import Event, SourceKnown, VoiceConnected
from raccall.voice.gateway import client as gateway
from raccall.voice.gateway.client import Next, VoiceGatewayClient, VoiceIdentity
from raccall.voice.gateway.messages import Speaking
from raccall.voice.tunnel import Tunnel
from raccall.wire.socket import Carrier, open_socket

MODES = (
    "aead_aes256_gcm_rtpsize",
    "aead_xchacha20_poly1305_rtpsize",
    "xsalsa20_poly1305_lite",
    "xsalsa20_poly1305_suffix",
    "xsalsa20_poly1305",
)
"""All that we can speak; the server's order decides."""
MAX_RESUMES = 13
"""Attempts to reach the gateway of a session before asking for a new session; about 8 s."""
DISCOVERY_TIMEOUT_MS = 3000
SERVICE_RESTART = 1012
"""WebSocket close code (RFC 6455's registry) of a server that is about to come back."""
LINGER_S = 2.0
"""Its relay is stopped last, so media goes on meanwhile; a new control connection ends the wait."""
UDP_TIMEOUT_MS = 2000
"""The same where a tunnel can be tried next."""


def retry_delay_s(attempt: int) -> float:
    """How long to wait before attempt 1, 2, ...: 0.25 s, a fifth more each time up to 10 s, spread by half.

    So a server that restarts within two seconds is met again within half a second of its return.

    The spread keeps a room full of clients from coming back in one instant after a server restart.
    """
    longest: float = min(0.25 * 1.2 ** (attempt - 1), 10.0)
    return longest * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """What stays the same over all voice sessions of one call."""

    sound: Sound | None
    """None: listen only, nothing is decoded (a recorder)."""
    media_address: tuple[str, int] | None = None
    """Instead of the one that the server names (a network emulator in between)."""
    bitrate_bps: int = 32_000
    gate_mode: GateMode = GateMode.OPEN
    on_tap: Callable[[PacketTap], None] | None = None
    """Gets a tap of each voice session before its first packet."""
    announce: bool = False
    """Say whose the own SSRC is even if nothing is ever sent: before, Discord's servers send nothing either."""


@dataclass(slots=True)
class Hearing:
    """How one hears the others, over all voice sessions of one call and beyond."""

    deafened: bool = False
    gains_db: dict[str, float] = field(default_factory=dict)
    """user id → -60 to +12; who is not in it is heard as they are."""


class VoiceCall:
    """One session on the voice gateway, over as many WebSockets as it takes; then it is used up.

    `sources` says whose voice an SSRC is.
    """

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        identity: VoiceIdentity,
        settings: VoiceSettings,
        muted: bool,
        emit: Callable[[Event], None],
        hearing: Hearing | None = None,
    ) -> None:
        self._url = url
        self._tls = tls
        self._settings = settings
        self._hearing = hearing or Hearing()
        self._muted = muted
        self._emit = emit
        self._core = VoiceGatewayClient(identity)
        self._carrier: Carrier[gateway.VoiceEvent] = Carrier(self._core, self._on_event)
        self._ready: gateway.VoiceReady | None = None
        self._media_address = ("", 0)
        self._closed: gateway.Closed | None = None
        self._attempt = 0
        self._tunnel: Tunnel | None = None
        self.engine: Engine | None = None
        """None before Ready and after the end."""
        self.started = False
        """Media flows (or did, until the end)."""
        self.sources: dict[Ssrc, str] = {}

    async def run(self) -> gateway.Closed:
        """Until the session is over; resumes lost connections meanwhile. Raises ConnectionFailed."""
        try:
            while True:
                closed = await self._connect_once()
                if closed.code == SERVICE_RESTART:
                    await asyncio.sleep(LINGER_S)
                if closed.next is not Next.RESUME or self._attempt >= MAX_RESUMES:
                    return closed
                self._attempt += 1
                await asyncio.sleep(retry_delay_s(self._attempt))
        finally:
            if self._tunnel is not None:
                self._tunnel.close()
            if self.engine is not None:
                await asyncio.to_thread(self.engine.close)

    def set_muted(self, muted: bool) -> None:
        """Takes effect with the next captured frame."""
        self._muted = muted
        if self.engine is not None and self.started:
            self.engine.set_muted(muted)

    def apply_hearing(self) -> None:
        """Say it whenever `hearing` has changed."""
        if self.engine is not None and self.started:
            self.engine.set_deafened(self._hearing.deafened)
            for ssrc, user_id in self.sources.items():
                if (gain_db := self._hearing.gains_db.get(user_id)) is not None:
                    self.engine.set_gain_db(ssrc, gain_db)

    def set_pressed(self, pressed: bool) -> None:
        """The key of push-to-talk."""
        if self.engine is not None and self.started:
            self.engine.set_pressed(pressed)

    def stats(self) -> EngineStats | None:
        """None until media flows."""
        return read_stats(self.engine) if self.engine is not None and self.started else None

    async def _connect_once(self) -> gateway.Closed:
        try:
            socket = await open_socket(self._url, self._tls)
        except ConnectionFailed as error:
            if not self.started:
                raise
            return gateway.Closed(None, str(error), Next.RESUME)
        self._closed = None
        async with socket:
            await self._carrier.run(socket)
        assert self._closed is not None, "a core whose timer is off has said why"
        return self._closed

    async def _on_event(self, event: gateway.VoiceEvent) -> None:
        match event:
            case gateway.VoiceReady():
                await self._prepare_media(event)
            case gateway.SessionDescription():
                await self._start_media(event)
            case gateway.KeyChanged(mode=mode, key=key):
                if self.engine is not None and mode in MODES:
                    await asyncio.to_thread(self.engine.rekey, mode, key)
            case gateway.VoiceResumed():
                self._attempt = 0
            case gateway.UserSpeaking(user_id=user_id, ssrc=ssrc):
                self._forget(user_id)
                self.sources[ssrc] = user_id
                if self.started and user_id in self._hearing.gains_db:
                    self.apply_hearing()
                self._emit(SourceKnown(user_id, ssrc))
            case gateway.UserDisconnected(user_id=user_id):
                self._forget(user_id)
            case gateway.Closed():
                self._closed = event

    async def _prepare_media(self, ready: gateway.VoiceReady) -> None:
        """Find out how the relay sees us, and choose how to seal. Other messages wait meanwhile."""
        mode = next((mode for mode in ready.modes if mode in MODES), None)
        if mode is None:
            raise ConnectionFailed("mode_unknown", "The server offers no way to seal voice that this program knows.")
        self._ready = ready
        host, port = self._media_address = self._settings.media_address or ready.address
        try:
            self.engine = engine = await asyncio.to_thread(Engine, (host, port))
            if ready.tunnel:
                self._tunnel = await Tunnel.open(engine, self._carrier.send_binary)
                self._carrier.on_binary = self._tunnel.take
            address, own_port = await self._discover(engine, ready.ssrc)
        except OSError as error:  # TimeoutError is one, too
            raise ConnectionFailed(
                "media_unreachable",
                f"Nothing answers at {host}, UDP port {port}; a firewall may let the web through and not the voice.",
            ) from error
        self._core.select_protocol(address, own_port, mode)

    async def _discover(self, engine: Engine, ssrc: Ssrc) -> tuple[str, int]:
        """How the relay sees us: by UDP, else through the tunnel. Raises TimeoutError."""
        if self._tunnel is None:
            return await asyncio.to_thread(engine.discover, ssrc, DISCOVERY_TIMEOUT_MS)
        try:
            return await asyncio.to_thread(engine.discover, ssrc, UDP_TIMEOUT_MS)
        except TimeoutError:
            return await asyncio.to_thread(engine.discover, ssrc, DISCOVERY_TIMEOUT_MS, tunnel=True)

    async def _start_media(self, description: gateway.SessionDescription) -> None:
        assert self.engine is not None and self._ready is not None, "a description follows Ready"
        settings, ssrc = self._settings, self._ready.ssrc
        if settings.sound is not None or settings.announce:
            self._core.set_speaking(Speaking.NOTHING if settings.sound is None else Speaking.MICROPHONE)
            await self._carrier.flush()  # whose voice it is should be known before it is heard
        if settings.on_tap is not None:
            settings.on_tap(self.engine.open_tap())
        self.engine.start(
            ssrc=ssrc,
            mode=description.mode,
            key=description.key,
            sound=settings.sound,
            bitrate_bps=settings.bitrate_bps,
            muted=self._muted,
        )
        self.started = True
        if self._hearing != Hearing():
            self.apply_hearing()
        if settings.gate_mode is not GateMode.OPEN:
            self.engine.set_gate_mode(settings.gate_mode)
        self._emit(VoiceConnected(ssrc, description.mode, self._media_address))

    def _forget(self, user_id: str) -> None:
        for ssrc in [ssrc for ssrc, owner in self.sources.items() if owner == user_id]:
            del self.sources[ssrc]
