"""One voice session: its gateway connection and its engine, from Ready to the last packet."""

import asyncio
import random
import ssl
from collections.abc import Callable, Iterable
from dataclasses import asdict

from raccall.clock import monotonic_now
from raccall.errors import ConnectionFailed
from raccall.units import Ssrc
from raccall.voice.dave import events as dave
from raccall.voice.dave.driver import Driver
from raccall.voice.dave.handshake import Handshake
from raccall.voice.dave.people import user_number
from raccall.voice.e2ee import EpochKeys
from raccall.voice.engine import Engine, EngineStats, GateMode, SharedSound, read_stats
from raccall.voice.events import Event, SourceKnown, VoiceConnected
from raccall.voice.gateway import client_events as gateway
from raccall.voice.gateway.client import VoiceGatewayClient
from raccall.voice.gateway.client_events import VoiceIdentity
from raccall.voice.gateway.closing import Closed, Next
from raccall.voice.gateway.messages import CloseCode, Speaking
from raccall.voice.processing import OFF, Processing, suited_to
from raccall.voice.settings import EndToEnd, Hearing, VoiceSettings
from raccall.voice.tunnel import Tunnel
from raccall.wire.packet import TRANSPORT_MODES
from raccall.wire.socket import Carrier, open_socket

MAX_RESUMES = 13
"""Attempts to reach the gateway of a session before asking for a new session; about 8 s."""
DISCOVERY_TIMEOUT_MS = 3000
LINGER_S = 2.0
"""A restarting server's relay is stopped last, so media goes on meanwhile; a new control connection ends the wait."""
UDP_TIMEOUT_MS = 2000
"""The same where a tunnel can be tried next."""


def retry_delay_s(attempt: int) -> float:
    """How long to wait before attempt 1, 2, ...: 0.25 s, a fifth more each time up to 10 s, spread by half.

    So a server that restarts within two seconds is met again within half a second of its return.

    The spread keeps a room full of clients from coming back in one instant after a server restart.
    """
    longest: float = min(0.25 * 1.2 ** (attempt - 1), 10.0)
    return longest * random.uniform(0.5, 1.0)


