"""Keep a Discord channel: a voice connection is the recorder's ears, what happens in the channel becomes its events.

    voice = await channel.connect(cls=RecordingVoiceClient)
    async with keep_channel(voice, Path("monday")) as kept:
        ...
        summary = await kept.finish()

One folder over everything that may happen to the connection: moves, new voice servers, sessions that had to be made
anew. What was not heard meanwhile is silence, and a Gap event.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import discord

from raccall import recorder as rec
from raccall.discord.entry import VoiceChannel
from raccall.discord.errors import AlreadyRecording, NotAnnounced, NotReady
from raccall.discord.events import Event, Moved, VoiceLost
from raccall.discord.gate import Gate
from raccall.discord.gated_tap import GatedTap
from raccall.discord.notice import announce, announce_end, announce_move
from raccall.discord.opt_outs import OptOuts
from raccall.discord.people import Present, present
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.recorder import Recorder
from raccall.recorder.alarms import SILENCE_S
from raccall.recorder.health import Observation, Person
from raccall.recorder.keeper import Keeper, OnAlarm
from raccall.recorder.space import Disk, Limits, check_space
from raccall.units import Ssrc
from raccall.voice.engine import PacketTap
from raccall.voice.events import EncryptionChanged, GhostsChanged, SourceKnown, VoiceConnected
from raccall.voice.tap import engine_tap

LOOK_EVERY_S = 0.5
"""For people whose coming or going was not told; what is told is looked at at once."""
TAPPED_WITHIN_S = 0.04
"""An engine that runs hands its packets out from its next tick of 20 ms on."""
UNDECRYPTED = ("waiting", "expired", "overflowed", "unencrypted")
"""Reasons why a frame is not decrypted, or not yet. A replayed one holds nothing new."""
UNREAD = ("too_short", "malformed", "bad_seal", "payload_type", "too_many_sources")
"""Reasons to refuse a datagram that may have held a voice."""


class KeptChannel(Keeper):
    """A channel that is being kept. Made by `keep_channel`."""

    def __init__(
        self,
        voice: RecordingVoiceClient,
        recorder: Recorder,
        *,
        opt_outs: OptOuts,
        started_by: str = "",
        has_commands: bool = False,
        stay: bool = False,
        limits: Limits | None = None,
        on_alarm: OnAlarm | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.voice = voice
        self.gate = Gate(opt_outs.of(voice.guild.id))
        self.why_ended = ""
        """One sentence, when the connection is over for good."""
        self._started_by = started_by
        self._has_commands = has_commands
        self._people: dict[str, Present] = {}
        self._announced_in: VoiceChannel | None = None
        self._stay = stay
        self._taps: list[GatedTap] = []
        self._connection = 0
        self._ghosts = 0
        self._outage = ""
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        super().__init__(recorder, limits=limits, on_alarm=on_alarm, silence_s=silence_s)

    async def begin(self) -> None:
        """Tell the channel, then keep what is heard. Raises NotAnnounced: then nothing was kept."""
        if self.voice.kept is not None:
            raise AlreadyRecording("already_recording", f"{self.voice.channel.name} is being recorded already.")
        self.voice.kept = self
        self.voice.add(self)  # the gate is still closed
        await asyncio.sleep(TAPPED_WITHIN_S)
        await self._announce()
        self._compare()
        for ssrc, user_id in self.voice.sources.items():
            self._on_source(user_id, ssrc)
        self._follow(self._live())
        self._others.append(self._begin(self._listen_to_gateway()))

    # ---- what one can do ----

    def note(self, text: str, author: discord.abc.User | None = None) -> None:
        """A line for the recording."""
        who = {"user_id": str(author.id), "name": author.display_name} if author is not None else {}
        self.recorder.event(rec.Note(now=self.recorder.now, text=text, **who))

    def opt_out(self, user_id: str, opted_out: bool) -> None:
        """Somebody in this guild says no, or takes it back."""
        now, known = self.recorder.now, user_id in self._people
        self.gate.opt_out(user_id, opted_out)
        if known and not opted_out:
            self._write_joined(self._people[user_id])
        if known:
            change = rec.ConsentWithdrawn if opted_out else rec.ConsentGiven
            self.recorder.event(change(now=now, user_id=user_id))

    @property
    def people(self) -> list[Present]:
        """Who is in the channel."""
        return list(self._people.values())

    async def empty(self) -> None:
        """Wait until everyone who came has left; at once only if somebody had come."""
        came = False
        while self._people or not came:
            came = came or bool(self._people)
            await asyncio.sleep(LOOK_EVERY_S)

    # ---- the voice connection ----

    def on_tap(self, packet_tap: PacketTap) -> None:
        """What a voice session receives."""
        self._taps.append(GatedTap(engine_tap(packet_tap, rec.TICK_MS), self.gate))
        self._read(self._taps[-1])

    def on_event(self, event: Event) -> None:
        """What happens to it."""
        match event:
            case VoiceConnected():
                self._outage = ""
                self._connection += 1
                self._forget_kernel_drops()
            case SourceKnown(user_id=user_id, ssrc=ssrc):
                self._on_source(user_id, ssrc)
            case VoiceLost(sentence=sentence, final=final):
                self._note_drops()
                self._outage = sentence
                if final:
                    self.why_ended = sentence
                    self._over.set()
                else:
                    self.recorder.event(rec.Gap(now=self.recorder.now, packets=0, where="connection"))
            case EncryptionChanged():
                self._note_keys(event)
            case GhostsChanged(user_ids=user_ids):
                self._ghosts = len(user_ids)
            case Moved():
                self.gate.open = False  # until the other channel was told
                self._changed.set()

    # ---- inside ----

    def _observe(self, disk: Disk | None) -> Observation:
        if self._announced_in is not None:
            self._compare()
        self._note_drops()
        stats = self.voice.stats()
        for source in stats.sources if stats else ():
            if source.owner is not None:
                self._on_source(str(source.owner), source.ssrc)
        return Observation(
            connection=self._connection,
            people=[
                Person(person.user_id, person.name, muted=person.muted)
                for person in self._people.values()
                if self.gate.may_keep(person.user_id)
            ],
            owners=self.voice.sources,
            sources=[
                source
                for source in (stats.sources if stats else ())
                if self.gate.may_keep(self.voice.sources.get(source.ssrc, ""))
            ],
            refused=sum(stats.refused.get(reason, 0) for reason in UNREAD) if stats else 0,
            decrypted=stats.encryption.decrypted + stats.encryption.plain if stats else 0,
            undecrypted={reason: getattr(stats.encryption, reason) for reason in UNDECRYPTED} if stats else {},
            ghosts=self._ghosts,
            kernel_drops=stats.kernel_drops if stats else 0,
            lost_in_reader=self.recorder.counts.lost_here,
            outage=self._outage,
            backlog=self.recorder.backlog,
            disk=disk,
        )

    async def _leave(self) -> None:
        self._note_drops()
        self.voice.remove(self)
        for tap in self._taps:
            tap.end()
        if not self._stay:
            await self.voice.disconnect(force=True)
        if self.voice.kept is self:
            self.voice.kept = None
        announced, self._announced_in = self._announced_in, None
        if announced is not None:
            await announce_end(announced, why=self.why_ended)

    async def _live(self) -> None:
        """Until the connection is over; tells other channels when we are moved."""
        over = asyncio.create_task(self._over.wait())
        try:
            while not over.done():
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait({over, changed}, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                self._changed.clear()
                self._compare()
                if not self.gate.open:
                    try:
                        await self._announce()
                    except NotAnnounced as error:
                        self.why_ended = str(error)
                        return
        finally:
            over.cancel()

    async def _listen_to_gateway(self) -> None:
        """Somebody came, left or was muted: look at once. What falls between two waits is seen half a second later."""
        while True:
            await self.voice.client.wait_for("voice_state_update")
            self._changed.set()

    async def _announce(self) -> None:
        channel, former = self.voice.channel, self._announced_in
        await announce(channel, started_by=self._started_by, opt_out=self._has_commands)
        self._announced_in = channel
        self.gate.open = self.voice.channel.id == channel.id
        if former is not None and former.id != channel.id:
            self.note(f"Moved from {former.name} to {channel.name}.")
            await announce_move(former, channel)

    def _compare(self) -> None:
        """Write who came, left, was muted."""
        now, write = self.recorder.now, self.recorder.event
        before, self._people = self._people, present(self.voice.channel)
        self.gate.set_people(now, self._people.keys())
        for user_id, person in before.items():
            if user_id not in self._people and self.gate.may_keep(user_id):
                write(rec.MemberLeft(now=now, user_id=person.user_id))
        for user_id, person in self._people.items():
            if not self.gate.may_keep(user_id):
                continue
            known = before.get(user_id)
            if known is None or known.name != person.name:
                self._write_joined(person)
            if person.muted != (known.muted if known is not None else False):
                write(rec.Muted(now=now, user_id=user_id, muted=person.muted))

    def _write_joined(self, person: Present) -> None:
        self.recorder.event(rec.MemberJoined(now=self.recorder.now, user_id=person.user_id, name=person.name))

    def _on_source(self, user_id: str, ssrc: Ssrc) -> None:
        """Of one who said no nothing is written."""
        if self.gate.owner_of(ssrc) == user_id:
            return
        self.gate.set_owner(ssrc, user_id)
        if self.gate.may_keep(user_id):
            name = self._people[user_id].name if user_id in self._people else ""
            self.recorder.event(rec.Source(now=self.recorder.now, ssrc=ssrc, user_id=user_id, name=name))

    def _note_drops(self) -> None:
        if (stats := self.voice.stats()) is not None:
            self._note_kernel_drops(stats.kernel_drops)


@asynccontextmanager
async def keep_channel(
    voice: RecordingVoiceClient,
    folder: Path,
    *,
    opt_outs: OptOuts | None = None,
    started_by: str = "",
    has_commands: bool = False,
    stay: bool = False,
    limits: Limits | None = None,
    on_alarm: OnAlarm | None = None,
    silence_s: float = SILENCE_S,
) -> AsyncIterator[KeptChannel]:
    """Tell the channel, then write everything that comes to `folder`, which must be new or empty; leave at the end.

    opt_outs: who said no before. started_by: who asked for it, for the notice. has_commands: the notice may name
    `/record opt-out`. stay: do not leave the channel at the end. limits, on_alarm, silence_s: as `Keeper` has them.
    Nothing is left in the folder when the channel could not be told. Raises NotReady, AlreadyRecording, NotAnnounced,
    StorageError and what `Recorder` raises.
    """
    if voice.kept is not None:
        raise AlreadyRecording("already_recording", f"{voice.channel.name} is being recorded already.")
    if not voice.is_connected():
        raise NotReady("voice_not_ready", "The voice connection is not there yet, or not any more.")
    check_space(folder, limits or Limits())
    recorder = Recorder(folder, room=f"{voice.guild.name} / {voice.channel.name}")
    kept = KeptChannel(
        voice,
        recorder,
        opt_outs=opt_outs or OptOuts(),
        started_by=started_by,
        has_commands=has_commands,
        stay=stay,
        limits=limits,
        on_alarm=on_alarm,
        silence_s=silence_s,
    )
    try:
        try:
            await kept.begin()
        except BaseException:
            await kept.close()
            kept.recorder.discard()
            raise
        yield kept
    finally:
        await kept.close()
