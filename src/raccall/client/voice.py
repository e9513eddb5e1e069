"""A session's voice: a call is held as long as it is wanted, over as many voice sessions as it takes.

    begin ─▶ VoiceServerGiven ─▶ VoiceCall (resumes by itself) ─▶ VoiceConnected
                  ▲                   │ over
                  └── after a pause ◀─┴─▶ VoiceLost ─▶ nothing more, if the server ended it for good

Whatever a person has chosen (muted, deafened, volumes, processing) is told to each new one.
"""

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol

from raccall.client import events
from raccall.client.events import Event, VoiceServerGiven
from raccall.client.link import InviteLink
from raccall.client.playback import LOUDEST_DB, QUIETEST_DB
from raccall.errors import ConnectionFailed, InputError, RaccallError, RefusedError
from raccall.voice.call import VoiceCall, retry_delay_s
from raccall.voice.dave.people import user_number
from raccall.voice.e2ee import DaveError
from raccall.voice.engine import SharedSound, Sound
from raccall.voice.gateway.client_events import VoiceIdentity
from raccall.voice.gateway.closing import Next
from raccall.voice.processing import Processing, require_mono
from raccall.voice.settings import EndToEnd, Hearing, VoiceSettings
from raccall.wire.control import EncryptionPolicy


class Home(Protocol):
    """What a voice asks of the session that it belongs to."""

    @property
    def user_id(self) -> str: ...

    @property
    def silenced(self) -> bool:
        """The server's owner lets nobody hear us."""

    @property
    def members(self) -> Iterable[str]:
        """User ids of those whom the user is shown in the room."""

    async def ask_for_voice(self) -> VoiceServerGiven:
        """Enter the room. Raises RefusedError, ConnectionFailed."""


