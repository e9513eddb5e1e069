"""May we enter a voice channel? Discord silently ignores who may not, so it is looked at before."""

import discord

from raccall.discord.errors import VoiceRefused

VoiceChannel = discord.VoiceChannel | discord.StageChannel


def check_entry(channel: VoiceChannel) -> None:
    """Raises VoiceRefused "missing_permission" or "channel_full"."""
    allowed = channel.permissions_for(channel.guild.me)
    if not (allowed.view_channel and allowed.connect):
        raise VoiceRefused(
            "missing_permission", f"The bot may not connect to {channel.name}: give it View Channel and Connect there."
        )
    full = 0 < channel.user_limit <= len(channel.voice_states)
    inside = channel.guild.me.id in channel.voice_states
    if full and not inside and not (allowed.move_members or allowed.administrator):
        raise VoiceRefused("channel_full", f"{channel.name} is full: {channel.user_limit} people are in it.")
