"""A Discord bot that records one voice channel for a while, and says who spoke how loud.

RACCALL_DISCORD_TOKEN=… python examples/discord_record.py CHANNEL_ID --out monday --seconds 60
"""

import argparse
import asyncio
import os
import sys

import discord
import numpy as np

import raccall
from raccall.errors import RaccallError


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("channel", type=int, metavar="CHANNEL_ID")
    parser.add_argument("--out", metavar="DIR", help="keep the recording there (default: gone at the end)")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    async with discord.Client(intents=discord.Intents(guilds=True, voice_states=True)) as client:
        running = asyncio.create_task(client.start(os.environ["RACCALL_DISCORD_TOKEN"]))
        await client.wait_until_ready()
        channel = client.get_channel(options.channel)
        try:
            recording = await raccall.discord.record(channel, seconds=options.seconds, path=options.out)
        except RaccallError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            await client.close()
            await running
    print(recording)
    for speaker in recording.speakers:
        frames = recording.frames(speaker.file_name)  # float32, (frames, channels), 48 kHz
        print(f"{speaker.name}: loudest sample {20 * np.log10(np.abs(frames).max() + 1e-9):.0f} dBFS")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
