"""Two clients on real sound devices: spoken into one's microphone, heard at the other's loudspeaker; unplugged, plugged
in again, still heard."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from raccall.audio.files import Samples, SoundWriter, read_samples
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.testing.dialogue import OWN_SPEECH
from raccall.testing.intelligibility import delay_samples, intelligibility
from raccall.units import SAMPLE_RATE_HZ
from tests.reading import line_with

pytestmark = pytest.mark.realtime

RUN = "import sys; from raccall.cli.main import main; sys.exit(main())"
MICROPHONE = "source_name=mic master=feed.monitor source_properties=device.description=Microphone"
SPEECH_S = 3
UNDER_WAY_S = 0.6
"""Two sound cards of PulseAudio, processing, jitter buffer."""


class Person:
    """`raccall join --plain` with the devices of one test's PulseAudio."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def join(cls, environment: dict[str, str], *words: str) -> "Person":
        command = [sys.executable, "-c", RUN, "join", *words]
        person = cls(await asyncio.create_subprocess_exec(*command, env=environment, stdin=PIPE, stdout=PIPE))
        await person.reads("You are in")
        return person

    async def reads(self, text: str) -> str:
        """The next line with `text` in it."""
        return await line_with(text, self._process.stdout)

    async def leave(self) -> None:
        await self._process.communicate(b"/quit\n")
        assert self._process.returncode == 0


async def pulse(environment: dict[str, str], *command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE)
    await process.communicate()
    assert process.returncode == 0, command


async def heard_of(speech: Path, heard: Path, environment: dict[str, str]) -> Samples:
    """Play a file into the microphone; what the other's loudspeaker plays meanwhile."""
    with heard.open("wb") as file:
        raw = ("--format=s16le", "--rate=48000", "--channels=1", "--latency-msec=20")
        recording = await asyncio.create_subprocess_exec(
            "parec", "--device=far.monitor", *raw, env=environment, stdout=file
        )
        try:
            await pulse(environment, "paplay", "--device=feed", "--latency-msec=20", str(speech))
            await asyncio.sleep(UNDER_WAY_S)
        finally:
            recording.terminate()
            await recording.wait()
    return np.fromfile(heard, "<i2").astype(np.float32) / 32768


def understood(said: Samples, heard: Samples) -> float:
    """How much of it arrived. The recording began some time before."""
    loud = np.abs(heard) > 0.02
    assert loud.any(), "nothing was heard"
    begin = max(int(np.argmax(loud)) - SAMPLE_RATE_HZ // 5, 0)
    assert delay_samples(said, heard[begin:]) < 0.4 * SAMPLE_RATE_HZ
    return intelligibility(said, heard[begin:])


async def test_spoken_here_heard_there_also_after_the_microphone_was_gone(
    pulseaudio: tuple[object, dict[str, str]], tmp_path: Path
) -> None:
    _, environment = pulseaudio
    said = read_samples(OWN_SPEECH / "anna_1.flac")[: SPEECH_S * SAMPLE_RATE_HZ]
    speech = tmp_path / "speech.wav"
    with SoundWriter(speech) as writer:
        writer.write(said)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(30))
        settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data")
        link = (await stack.enter_async_context(RunningServer(settings))).invite()
        devices = ("--mic", "Monitor of Speaker", "--speaker", "Far", "--muted")
        anna, ben = await asyncio.gather(
            Person.join(
                environment,
                link,
                "--name",
                "anna",
                "--plain",
                "--mic",
                "Microphone",
                *["--noise", "off", "--no-auto-gain", "--no-echo-cancel"],
            ),
            Person.join(environment, link, "--name", "ben", "--plain", *devices),
        )
        stack.push_async_callback(anna.leave)
        stack.push_async_callback(ben.leave)
        first = understood(said, await heard_of(speech, tmp_path / "first", environment))
        await pulse(environment, "pactl", "unload-module", "module-remap-source")
        told = await anna.reads("The microphone fell silent")
        await pulse(environment, "pactl", "load-module", "module-remap-source", *MICROPHONE.split())
        assert "The microphone is back: Microphone." in await anna.reads("is back")
        second = understood(said, await heard_of(speech, tmp_path / "second", environment))
    assert "Monitor of" in told
    assert first > 0.8 and second > 0.8, "0.95 to 0.97 unless the machine is busy; 0.75 where the rate had fallen"
