"""The bot of the 2021 article about recording Discord: it joins where you are, and posts thirty seconds as a WAV file.

RACCALL_DISCORD_TOKEN=… python examples/discord_article.py          then type !record in the voice channel's chat

Reading what people type needs the "message content" intent, to be switched on in Discord's developer portal.
"""

import os

import discord

import raccall
from raccall.errors import RaccallError

RECORD_TIME = float(os.environ.get("RECORD_TIME", "30"))


class Bot(discord.Client):
    async def on_message(self, message: discord.Message) -> None:
        if message.content != "!record" or message.guild is None:
            return
        member = message.guild.get_member(message.author.id)
        if member is None or member.voice is None or member.voice.channel is None:
            await message.channel.send("Join a voice channel first.")
            return
        try:
            vc = await member.voice.channel.connect(cls=raccall.discord.RecordingVoiceClient)
            wav = await vc.record(record_time=RECORD_TIME)
        except RaccallError as error:
            await message.channel.send(str(error))
            return
        await vc.disconnect()
        await message.channel.send("Here it is.", file=discord.File(wav, "recording.wav"))


if __name__ == "__main__":
    intents = discord.Intents(guilds=True, voice_states=True, guild_messages=True, message_content=True)
    Bot(intents=intents).run(os.environ["RACCALL_DISCORD_TOKEN"])
