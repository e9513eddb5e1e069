"""The asyncio face of a session with a server: `connect`, join, hear and be heard, say, leave.

connect ─▶ POST /api/guests ─▶ /gateway (kept alive, resumed) ─▶ Session
Session.join ─▶ VoiceServerGiven ─▶ VoiceCall (kept alive, made anew) ─▶ VoiceConnected
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from raccall.client import events
from raccall.client.events import Event, VoiceServerGiven
from raccall.client.guest import Guest, become_guest
from raccall.client.identity import usable_key
from raccall.client.link import InviteLink, parse_link
from raccall.client.news import News
from raccall.client.playback import LOUDEST_DB, QUIETEST_DB, Ended, Playback, Source, open_source
from raccall.client.session import ControlSession
from raccall.client.voice import Voice
from raccall.errors import ConnectionFailed, InputError, RaccallError, RefusedError
from raccall.units import Ssrc
from raccall.voice.call import retry_delay_s
from raccall.voice.engine import EngineStats, GateMode, PacketTap, Sound
from raccall.voice.processing import Processing, require_mono
from raccall.voice.settings import VoiceSettings
from raccall.wire.control import Consent, EncryptionState, MemberInfo, RecordingState
from raccall.wire.socket import Carrier, open_socket
from raccall.wire.tls import client_context

ANSWER_TIMEOUT_S = 10.0


@asynccontextmanager
async def connect(
    link: str,
    *,
    name: str,
    recorder: bool = False,
    bot: bool = False,
    owner_token: str | None = None,
    voice_by_link: bool = False,
    identity_key: bytes | None = None,
) -> AsyncIterator["Session"]:
    """Enter the server that an invite link leads to; leaves the call and closes everything at the end.

    link: as `raccall serve` prints it. name: how the others see us, 1–32 characters. recorder: be shown to all as one
    who keeps what is said. bot: hear everyone, however many speak; needs the owner_token. That also makes a recorder
    the server's own, which may record the rooms that only their server records. voice_by_link: reach the voice gateway
    where the link leads, whatever address the server announces (on the server's own machine its public address may lead
    nowhere). identity_key: private P-256 key of 32 bytes, by which others recognise us in encrypted calls; None: made
    for this session alone. Raises InputError (malformed link or key), RefusedError (invite, name), ConnectionFailed.
    """
    invite = parse_link(link)
    identity_key = usable_key(identity_key)
    guest = await become_guest(invite, name, owner_token=owner_token, recorder=recorder, bot=bot)
    session = Session(invite, guest, voice_by_link=voice_by_link, identity_key=identity_key)
    try:
        await session._start()
        yield session
    finally:
        await session.close()


class Session:
    """One user's connection to one server. Made by `connect`; for one event loop.

    Lost connections come back by themselves, with growing pauses; `events` tells.
    """

    def __init__(
        self, invite: InviteLink, guest: Guest, *, voice_by_link: bool = False, identity_key: bytes | None = None
    ) -> None:
        self._invite = invite
        self._guest = guest
        self._tls = client_context(invite.fingerprint) if invite.secure else None
        self._news = News()
        self._voice = Voice(
            self,
            invite,
            self._tls,
            identity_key=identity_key,
            voice_by_link=voice_by_link,
            run=self._run,
            emit=self._news.add,
        )
        self._control = ControlSession(guest.token)
        self._carrier: Carrier[Event] = Carrier(self._control, self._on_event)
        self._identified = asyncio.Event()
        self._failed: BaseException | None = None
        self._given: asyncio.Future[VoiceServerGiven] | None = None
        self._playing: list[Playback] = []
        self._agreed: bool | None = None
        self._in_room = False
        self._control_task: asyncio.Task[None] | None = None

    # ---- what is known ----

    @property
    def user_id(self) -> str:
        """Our own; a guest has another one each time."""
        return self._guest.user_id

    @property
    def name(self) -> str:
        """How the others see us, as the server took it."""
        return self._guest.name

    @property
    def room_id(self) -> str:
        """Of the room that the invite leads to."""
        return self._guest.room_id

    @property
    def room_name(self) -> str:
        """Of the same room, as people know it."""
        return self._guest.room_name

    @property
    def members(self) -> dict[str, MemberInfo]:
        """user_id → who is in the room's call, ourselves included, whether or not we are in it."""
        return self._control.rooms.members(self.room_id)

    @property
    def sources(self) -> dict[Ssrc, str]:
        """SSRC → user_id of those who ever spoke in this voice session."""
        return dict(self._voice.call.sources) if self._voice.call is not None else {}

    @property
    def uplink_loss_pct(self) -> dict[str, float]:
        """user_id → packets lost between them and the server, 0 to 100 %, of the last 5 s. Only a recorder is told."""
        return self._control.uplink_loss_pct

    @property
    def muted(self) -> bool:
        """By oneself; see `silenced`."""
        return self._voice.muted

    @property
    def agreed(self) -> bool | None:
        """What `consent` was last told; None before."""
        return self._agreed

    @property
    def recording(self) -> RecordingState:
        """Whether the room may be recorded, and who does; known before `join` has opened a voice session."""
        return self._control.rooms.recording(self.room_id)

    @property
    def room_encryption(self) -> EncryptionState:
        """What the server says of the room's encryption, and because of whom a call is in clear."""
        return self._control.rooms.encryption(self.room_id)

    @property
    def encryption(self) -> events.EncryptionChanged | None:
        """Whether anybody but those in the call can listen, and who these are; None outside of a call."""
        return self._voice.encryption

    @property
    def ghosts(self) -> tuple[str, ...]:
        """User ids of those who can listen, or were to, and are not shown in the room."""
        return self._voice.ghosts

    async def fingerprint(self, user_id: str) -> str:
        """45 digits in groups of five, to be compared with those that this member sees for us: the same in every call,
        unless somebody sits between us or one of us uses another identity key.

        Raises RefusedError "not_in_group" for one who is not in the call's encryption, or outside of a call.
        """
        return await self._voice.fingerprint(user_id)

    def stats(self) -> EngineStats | None:
        """Of the voice path in this voice session; None before media flows and after `leave`."""
        return self._voice.call.stats() if self._voice.call is not None else None

    async def events(self) -> AsyncIterator[Event]:
        """What happens, in order, for one reader; ends when the session does (then the last event says why).

        Up to 1000 events wait for the reader; beyond, the oldest is dropped (`dropped_events`). Raises only what is a
        bug of ours.
        """
        async for event in self._news:
            yield event

    @property
    def dropped_events(self) -> int:
        """How many were dropped because nobody took them in time."""
        return self._news.dropped

    # ---- what one can do ----

    async def join(
        self,
        sound: Sound | None,
        *,
        media_address: tuple[str, int] | None = None,
        muted: bool = False,
        bitrate_bps: int = 32_000,
        music: bool = False,
        dred_ms: int = 0,
        dtx: bool | None = None,
        gate_mode: GateMode = GateMode.OPEN,
        processing: Processing | None = None,
        on_tap: Callable[[PacketTap], None] | None = None,
    ) -> None:
        """Enter the room's call; returns when media flows.

        sound: where captured sound comes from and played sound goes; None: listen only, nothing is decoded. Captured
        in two channels it is sent in stereo; played in two (`Sound.playback_channels`), who sends stereo is heard so.
        media_address: send media there instead of where the server says. bitrate_bps: of the own voice, 6000–128 000.
        music: encode whatever sounds close to the original, not speech to be understood: for 96 000 bits a second.
        dred_ms: 0 to 1040; so far back each packet tells of what was said before it (DRED), as its bits allow: from a
        bitrate of 48 000 on, the more, the more loss is expected; never with music.
        dtx: send next to nothing while nobody speaks, never with music; None: with a sound card, not with a file.
        gate_mode: when the microphone is heard.
        processing: what is done to its sound; None: everything for a sound card, nothing for a file or music.
        on_tap: gets a tap of every packet received, before the first one; again whenever the voice session had to be
        made anew (then the old tap's `read` gives None).
        Raises InputError (processing of two channels), RefusedError (room full, ...) or ConnectionFailed ("call_left":
        by `leave`, before it had begun); then one may try again.
        """
        await self.leave()
        if self._failed is not None:
            raise self._failed
        if processing is not None:
            require_mono(sound, processing)
        settings = VoiceSettings(
            sound=sound,
            media_address=media_address,
            bitrate_bps=bitrate_bps,
            music=music,
            dred_ms=dred_ms,
            dtx=dtx,
            gate_mode=gate_mode,
            on_tap=on_tap,
        )
        try:
            await self._voice.begin(settings, muted=muted, processing=processing)
        except BaseException:
            await self.leave()
            raise

    async def leave(self) -> None:
        """Leave the call; a no-op outside of one."""
        if self._voice.settings is None:
            return
        for playback in self._playing:
            playback.stop(Ended.LEFT)
        await self._voice.end()
        self.leave_room()
        await self._carrier.flush()

    async def play(self, source: Source, *, gain_db: float = 0.0, monitor: bool = False) -> Playback:
        """Play a sound to everyone in the call, beside one's voice; returns when it has begun.

        source: a file (WAV, FLAC, Opus, MP3 and what else libsndfile reads, at any rate and of any length: it is read
        while it plays), or samples, float32, 48 kHz, (n,) or (n, 2). gain_db: -60 to +12. monitor: hear it oneself.
        It is sent as music in stereo, untouched by what is done to the microphone, and whatever the gate says of that.
        Muting ends it. Of more than eight at once the oldest ends.
        Raises InputError: "unreadable_audio", "unsuitable_samples" (shape), "gain_out_of_range", "muted",
        "not_in_call", "listen_only".
        """
        if not QUIETEST_DB <= gain_db <= LOUDEST_DB:
            raise InputError("gain_out_of_range", "A volume is from -60 to +12 dB.")
        self._check_may_play()
        name, first, following = await asyncio.to_thread(open_source, source)
        self._check_may_play()  # a moment has passed
        playback = Playback(name, first, following, gain_db=gain_db, monitored=monitor, hand_over=self._voice.play)
        self._playing = [*self.playing, playback]
        return playback

    def _check_may_play(self) -> None:
        if self._voice.settings is None:
            raise InputError("not_in_call", "A sound can be played in a call only.")
        if self._voice.settings.sound is None:
            raise InputError("listen_only", "Who only listens to a call cannot play a sound into it.")
        if self._voice.is_silent:
            raise InputError("muted", "You are muted: switch the microphone on before you play a sound.")

    @property
    def playing(self) -> tuple[Playback, ...]:
        """Sounds that play now, the oldest first."""
        self._playing = [playback for playback in self._playing if not playback.is_over]
        return tuple(self._playing)

    async def set_muted(self, muted: bool) -> None:
        """Stop or go on sending one's voice, and let the others see it. What one plays ends."""
        self._voice.muted = muted
        self._apply_mute()
        if self._voice.settings is not None:
            self._control.set_muted(self.room_id, muted)
            await self._carrier.flush()

    @property
    def silenced(self) -> bool:
        """By the server's owner: nobody gets one's voice, so nothing is sent either."""
        own = self.members.get(self.user_id)
        return own is not None and own.silenced

    def _apply_mute(self) -> None:
        if self._voice.is_silent:
            for playback in self._playing:
                playback.stop(Ended.MUTED)
        self._voice.apply_mute()

    @property
    def deafened(self) -> bool:
        """By oneself: nobody is heard."""
        return self._voice.deafened

    def set_deafened(self, deafened: bool) -> None:
        """Hear nobody, or everybody again, and let the others see it. One's own microphone stays as it is."""
        self._voice.set_deafened(deafened)
        if self._voice.settings is not None:
            self._control.set_deafened(self.room_id, deafened)
            self._carrier.wake()

    def set_gain_db(self, user_id: str, gain_db: float) -> None:
        """How loud one hears somebody, -60 to +12; kept until the session ends. Raises InputError
        "gain_out_of_range"."""
        self._voice.set_gain_db(user_id, gain_db)

    def set_processing(self, processing: Processing) -> None:
        """What is done to the microphone's sound from now on, in this call; `join` says it for the next one. Raises
        InputError for anything but OFF where two channels are sent: nothing is done to them."""
        self._voice.set_processing(processing)

    def set_pressed(self, pressed: bool) -> None:
        """The key of push-to-talk: held or released. It stays so while a lost voice connection comes back."""
        self._voice.set_pressed(pressed)

    async def consent(self, agree: bool) -> None:
        """Agree to being recorded, or do not; before `join`, in a call, and as often as one likes.

        Without a yes no recorder gets one's voice or lines. In a room of policy "automatic" it is the other way round:
        its server keeps what is said by everyone who did not say no. Kept until the session ends.
        """
        self._agreed = agree
        if self._in_room:
            self._control.set_consent(self.room_id, agree)
            await self._carrier.flush()

    async def say(self, text: str) -> str:
        """A line of text for everyone in the room, 1 to 4000 characters. Returns the nonce that its TextReceived will
        carry; another length is answered with the event Refused ("text_malformed")."""
        nonce = self._control.say(self.room_id, text)
        await self._carrier.flush()
        return nonce

    async def close(self) -> None:
        """Leave and close everything. May be called twice."""
        await self.leave()
        if self._control_task is not None:
            self._control_task.cancel()
            await asyncio.gather(self._control_task, return_exceptions=True)
        self._news.end()

    # ---- for a voice library of one's own ----

    async def ask_for_voice(self) -> VoiceServerGiven:
        """Enter the room, and learn where its voice gateway is. `join` does this by itself.

        Raises RefusedError or ConnectionFailed.
        """
        self._given = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._identified.wait()
                self._in_room = True
                self._control.join_room(
                    self.room_id, muted=self._voice.muted, deafened=self.deafened, consent=_consent(self._agreed)
                )
                self._carrier.wake()
                return await self._given
        except TimeoutError:
            raise ConnectionFailed("server_silent", "The server does not answer the wish to join.") from None
        finally:
            self._given = None

    def leave_room(self) -> None:
        """The other end of `ask_for_voice`; `leave` does this by itself."""
        self._in_room = False
        self._control.leave_room(self.room_id)
        self._carrier.wake()

    # ---- the control connection ----

    async def _start(self) -> None:
        self._control_task = self._run(self._keep_control())
        waiting = asyncio.create_task(self._identified.wait())
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await asyncio.wait({self._control_task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise ConnectionFailed(
                "server_silent", f"The server at {self._invite.authority} does not answer."
            ) from None
        finally:
            waiting.cancel()
        if self._failed is not None:
            raise self._failed

    async def _keep_control(self) -> None:
        """Hold the control connection until the session ends or cannot go on."""
        attempt = 0
        while self._failed is None:
            try:
                socket = await open_socket(self._invite.gateway_url, self._tls)
                async with socket:
                    await self._carrier.run(socket)
                if self._identified.is_set():
                    attempt = 0
            except ConnectionFailed as error:
                if (attempt == 0 and not self._control.user_id) or error.code == "certificate_changed":
                    self._fail(error)
            self._identified.clear()
            attempt += 1
            await asyncio.sleep(retry_delay_s(attempt))

    def _run(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """A background task; should it break (a bug), whoever waits on the session learns of it."""

        def on_done(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._end(error)

        task = asyncio.create_task(work)
        task.add_done_callback(on_done)
        return task

    def _end(self, error: BaseException) -> None:
        """Nothing goes on any more."""
        self._failed = error
        self._voice.fail(error)
        self._news.end(error)

    def _fail(self, error: RaccallError) -> None:
        self._end(error)
        self._news.add(events.ConnectionLost(error.code, str(error), final=True))

    async def _on_event(self, event: Event) -> None:
        match event:
            case events.EncryptionPolicyChanged(policy=policy):
                self._voice.allow_clear(policy)
            case events.MemberJoined() | events.MemberLeft():
                self._voice.tell_people()
                self._apply_mute()
            case events.MemberChanged():
                self._apply_mute()
            case events.Identified():
                self._voice.tell_people()
                self._identified.set()
                await self._voice.begin_anew()
            case events.Resumed():
                self._identified.set()
                if self._in_room and self._agreed is not None:  # may have been said while nobody heard it
                    self._control.set_consent(self.room_id, self._agreed)
            case VoiceServerGiven():
                if self._given is not None and not self._given.done():
                    self._given.set_result(event)
                return  # it holds a token: nobody else's business
            case events.Refused(code=code, sentence=sentence):
                if self._given is not None and not self._given.done():
                    self._given.set_exception(RefusedError(code, sentence))
                    return
            case events.ConnectionLost(code=code, sentence=sentence, final=True):
                self._fail(RefusedError(code, sentence))
                return
        self._news.add(event)


def _consent(agreed: bool | None) -> Consent:
    if agreed is None:
        return Consent.UNDECIDED
    return Consent.YES if agreed else Consent.NO
