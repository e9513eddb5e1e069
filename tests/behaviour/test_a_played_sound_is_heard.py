"""What a member plays reaches everyone in stereo, whatever their microphone does; a mute ends it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from raccall.audio.files import Samples
from raccall.client import Session, connect
from raccall.client.playback import Ended
from raccall.errors import InputError
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.engine import GateMode, PacketTap, Sound

pytestmark = pytest.mark.realtime

LEFT_HZ, RIGHT_HZ, VOICE_HZ = 440, 660, 250


def tone(pitch_hz: float, seconds: float, loudness: float, rate_hz: int = 48_000) -> Samples:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (loudness * np.sin(2 * np.pi * pitch_hz * times)).astype(np.float32)


def amplitude(sound: Samples, pitch_hz: float) -> float:
    turns = np.exp(-2j * np.pi * pitch_hz * np.arange(len(sound)) / 48_000)
    return float(np.abs(turns @ sound) * 2 / len(sound))


@pytest.fixture
def jingle(tmp_path: Path) -> Path:
    """A second and a half, two different channels, at 44.1 kHz."""
    path = tmp_path / "jingle.flac"
    both = np.stack([tone(LEFT_HZ, 1.5, 0.4, 44_100), tone(RIGHT_HZ, 1.5, 0.2, 44_100)], axis=1)
    soundfile.write(path, both, 44_100)
    return path


@dataclass
class Call:
    """anna plays, ben hears."""

    anna: Session
    own: Sound
    heard: Sound
    taps: list[PacketTap]

    async def hears(self, true: Callable[[Samples], bool]) -> None:
        """Until half a second was like this."""
        recent = np.zeros(0, np.float32)
        async with asyncio.timeout(10):
            while len(recent) < 24_000 or not true(recent):
                await asyncio.sleep(0.05)
                recent = np.append(recent, self.heard.read_playback())[-24_000:]

    def stereo_packets(self) -> list[bool]:
        batch = self.taps[0].read(0)
        return [] if batch is None else [bool(toc & 0x04) for toc in batch.toc]


@asynccontextmanager
async def call(folder: Path, *, voice: Samples | None = None, **joining: object) -> AsyncIterator[Call]:
    async with RunningServer(ServerSettings(host="127.0.0.1", port=0, data=folder / "data")) as server:
        link = server.invite("lounge")
        async with connect(link, name="anna") as anna, connect(link, name="ben") as ben:
            heard, own, taps = Sound.clocked(None, keep_playback=True), Sound.clocked(voice, keep_playback=True), []
            await ben.join(heard, on_tap=taps.append)
            await anna.join(own, **joining)  # type: ignore[arg-type]
            yield Call(anna, own, heard, taps)


async def test_a_file_is_heard_beside_a_voice_and_then_the_voice_alone(tmp_path: Path, jingle: Path) -> None:
    async with call(tmp_path, voice=tone(VOICE_HZ, 20, 0.2)) as it:
        await it.hears(lambda sound: amplitude(sound, VOICE_HZ) > 0.1)
        assert not any(it.stereo_packets())
        playback = await it.anna.play(jingle)
        assert (playback.name, it.anna.playing) == ("jingle", (playback,))
        await it.hears(lambda s: amplitude(s, LEFT_HZ) > 0.15 and amplitude(s, RIGHT_HZ) > 0.07)
        assert await playback.wait() is Ended.FINISHED
        assert playback.position_s == pytest.approx(1.5, abs=0.001) and it.anna.playing == ()
        await it.hears(lambda s: amplitude(s, VOICE_HZ) > 0.1 and amplitude(s, LEFT_HZ) < 0.01)
        packets = it.stereo_packets()
        assert 70 <= sum(packets) <= 80, "what a recorder keeps is stereo while it plays"
        assert not packets[-1]


async def test_it_is_heard_from_who_has_no_microphone_and_whatever_the_gate_says(tmp_path: Path, jingle: Path) -> None:
    async with call(tmp_path, gate_mode=GateMode.PUSH_TO_TALK, dtx=True) as it:
        playback = await it.anna.play(jingle, gain_db=-6.0)
        await it.hears(lambda s: 0.07 < amplitude(s, LEFT_HZ) < 0.12)
        assert await playback.wait() is Ended.FINISHED


async def test_who_plays_hears_it_only_if_asked(tmp_path: Path) -> None:
    async with call(tmp_path) as it:
        for monitor in (False, True):
            it.own.read_playback()
            playback = await it.anna.play(tone(LEFT_HZ, 0.6, 0.4), monitor=monitor)
            await playback.wait()
            await asyncio.sleep(0.1)
            assert bool(np.abs(it.own.read_playback()).max() > 0.3) is monitor


async def test_a_mute_ends_it_and_who_is_muted_plays_nothing(tmp_path: Path) -> None:
    async with call(tmp_path) as it:
        playback = await it.anna.play(tone(LEFT_HZ, 30, 0.4))
        await it.hears(lambda s: amplitude(s, LEFT_HZ) > 0.3)
        await it.anna.set_muted(True)
        assert await playback.wait() is Ended.MUTED
        await it.hears(lambda s: float(np.abs(s).max()) == 0.0)
        with pytest.raises(InputError) as told:
            await it.anna.play(tone(LEFT_HZ, 1, 0.4))
        assert told.value.code == "muted"


async def test_it_can_be_stopped_and_ends_with_the_call(tmp_path: Path) -> None:
    async with call(tmp_path) as it:
        first = await it.anna.play(tone(LEFT_HZ, 30, 0.4))
        first.stop()
        assert await first.wait() is Ended.STOPPED
        second = await it.anna.play(tone(LEFT_HZ, 30, 0.4))
        await it.anna.leave()
        assert await second.wait() is Ended.LEFT
        with pytest.raises(InputError) as told:
            await it.anna.play(tone(LEFT_HZ, 1, 0.4))
        assert told.value.code == "not_in_call"


async def test_a_long_file_is_read_while_it_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 48_000, 2, "PCM_16") as file:
        ten_seconds = np.tile(tone(LEFT_HZ, 10, 0.4)[:, np.newaxis], 2)
        for _ in range(60):
            file.write(ten_seconds)
    read = 0
    ordinary = soundfile.SoundFile.read

    def counting(self: soundfile.SoundFile, frames: int = -1, **kind: object) -> Samples:
        nonlocal read
        read += frames
        return ordinary(self, frames, **kind)  # type: ignore[no-any-return]

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    async with call(tmp_path) as it:
        playback = await it.anna.play(path)
        await it.hears(lambda s: amplitude(s, LEFT_HZ) > 0.3)
        assert 0 < read < 6 * 48_000 + playback.position_s * 48_000
        playback.stop()
        await playback.wait()


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("nothing.wav", "unreadable_audio"),
        (".", "unreadable_audio"),
        (__file__, "unreadable_audio"),
        (np.zeros((4, 3), np.float32), "unsuitable_samples"),
        (np.zeros(0, np.float32), "unsuitable_samples"),
    ],
)
async def test_what_is_no_sound_is_told_in_one_sentence(tmp_path: Path, source: str | Samples, code: str) -> None:
    async with call(tmp_path) as it:
        with pytest.raises(InputError) as told:
            await it.anna.play(source)
        assert told.value.code == code and str(told.value).count(".") >= 1
        assert it.anna.playing == ()


async def test_not_too_loud_and_not_from_who_only_listens(tmp_path: Path, jingle: Path) -> None:
    async with call(tmp_path) as it:
        with pytest.raises(InputError) as told:
            await it.anna.play(jingle, gain_db=13.0)
        assert told.value.code == "gain_out_of_range"
        await it.anna.join(None)
        with pytest.raises(InputError) as told:
            await it.anna.play(jingle)
        assert told.value.code == "listen_only"
