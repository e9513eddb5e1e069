"""Who is in a voice channel, as discord.py's main gateway knows it. Compared, not followed: so nothing is missed."""

from dataclasses import dataclass

import discord

from raccall.discord.entry import VoiceChannel


@dataclass(frozen=True, slots=True)
class Present:
    """One person, or bot, besides ourselves."""

    user_id: str
    name: str
    muted: bool
    """By themselves, by a moderator, or in the audience of a stage."""


def present(channel: VoiceChannel) -> dict[str, Present]:
    """By user id, in the order Discord tells them."""
    own = channel.guild.me.id
    return {
        str(user_id): Present(
            str(user_id), _name(channel.guild, user_id), state.self_mute or state.mute or state.suppress
        )
        for user_id, state in channel.voice_states.items()
        if user_id != own
    }


def _name(guild: discord.Guild, user_id: int) -> str:
    """As the guild knows them; the id where discord.py has not seen more."""
    member = guild.get_member(user_id)
    return member.display_name if member is not None else str(user_id)