class Voice:
    """Of one session, in one call at a time or in none.

    voice_by_link: reach the voice gateway where the invite leads. run: starts a background task whose failure is the
    session's. emit: gets what happens in the call.
    """

    def __init__(
        self,
        home: Home,
        invite: InviteLink,
        tls: ssl.SSLContext | None,
        *,
        identity_key: bytes | None,
        voice_by_link: bool,
        run: Callable[[Coroutine[None, None, None]], "asyncio.Task[None]"],
        emit: Callable[[Event], None],
    ) -> None:
        self._home = home
        self._invite = invite
        self._tls = tls
        self._identity_key = identity_key
        self._by_link = voice_by_link
        self._run = run
        self._tell = emit
        self._task: asyncio.Task[None] | None = None
        self._connected: asyncio.Future[None] | None = None  # done when media flowed for the first time, or never will
        self._sound: Sound | None = None
        self._processing: Processing | None = None
        self._hearing = Hearing()
        self._pressed = False
        self.settings: VoiceSettings | None = None
        """Of the call that is wanted; None: no call."""
        self.call: VoiceCall | None = None
        """The newest voice session."""
        self.muted = False
        """By the user; after a change, `apply_mute`."""
        self.encryption: events.EncryptionChanged | None = None
        """Whether anybody but those in the call can listen, and who these are; None outside of a call."""
        self.ghosts: tuple[str, ...] = ()
        """User ids of those who can listen, or were to, and are not shown in the room."""

    # ---- a call ----

    async def begin(self, settings: VoiceSettings, *, muted: bool, processing: Processing | None) -> None:
        """Want a call; returns when media flows.

        Raises RefusedError, ConnectionFailed ("call_left": by `end`, meanwhile); then call `end`.
        """
        self.muted, self._pressed = muted, False
        self._sound, self._processing = settings.sound, processing
        self.settings = settings
        self._connected = connected = asyncio.get_running_loop().create_future()
        self._task = self._run(self._keep(settings, connected))
        await connected

    async def begin_anew(self) -> None:
        """The server has forgotten the session, and the voice session with it. A no-op if there was none."""
        settings, connected = self.settings, self._connected
        if self.call is None or not self.call.started or settings is None or connected is None:
            return
        await self._stop()
        if self.settings is settings:  # nobody has left meanwhile
            self._task = self._run(self._keep(settings, connected))

    async def end(self) -> None:
        """Want no call any more; whoever waits in `begin` is told."""
        self.settings = None
        await self._stop()
        if self._connected is not None and not self._connected.done():
            self._connected.set_exception(ConnectionFailed("call_left", "The call was left before it had begun."))

    def fail(self, error: BaseException) -> None:
        """The session is over: nobody need wait for media any more."""
        if self._connected is not None and self.settings is not None and not self._connected.done():
            self._connected.set_exception(error)

    # ---- what the user chooses ----

    @property
    def is_silent(self) -> bool:
        """Nothing is sent: muted by the user, or by the server's owner."""
        return self.muted or self._home.silenced

    def apply_mute(self) -> None:
        """Say it whenever `muted` or the session's `silenced` may have changed."""
        if self.call is not None:
            self.call.set_muted(self.is_silent)

    @property
    def deafened(self) -> bool:
        return self._hearing.deafened

    def set_deafened(self, deafened: bool) -> None:
        self._hearing.deafened = deafened
        if self.call is not None:
            self.call.apply_hearing()

    def set_gain_db(self, user_id: str, gain_db: float) -> None:
        """Raises InputError."""
        if not QUIETEST_DB <= gain_db <= LOUDEST_DB:
            raise InputError("gain_out_of_range", "A volume is from -60 to +12 dB.")
        self._hearing.gains_db[user_id] = gain_db
        if self.call is not None:
            self.call.apply_hearing()

    def set_processing(self, processing: Processing) -> None:
        """Raises InputError."""
        require_mono(self._sound, processing)
        self._processing = processing
        if self.call is not None:
            self.call.set_processing(processing)

    def set_pressed(self, pressed: bool) -> None:
        self._pressed = pressed
        if self.call is not None:
            self.call.set_pressed(pressed)

    def play(self, sound: SharedSound) -> bool:
        """False if media does not flow."""
        return self.call is not None and self.call.play(sound)

    # ---- encryption ----

    def tell_people(self) -> None:
        """Say it whenever `members` has changed."""
        if self.call is not None:
            self.call.expect(self._people)

    def allow_clear(self, policy: EncryptionPolicy) -> None:
        """The room's policy changed."""
        if self.call is not None:
            self.call.allow_clear(policy is not EncryptionPolicy.REQUIRED)

    async def fingerprint(self, user_id: str) -> str:
        """Raises RefusedError "not_in_group"."""
        try:
            if self.call is not None:
                return await self.call.fingerprint(user_number(user_id))
        except (DaveError, ValueError):
            pass
        raise RefusedError("not_in_group", "That person is not in the call's encryption.")

    # ---- inside ----

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.call = self.encryption = None
        self.ghosts = ()

    async def _keep(self, settings: VoiceSettings, connected: "asyncio.Future[None]") -> None:
        """Hold a voice session until the server ends it for good; each round is a new one."""
        attempt = 0
        while True:
            code: int | None = None
            try:
                call = self.call = await self._new_call(settings)
                closed = await call.run()
                code, sentence, final = closed.code, closed.sentence, closed.next is Next.STOP
                error: RaccallError = ConnectionFailed("voice_closed", sentence)
                if call.started:
                    attempt = 0
            except (ConnectionFailed, RefusedError) as raised:
                error, sentence, final = raised, str(raised), False
            if not connected.done():
                connected.set_exception(error)
                return
            self._emit(events.VoiceLost(code, sentence, final))
            if final:
                return
            attempt += 1
            await asyncio.sleep(retry_delay_s(attempt))

    async def _new_call(self, settings: VoiceSettings) -> VoiceCall:
        given = await self._home.ask_for_voice()
        endpoint = given.endpoint
        if self._by_link:
            endpoint = self._invite.authority
            address = settings.media_address or (self._invite.host, self._invite.port)
            settings = dataclasses.replace(settings, media_address=address)
        settings = dataclasses.replace(settings, processing=self._processing)
        return VoiceCall(
            url=f"{self._invite.websocket_scheme}://{endpoint}/?v=8",
            tls=self._tls,
            identity=VoiceIdentity(given.room_id, self._home.user_id, given.session_id, given.token),
            settings=settings,
            muted=self.is_silent,
            emit=self._emit,
            hearing=self._hearing,
            end_to_end=EndToEnd(
                channel_id=int(given.room_id),
                identity_key=self._identity_key,
                clear_allowed=given.encryption.policy is not EncryptionPolicy.REQUIRED,
                people=self._people,
            ),
            pressed=self._pressed,
        )

    @property
    def _people(self) -> frozenset[int]:
        """Whom the user is shown in the room."""
        people = set()
        for user_id in self._home.members:
            with contextlib.suppress(ValueError):  # a name that no member of a group can have
                people.add(user_number(user_id))
        return frozenset(people)

    def _emit(self, event: Event) -> None:
        match event:
            case events.EncryptionChanged():
                self.encryption = event
            case events.GhostsChanged(user_ids=user_ids):
                self.ghosts = user_ids
            case events.VoiceLost():
                self.encryption, self.ghosts = None, ()
        self._tell(event)
        if isinstance(event, events.VoiceConnected) and self._connected is not None and not self._connected.done():
            self._connected.set_result(None)
