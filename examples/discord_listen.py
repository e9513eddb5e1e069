"""A Discord bot that draws who speaks in a voice channel, as it happens.

RACCALL_DISCORD_TOKEN=… python examples/discord_listen.py CHANNEL_ID --seconds 60
"""

import argparse
import asyncio
import os
import sys

import discord
import numpy as np

import raccall


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("channel", type=int, metavar="CHANNEL_ID")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    async with discord.Client(intents=discord.Intents(guilds=True, voice_states=True)) as client:
        running = asyncio.create_task(client.start(os.environ["RACCALL_DISCORD_TOKEN"]))
        await client.wait_until_ready()
        channel = client.get_channel(options.channel)
        ticks = left = round(options.seconds * 50)
        energy: dict[str, float] = {}
        async for tick in raccall.discord.listen(channel):  # every 20 ms
            for user_id, frame in tick.frames.items():  # float32, (960, 1), 48 kHz
                energy[user_id] = energy.get(user_id, 0.0) + float(np.square(frame).mean())
            left -= 1
            if left % 50 == 0 or not left:
                for user_id, sum_of_squares in energy.items():
                    member = channel.guild.get_member(int(user_id))
                    bar = "#" * max(0, 60 + round(10 * np.log10(sum_of_squares / 50 + 1e-9)))
                    print(f"{(ticks - left) / 50:5.0f} s {member.display_name if member else user_id:>12} {bar}")
                energy.clear()
            if not left:
                break
        await client.close()
        await running


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
