"""Everybody in a channel is told that it is recorded: in its text chat, and by the bot's name.

Without a posted notice nothing is kept. The name is a help, not the condition: where the bot may not change it, the
notice says so.
"""

from contextlib import suppress

import discord

from raccall.discord.entry import VoiceChannel
from raccall.discord.errors import NotAnnounced

MARK = "[REC] "
MAX_NICKNAME_CHARS = 32


async def announce(channel: VoiceChannel, *, started_by: str = "", opt_out: bool = True) -> None:
    """Post that the channel is recorded from now on. Raises NotAnnounced: then nothing may be kept.

    started_by: who asked for it. opt_out: whether there is a command to say no.
    """
    shown = await mark(channel.guild.me)
    by = f", started by {discord.utils.escape_markdown(started_by)}" if started_by else ""
    lines = [f"**This channel is being recorded from now on**{by}: a track of each speaker, and a mix."]
    if opt_out:
        lines.append("Who does not want to be in it: `/record opt-out`, or leave the channel.")
    else:
        lines.append("Who does not want to be in it, please leave the channel.")
    if not shown:
        lines.append("(My name cannot show it: I lack the permission to change my nickname.)")
    try:
        await channel.send("\n".join(lines), allowed_mentions=discord.AllowedMentions.none())
    except discord.HTTPException as error:
        await unmark(channel.guild.me)
        raise NotAnnounced(
            "notice_refused",
            f"Nobody in {channel.name} could be told of the recording, so nothing is recorded: the bot needs the"
            f" permissions View Channel and Send Messages there ({error.text or 'Discord refused the message'}).",
        ) from None


async def announce_end(channel: VoiceChannel, *, why: str = "") -> None:
    """Post that nothing is kept any more. Nobody is harmed if that fails."""
    await unmark(channel.guild.me)
    with suppress(discord.HTTPException):  # the channel is gone, or we may not write any more
        await channel.send(f"The recording has ended{': ' + why if why else '.'}")


async def announce_move(former: VoiceChannel, channel: VoiceChannel) -> None:
    """Post where nothing is kept any more that the recording has gone elsewhere."""
    with suppress(discord.HTTPException):
        await former.send(f"The recording goes on in {channel.name}, and no longer here.")


async def mark(me: discord.Member) -> bool:
    """Show [REC] in front of the bot's name. False if it may not."""
    if me.display_name.startswith(MARK):
        return True
    return await _rename(me, (MARK + me.display_name)[:MAX_NICKNAME_CHARS])


async def unmark(me: discord.Member) -> None:
    """Take [REC] away: also what a recording left behind that ended with its program."""
    if me.nick is not None and me.nick.startswith(MARK):
        name = me.nick.removeprefix(MARK)
        await _rename(me, None if name == me.global_name or name == me.name else name)


async def _rename(me: discord.Member, nickname: str | None) -> bool:
    try:
        await me.edit(nick=nickname)
    except discord.HTTPException:
        return False
    return True