class VoiceCall:
    """One session on the voice gateway, over as many WebSockets as it takes; then it is used up.

    end_to_end: None only takes part in calls in clear. `sources` says whose voice an SSRC is. Raises DaveError
    ("bad_key").
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
        end_to_end: EndToEnd | None = None,
        *,
        pressed: bool = False,
    ) -> None:
        self._url = url
        self._tls = tls
        self._settings = settings
        self._processing = settings.processing or suited_to(settings.sound, music=settings.music)
        self._hearing = hearing or Hearing()
        self._muted = muted
        self._pressed = pressed
        self._emit = emit
        self._handshake = make_handshake(identity, end_to_end)
        self._core = VoiceGatewayClient(identity, self._handshake)
        self._driver = Driver(self._finish, emit, end_to_end.former_keys if end_to_end is not None else ())
        self._carrier: Carrier[gateway.VoiceEvent] = Carrier(self._core, self._on_event)
        self._ready: gateway.VoiceReady | None = None
        self._description: gateway.SessionDescription | None = None
        self._media_address = ("", 0)
        self._closed: Closed | None = None
        self._attempt = 0
        self._tunnel: Tunnel | None = None
        self.engine: Engine | None = None
        """None before Ready and after the end."""
        self.started = False
        """Media flows (or did, until the end)."""
        self.sources: dict[Ssrc, str] = {}

    async def run(self, *, keep_listening: bool = False) -> Closed:
        """Until the session is over; resumes lost connections meanwhile. Raises ConnectionFailed.

        keep_listening: what still comes is heard until `close`, for servers may go on sending until the next session.
        """
        try:
            while True:
                closed = await self._connect_once()
                if closed.code == CloseCode.SERVICE_RESTART:
                    await asyncio.sleep(LINGER_S)
                if closed.next is not Next.RESUME or self._attempt >= MAX_RESUMES:
                    return closed
                self._attempt += 1
                await asyncio.sleep(retry_delay_s(self._attempt))
        finally:
            if not keep_listening:
                await self.close()

    async def close(self) -> None:
        """Nothing is heard any more. May be called twice."""
        self._driver.close()
        if self._tunnel is not None:
            self._tunnel.close()
        engine, self.engine = self.engine, None
        if engine is not None:
            await asyncio.to_thread(engine.close)

    def set_muted(self, muted: bool) -> None:
        """Takes effect with the next captured frame."""
        self._muted = muted
        if self.engine is not None and self.started:
            self.engine.set_muted(muted)

    def apply_hearing(self) -> None:
        """Say it whenever `hearing` has changed."""
        if self.engine is not None and self.started:
            self._apply_hearing(self.engine)

    def _apply_hearing(self, engine: Engine) -> None:
        engine.set_deafened(self._hearing.deafened)
        for ssrc, user_id in self.sources.items():
            if (gain_db := self._hearing.gains_db.get(user_id)) is not None:
                engine.set_gain_db(ssrc, gain_db)

    def set_processing(self, processing: Processing) -> None:
        """What is done to the microphone's sound, from now on."""
        self._processing = processing
        if self.engine is not None and self.started:
            self.engine.set_processing(**asdict(processing))

    def set_pressed(self, pressed: bool) -> None:
        """The key of push-to-talk."""
        self._pressed = pressed
        if self.engine is not None and self.started:
            self.engine.set_pressed(pressed)

    def play(self, sound: SharedSound) -> bool:
        """Mix it with what the microphone hears; False if media does not flow (yet, or any more)."""
        if self.engine is None or not self.started:
            return False
        self.engine.play(sound)
        return True

    def expect(self, user_ids: Iterable[int]) -> None:
        """The user is shown these in the room: whoever else is in the call's encryption is a ghost."""
        self._core.expect(user_ids, monotonic_now())
        self._carrier.wake()

    def allow_clear(self, allowed: bool) -> None:
        """May the server have the call in clear? Not a decision of its voice gateway alone."""
        self._core.allow_clear(allowed)
        self._carrier.wake()

    async def fingerprint(self, user_id: int) -> str:
        """45 digits in groups of five that this member and that one see alike, in every call, unless somebody sits
        between them. Raises DaveError ("no_group", "unknown_user")."""
        assert self._handshake is not None, "who brought nothing for it asks for no fingerprints"
        return await asyncio.to_thread(self._handshake.fingerprint, user_id)

    @property
    def keys(self) -> tuple[EpochKeys, ...]:
        """Of the newest epochs, for the session that replaces this one."""
        return self._driver.newest_keys

    def stats(self) -> EngineStats | None:
        """None until media flows. Who speaks is known by then, if only their keys have told it."""
        if self.engine is None or not self.started:
            return None
        stats = read_stats(self.engine)
        for source in stats.sources:
            if source.owner is not None and self.sources.get(source.ssrc) != (owner := str(source.owner)):
                self._know(source.ssrc, owner)
        return stats

    async def _connect_once(self) -> Closed:
        try:
            socket = await open_socket(self._url, self._tls)
        except ConnectionFailed as error:
            if not self.started:
                raise
            return Closed(None, str(error), Next.RESUME)
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
                self._description = event
                if self._handshake is None:
                    await self._start_media()
                    self._tell_connected()
            case gateway.KeyChanged(mode=mode, key=key):
                if self.engine is not None and mode in TRANSPORT_MODES:
                    await asyncio.to_thread(self.engine.rekey, mode, key)
            case gateway.VoiceResumed():
                self._attempt = 0
            case gateway.UserSpeaking(user_id=user_id, ssrc=ssrc):
                self._forget(user_id)
                self._driver.set_owner(ssrc, user_id)
                self._know(ssrc, user_id)
            case gateway.UserDisconnected(user_id=user_id):
                self._forget(user_id)
            case Closed():
                self._closed = event
            case dave.Settled():
                await self._start_media()
                self._tell_connected()
            case gateway.UsersConnected():
                pass
            case _:
                self._driver.handle(event)
                if isinstance(event, dave.Switched) and self._settings.sound is None:
                    await self._start_media()  # what comes before its keys is held

    async def _prepare_media(self, ready: gateway.VoiceReady) -> None:
        """Find out how the relay sees us, and choose how to seal. Other messages wait meanwhile."""
        mode = next((mode for mode in ready.modes if mode in TRANSPORT_MODES), None)
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

    async def _start_media(self) -> None:
        """A no-op once it runs."""
        if self.started:
            return
        assert self.engine is not None and self._ready is not None, "a description follows Ready"
        assert self._description is not None, "nothing starts before it is described"
        settings, description = self._settings, self._description
        if settings.sound is not None or settings.announce:
            self._core.set_speaking(Speaking.NOTHING if settings.sound is None else Speaking.MICROPHONE)
            await self._carrier.flush()  # whose voice it is should be known before it is heard
        if settings.on_tap is not None:
            settings.on_tap(self.engine.open_tap())
        # Before the start, so that it holds for the first packet: keys above all.
        self._driver.run(self.engine)
        for source, user_id in self.sources.items():
            self._driver.set_owner(source, user_id)
        if self._hearing != Hearing():
            self._apply_hearing(self.engine)
        if self._processing != OFF:
            self.engine.set_processing(**asdict(self._processing))
        if settings.gate_mode is not GateMode.OPEN:
            self.engine.set_gate_mode(settings.gate_mode)
        if self._pressed:
            self.engine.set_pressed(True)
        self.engine.start(
            ssrc=self._ready.ssrc,
            mode=description.mode,
            key=description.key,
            sound=settings.sound,
            bitrate_bps=settings.bitrate_bps,
            dred_ms=settings.dred_ms,
            dtx=settings.rests,
            music=settings.music,
            muted=self._muted,
            encryption=self._driver.mode,
        )
        self.started = True

    def _tell_connected(self) -> None:
        assert self._ready is not None and self._description is not None
        mode, encrypted = self._description.mode, self._driver.encrypted
        self._emit(VoiceConnected(self._ready.ssrc, mode, self._media_address, encrypted))

    def _finish(self, outcome: dave.Outcome) -> None:
        self._core.finish(outcome, monotonic_now())
        self._carrier.wake()

    def _know(self, ssrc: Ssrc, user_id: str) -> None:
        self.sources[ssrc] = user_id
        if self.started and user_id in self._hearing.gains_db:
            self.apply_hearing()
        self._emit(SourceKnown(user_id, ssrc))

    def _forget(self, user_id: str) -> None:
        for ssrc in [ssrc for ssrc, owner in self.sources.items() if owner == user_id]:
            del self.sources[ssrc]


def make_handshake(identity: VoiceIdentity, end_to_end: EndToEnd | None) -> Handshake | None:
    """For one voice session."""
    if end_to_end is None:
        return None
    handshake = Handshake(
        user_number(identity.user_id),
        end_to_end.channel_id,
        identity_key=end_to_end.identity_key,
        clear_allowed=end_to_end.clear_allowed,
    )
    if end_to_end.people is not None:
        handshake.expect(end_to_end.people, monotonic_now())
    return handshake
