"""Record a Discord channel in one line.

    recording = await raccall.discord.record(channel, seconds=30)

The channel's text chat is told before anything is kept, and when it is over; the bot's name shows [REC].
"""

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from os import PathLike
from pathlib import Path

import numpy as np

from raccall.discord.entry import VoiceChannel
from raccall.discord.errors import AlreadyRecording, VoiceRefused
from raccall.discord.keep import keep_channel
from raccall.discord.opt_outs import OptOuts
from raccall.discord.voice_client import RecordingVoiceClient
from raccall.errors import InputError
from raccall.recorder import check_folder
from raccall.recorder.destination import destination
from raccall.recorder.limiter import limited
from raccall.recorder.recording import Recording
from raccall.units import SAMPLE_RATE_HZ
from raccall.waiting import first_of

CONNECT_WITHIN_S = 30.0


async def record(
    channel: VoiceChannel,
    *,
    seconds: float | None = None,
    stop: asyncio.Event | None = None,
    path: str | PathLike[str] | None = None,
    opted_out: Collection[str] = (),
    started_by: str = "",
    connect_with: type[RecordingVoiceClient] = RecordingVoiceClient,
) -> Recording:
    """Join a channel, keep it until the first of the given ends, make its tracks, and return it.

    seconds: stop after this long. stop: stop when it is set. It also ends when the bot is thrown out.
    path: new or empty folder for the recording; without it, a temporary one that is deleted with the Recording
    (`Recording.save` keeps it). opted_out: user ids of those who must not be in it. started_by: for the notice.
    connect_with: a subclass of RecordingVoiceClient, if need be.

    A connection that the bot has in this channel is used, and stays; else one is made, and left. Raises NotAnnounced,
    AlreadyRecording, NotReady, VoiceRefused (`raccall.discord.errors`), ConnectionFailed, InputError, StorageError,
    each with one sentence; what was received until a failure stays in the folder that the error's note names.
    """
    if seconds is None and stop is None:
        raise InputError("no_end", "Say when to stop: seconds or stop.")
    if seconds is not None and not seconds > 0:
        raise InputError("seconds_out_of_range", "seconds must be more than 0.")
    if path is not None:
        check_folder(Path(path))
    async with connection(channel, connect_with) as voice:
        return await _record(voice, seconds, stop, path, opted_out, started_by)


async def record_wav(voice: RecordingVoiceClient, seconds: float, opted_out: Collection[str]) -> io.BytesIO:
    """As `RecordingVoiceClient.record` tells."""
    if not seconds > 0:
        raise InputError("seconds_out_of_range", "seconds must be more than 0.")
    recording = await _record(voice, seconds, None, None, opted_out, "")
    return await asyncio.to_thread(stereo_wav, recording)


def stereo_wav(recording: Recording) -> io.BytesIO:
    """The mix as a WAV file, always with two channels, to be read from its beginning."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(2)
        wav.setframerate(SAMPLE_RATE_HZ)
        for piece in limited(block.mix for block in recording.blocks()):
            both = piece if piece.shape[1] == 2 else np.repeat(piece, 2, axis=1)
            wav.writeframes(np.rint(both * 32767).astype("<i2").tobytes())
    file.seek(0)
    return file


async def _record(
    voice: RecordingVoiceClient,
    seconds: float | None,
    stop: asyncio.Event | None,
    path: str | PathLike[str] | None,
    opted_out: Collection[str],
    started_by: str,
) -> Recording:
    """Keep, finish, open. The connection stays."""
    opt_outs = OptOuts()
    for user_id in opted_out:
        opt_outs.set(voice.guild.id, user_id, True)
    with destination(path) as target:
        async with keep_channel(voice, target.folder, opt_outs=opt_outs, started_by=started_by, stay=True) as kept:
            ends = [kept.failed()] if stop is None else [kept.failed(), stop.wait()]
            await first_of(ends, at_most_s=seconds)
            await kept.finish()
    return target.recording()


@asynccontextmanager
async def connection(
    channel: VoiceChannel, connect_with: type[RecordingVoiceClient]
) -> AsyncIterator[RecordingVoiceClient]:
    """The one that is there, or a new one that is left at the end."""
    present = channel.guild.voice_client
    if isinstance(present, RecordingVoiceClient) and present.channel.id == channel.id:
        yield present
        return
    if present is not None:
        raise AlreadyRecording(
            "voice_in_use", f"The bot is in another voice channel of {channel.guild.name}, and can be in one only."
        )
    voice = await enter(channel, connect_with)
    try:
        yield voice
    finally:
        await voice.disconnect(force=True)


async def enter(channel: VoiceChannel, connect_with: type[RecordingVoiceClient]) -> RecordingVoiceClient:
    """Connect. Raises VoiceRefused, ConnectionFailed."""
    try:
        return await channel.connect(cls=connect_with, timeout=CONNECT_WITHIN_S)
    except TimeoutError:
        raise VoiceRefused(
            "voice_unanswered", f"Discord does not answer the wish to join {channel.name}; try again."
        ) from None
