"""A bot that records voice channels of any number of guilds, told what to do by slash commands.

    /record start [channel]   the one where you are, if none is named
    /record stop              and make the tracks
    /record status            how it goes
    /record note TEXT         a line for the recording
    /record opt-out           (or opt-in) never record me in this guild

Who may start and stop: who may manage the channel, and who has the role that the bot was told. Everybody may opt out.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import discord
from discord import app_commands

from raccall.discord.entry import VoiceChannel
from raccall.discord.notice import unmark
from raccall.discord.opt_outs import FILE, OptOuts
from raccall.discord.tape import Ended, Tape, Wishes
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.errors import ConnectionFailed, InputError, RaccallError

log = logging.getLogger("raccall.discord")

MAX_NOTE_CHARS = 1000


@dataclass(frozen=True, slots=True)
class BotSettings:
    """What stays the same while the bot runs."""

    out: Path
    """Recordings are made below: GUILD/CHANNEL/DATE-TIME."""
    role: str = ""
    """Of this name: may start and stop; besides those who may manage the channel."""
    wishes: Wishes = field(default_factory=Wishes)


class RecordingBot(discord.Client):
    """The whole bot. `run_until` ends it gracefully."""

    def __init__(
        self,
        settings: BotSettings,
        *,
        connect_with: type[RecordingVoiceClient] = RecordingVoiceClient,
        **options: Any,
    ) -> None:
        """connect_with: a subclass of RecordingVoiceClient, if need be. options: of discord.Client."""
        super().__init__(intents=discord.Intents(guilds=True, voice_states=True), **options)
        self._settings = settings
        self._connect_with = connect_with
        self._opt_outs = OptOuts(settings.out / FILE)
        self._tapes: dict[int, Tape] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self.tree: app_commands.CommandTree[RecordingBot] = app_commands.CommandTree(self)
        self.tree.add_command(_Commands(self))
        self.tree.error(_tell_error)

    # ---- discord.py's side ----

    async def setup_hook(self) -> None:
        """Before the gateway is there."""
        await self.tree.sync()

    async def on_ready(self) -> None:
        """Again after a gateway session was lost."""
        for guild in self.guilds:
            if guild.id not in self._tapes:  # a recording that ended with its program left its mark
                await unmark(guild.me)
        log.info("ready in %d guilds", len(self.guilds))

    # ---- what commands do ----

    def tape(self, guild: discord.Guild) -> Tape:
        """The recording that goes on there. Raises InputError "not_recording"."""
        tape = self._tapes.get(guild.id)
        if tape is None:
            raise InputError("not_recording", "Nothing is being recorded in this server.")
        return tape

    def may_command(self, member: discord.Member, channel: VoiceChannel) -> bool:
        """May this member have the channel recorded?"""
        has_role = any(role.name == self._settings.role for role in member.roles)
        return has_role or channel.permissions_for(member).manage_channels

    async def start_recording(self, channel: VoiceChannel, member: discord.Member) -> Tape:
        """Raises RaccallError; then nothing is kept."""
        guild = channel.guild
        if not self.may_command(member, channel):
            role = f' or have the role "{self._settings.role}"' if self._settings.role else ""
            raise InputError("not_allowed", f"To record {channel.name} you must be allowed to manage it{role}.")
        if guild.id in self._tapes:
            where = self._tapes[guild.id].channel_name
            raise InputError("already_recording", f"{where} is being recorded; a bot can be in one channel at a time.")
        tape = self._tapes[guild.id] = Tape(
            channel, self._settings.out, self._opt_outs, member.display_name, self._settings.wishes, self._connect_with
        )
        try:
            await tape.begin()
        except BaseException:
            del self._tapes[guild.id]
            raise
        log.info("recording in guild %d, channel %d", guild.id, channel.id)
        task = asyncio.create_task(self._finish(guild.id, tape))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return tape

    def opt_out(self, guild_id: int, user_id: str, opted_out: bool) -> None:
        """From now on, and after the bot was started again. Raises StorageError when that cannot be kept."""
        tape = self._tapes.get(guild_id)
        if tape is not None:
            tape.opt_out(user_id, opted_out)
        self._opt_outs.set(guild_id, user_id, opted_out)

    async def stop_all(self) -> list[Ended]:
        """End every recording, and wait for their tracks."""
        tapes = list(self._tapes.values())
        for tape in tapes:
            tape.stop.set()
        return [await tape.ended for tape in tapes]

    async def run_until(self, stop: asyncio.Event, token: str) -> list[Ended]:
        """Log in and serve until `stop` is set. Returns what became of the recordings that were going on.

        Raises InputError "token_refused", ConnectionFailed "discord_unreachable".
        """
        running = asyncio.create_task(self.start(token))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            return await self.stop_all()
        except discord.LoginFailure:
            raise InputError("token_refused", "Discord refuses the token: make a new one, and use that.") from None
        except (aiohttp.ClientConnectionError, discord.GatewayNotFound):
            raise ConnectionFailed("discord_unreachable", "Discord cannot be reached from here.") from None
        finally:
            stopping.cancel()
            await self.close()
            await asyncio.gather(running, stopping, return_exceptions=True)

    async def _finish(self, guild_id: int, tape: Tape) -> None:
        """Wait until the recording has ended; then the guild is free again, and the tracks are made."""
        await tape.run()
        del self._tapes[guild_id]


class _Commands(app_commands.Group):
    """`/record`"""

    def __init__(self, bot: RecordingBot) -> None:
        super().__init__(name="record", description="Record a voice channel", guild_only=True)
        self._bot = bot

    @app_commands.command(description="Record a voice channel: a track of each speaker, and a mix")
    @app_commands.describe(channel="the one where you are, if you name none")
    async def start(
        self,
        interaction: discord.Interaction[RecordingBot],
        channel: discord.VoiceChannel | discord.StageChannel | None = None,
    ) -> None:
        member = _member(interaction)
        wanted = channel or _channel_of(member)
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._bot.start_recording(wanted, member)
        await interaction.followup.send(f"Recording {wanted.name}. /record stop ends it.", ephemeral=True)

    @app_commands.command(description="End the recording, and make its tracks")
    async def stop(self, interaction: discord.Interaction[RecordingBot]) -> None:
        tape, member = self._bot.tape(_guild(interaction)), _member(interaction)
        if not self._bot.may_command(member, tape.channel):
            raise InputError("not_allowed", "Who may start a recording may also end it, nobody else.")
        await interaction.response.defer(ephemeral=True, thinking=True)
        tape.stop.set()
        ended = await asyncio.shield(tape.ended)
        await interaction.followup.send(ended.text, ephemeral=True)

    @app_commands.command(description="How the recording goes")
    async def status(self, interaction: discord.Interaction[RecordingBot]) -> None:
        await interaction.response.send_message(self._bot.tape(_guild(interaction)).status(), ephemeral=True)

    @app_commands.command(description="Add a line to the recording")
    async def note(
        self, interaction: discord.Interaction[RecordingBot], text: app_commands.Range[str, 1, MAX_NOTE_CHARS]
    ) -> None:
        self._bot.tape(_guild(interaction)).note(text, interaction.user)
        await interaction.response.send_message("Noted.", ephemeral=True)

    @app_commands.command(name="opt-out", description="Never record me in this server")
    async def opt_out(self, interaction: discord.Interaction[RecordingBot]) -> None:
        self._bot.opt_out(_guild(interaction).id, str(interaction.user.id), True)
        await interaction.response.send_message(
            "From now on nothing that you say in this server is kept by this bot. /record opt-in takes it back.",
            ephemeral=True,
        )

    @app_commands.command(name="opt-in", description="I may be recorded again in this server")
    async def opt_in(self, interaction: discord.Interaction[RecordingBot]) -> None:
        self._bot.opt_out(_guild(interaction).id, str(interaction.user.id), False)
        await interaction.response.send_message("From now on you may be recorded in this server.", ephemeral=True)


async def _tell_error(interaction: discord.Interaction[discord.Client], error: app_commands.AppCommandError) -> None:
    """A person's mistake is one sentence for whoever typed it; anything else is a bug."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    if isinstance(cause, RaccallError):
        text = str(cause)
    else:
        log.error("a command failed", exc_info=cause)
        text = "Something went wrong; the bot's log says what."
    if interaction.response.is_done():
        await interaction.followup.send(text, ephemeral=True)
    else:
        await interaction.response.send_message(text, ephemeral=True)


def _guild(interaction: discord.Interaction[RecordingBot]) -> discord.Guild:
    assert interaction.guild is not None, "the commands are for guilds only"
    return interaction.guild


def _member(interaction: discord.Interaction[RecordingBot]) -> discord.Member:
    assert isinstance(interaction.user, discord.Member), "the commands are for guilds only"
    return interaction.user


def _channel_of(member: discord.Member) -> VoiceChannel:
    """Raises InputError "no_channel"."""
    state = member.guild.get_member(member.id)
    voice = state.voice if state is not None else None
    if voice is None or voice.channel is None:
        raise InputError("no_channel", "You are in no voice channel; name one: /record start channel.")
    return voice.channel
