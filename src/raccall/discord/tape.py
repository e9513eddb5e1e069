"""One recording of the bot's: from entering the channel to the finished tracks."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import discord

from raccall.clock import wall_now
from raccall.discord.entry import VoiceChannel
from raccall.discord.keep import KeptChannel, keep_channel
from raccall.discord.opt_outs import OptOuts
from raccall.discord.recording import enter
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.errors import RaccallError
from raccall.recorder.alarms import SILENCE_S
from raccall.recorder.attribution import safe_file_name
from raccall.recorder.events import Alarm
from raccall.recorder.health import HealthReport
from raccall.recorder.space import Keep, Limits
from raccall.waiting import first_of

log = logging.getLogger("raccall.discord")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What holds for every recording."""

    limits: Limits = field(default_factory=Limits)
    silence_s: float = SILENCE_S
    """Before the alarm that nobody is heard; 0: never."""
    max_s: float | None = None
    """The longest recording."""
    until_empty: bool = True
    """It ends when the last person has left."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a recording."""

    folder: Path
    text: str
    """For who stopped it."""
    failure: RaccallError | None = None


class Tape:
    """`begin`, then `run`; `stop` ends it, and `ended` tells."""

    def __init__(
        self,
        channel: VoiceChannel,
        out: Path,
        opt_outs: OptOuts,
        started_by: str,
        wishes: Wishes,
        connect_with: type[RecordingVoiceClient],
    ) -> None:
        self.channel = channel
        self.channel_name = channel.name
        self.folder = folder_for(out, channel)
        self.stop = asyncio.Event()
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._opt_outs = opt_outs
        self._started_by = started_by
        self._wishes = wishes
        self._connect_with = connect_with
        self._open = contextlib.AsyncExitStack()
        self._kept: KeptChannel | None = None

    async def begin(self) -> None:
        """Enter the channel, tell it, keep. Raises RaccallError: then nothing is left behind."""
        async with contextlib.AsyncExitStack() as undo:
            voice = await enter(self.channel, self._connect_with)
            undo.push_async_callback(voice.disconnect, force=True)
            self._kept = await undo.enter_async_context(
                keep_channel(
                    voice,
                    self.folder,
                    opt_outs=self._opt_outs,
                    started_by=self._started_by,
                    has_commands=True,
                    limits=self._wishes.limits,
                    on_alarm=self._alarm,
                    silence_s=self._wishes.silence_s,
                )
            )
            self._open = undo.pop_all()

    async def run(self) -> None:
        """Until it is over; then make the tracks. Raises nothing: `ended` tells."""
        kept = self._kept
        assert kept is not None, "it has begun"
        failure: RaccallError | None = None
        people = 0
        try:
            async with self._open:
                ends: list[Coroutine[object, object, object]] = [kept.failed(), self.stop.wait()]
                if self._wishes.until_empty:
                    ends.append(kept.empty())
                await first_of(ends, at_most_s=self._wishes.max_s)
                if self._wishes.limits.keep is Keep.JOURNAL:
                    await kept.close()
                else:
                    people = len((await kept.finish()).people)
        except RaccallError as error:
            failure = error
            log.error("recording %s: %s [%s]", self.folder, error, error.code)
        text = str(failure) if failure else f"Ended: {people} people in {self.folder}."
        if kept.why_ended and not failure:
            text = f"{kept.why_ended} {text}"
        log.info("ended: %s", self.folder)
        self.ended.set_result(Ended(self.folder, text, failure))

    def status(self) -> str:
        """A few lines for who asks."""
        kept = self._kept
        if kept is None:
            return "The recording is about to begin."
        return describe(kept.voice.channel.name, kept.health, kept.gate.opted_out_here)

    def note(self, text: str, author: discord.abc.User) -> None:
        if self._kept is not None:
            self._kept.note(text, author)

    def opt_out(self, user_id: str, opted_out: bool) -> None:
        if self._kept is not None:
            self._kept.opt_out(user_id, opted_out)

    def _alarm(self, alarm: Alarm) -> None:
        log.warning("recording %s: %s%s", self.folder, "over: " if alarm.ended else "", alarm.text)


def folder_for(out: Path, channel: VoiceChannel) -> Path:
    """OUT/GUILD/CHANNEL/DATE-TIME: names as file systems take them, and one that is free."""
    folder = out / safe_file_name(channel.guild.name) / safe_file_name(channel.name) / f"{wall_now():%Y%m%d-%H%M%S}"
    number = 1
    free = folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def describe(channel: str, health: HealthReport, opted_out: int) -> str:
    """What `/record status` says."""
    minutes, seconds = divmod(round(health.seconds), 60)
    lines = [
        f"Recording {channel} for {minutes}:{seconds:02d}, {health.packets} packets, {health.loss_pct:.1f} % lost."
    ]
    for speaker in health.speakers:
        state = "speaks" if speaker.talking else "muted" if speaker.muted else "silent"
        lines.append(f"- {speaker.name}: {state}, {speaker.packets} packets")
    if opted_out:
        lines.append(f"{opted_out} here said no and are not kept.")
    lines += [f"**{alarm.text}**" for alarm in health.alarms]
    return "\n".join(lines)
