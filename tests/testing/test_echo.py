"""`raccall echo`: what goes into the microphone comes out of the loudspeaker, through every stage of a call."""

import asyncio
import contextlib
import json
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raccall.audio.files import Samples, SoundWriter, read_samples
from raccall.cli.main import EXIT_INPUT, main
from raccall.testing.dialogue import OWN_SPEECH
from raccall.testing.echo import EchoCall, levels
from raccall.testing.intelligibility import intelligibility
from raccall.testing.stages import WORDS, Stages, change, change_all, describe
from raccall.units import SAMPLE_RATE_HZ
from raccall.voice.engine import Sound
from raccall.voice.processing import IDLE, OFF, NoiseSuppression
from tests.figures import STATS

pytestmark = pytest.mark.realtime

LENGTH_S = 2
RUN = "import sys; from raccall.cli.main import main; sys.exit(main())"


@pytest.fixture
def said() -> Samples:
    return read_samples(OWN_SPEECH / "anna_1.flac")[: LENGTH_S * SAMPLE_RATE_HZ]


@pytest.fixture
def speech(said: Samples, tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    with SoundWriter(path) as writer:
        writer.write(said)
    return path


def test_one_hears_what_one_said_as_late_as_asked(
    speech: Path, said: Samples, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = tmp_path / "heard.wav"
    assert main(["echo", "--mic", str(speech), "--speaker", str(heard), "--delay-ms", "300", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["stages"]["processing"]["echo"] is False, "a file is left as it is"
    assert told["stats"]["sources"][0]["lost"] == 0
    played = read_samples(heard)
    first = int(np.argmax(np.abs(played) > 0.02)) - int(np.argmax(np.abs(said) > 0.02))
    assert 0.3 <= first / SAMPLE_RATE_HZ <= 0.5
    assert intelligibility(said, played[int(0.25 * SAMPLE_RATE_HZ) :]) > 0.95


async def test_loss_is_typed_and_heard(speech: Path, said: Samples, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    words = ["echo", "--mic", speech, "--speaker", heard, "--delay-ms", "0"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, *map(str, words), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate(b"/loss 90\n/loss all\n/gain\n/stats\n")
    assert (process.returncode, errors) == (0, b"")
    text = output.decode()
    assert "loss 90 %" in text and "loss is 0 to 90 percent, and not 'all'." in text
    assert "\x1b" not in text, "no row of levels where nobody looks"
    assert text.count("Type /music /echo /noise") == 2, "at the beginning, and at what is no order"
    assert intelligibility(said, read_samples(heard)) < 0.7


async def test_a_change_loses_nothing_of_what_is_under_way(said: Samples) -> None:
    sound = Sound.clocked(said, keep_playback=True)
    async with EchoCall(sound, Stages(processing=OFF, delay_ms=600), seed=1) as call:
        for word, value in (("bitrate", "64000"), ("gain", "0"), ("jitter-ms", "10")):
            await asyncio.sleep(LENGTH_S / 4)
            call.change(word, value)
        while not sound.capture_done:  # noqa: ASYNC110 (a flag of a native thread)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.9)
        assert [source.ssrc for source in call.stats().sources][-1] == 3, "two of the changes took a new engine"
    assert intelligibility(said, sound.read_playback()[SAMPLE_RATE_HZ // 2 :]) > 0.8


def test_words_change_one_thing_each() -> None:
    stages = Stages()
    for word, value in (("noise", "neural"), ("echo", "off"), ("gain", "-6"), ("loss", "20"), ("bitrate", "16000")):
        stages = change(stages, word, value)
    processing = stages.processing
    assert (processing.noise, processing.echo, processing.gain_db) == (NoiseSuppression.NEURAL, False, -6)
    assert (processing.gain_control, processing.high_pass) == (True, True)
    assert (stages.conditions.loss, stages.bitrate_bps, stages.jitter_ms) == (0.2, 16_000, 0)


def test_music_is_sent_as_it_is_unless_more_is_said() -> None:
    music = change(Stages(), "music", "on")
    assert (music.music, music.processing, music.bitrate_bps) == (True, OFF, 96_000)
    assert "music at 96000 b/s" in describe(music)
    options = dict.fromkeys(WORDS) | {"noise": "light", "bitrate": "64000", "music": "on"}
    chosen = change_all(Stages(), options)
    assert (chosen.music, chosen.processing.noise, chosen.bitrate_bps) == (True, NoiseSuppression.LIGHT, 64_000)
    speech = change(music, "music", "off")
    assert (speech.music, speech.processing, speech.bitrate_bps) == (False, OFF, 32_000)


async def test_music_takes_an_engine_of_its_own(said: Samples) -> None:
    sound = Sound.clocked(said, keep_playback=True)
    async with EchoCall(sound, Stages(processing=OFF, delay_ms=0), seed=1) as call:
        call.change("music", "on")
        call.change("noise", "off")
        async with asyncio.timeout(10):
            while call.stats().bitrate_bps != 96_000:  # noqa: ASYNC110 (a number of a native thread)
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--loss", "91"], "stage_value"),
        (["--gain", "nan"], "stage_value"),
        (["--echo", "maybe"], "stage_value"),
        (["--noise", "loud"], "stage_value"),
        (["--bitrate", "5999"], "stage_value"),
        (["--seconds", "0"], "seconds_out_of_range"),
        (["--mic", "nothing.wav"], "unreadable_audio"),
        (["--mic", "Built-in", "--speaker", "heard.wav"], "sound_mixed"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["echo", *words]) == EXIT_INPUT
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.endswith(f"[{code}]\n")


def test_a_line_of_levels_fits_a_terminal() -> None:
    quiet = levels(replace(STATS, sources=(), input_level_db=-1.0, processing=replace(IDLE, captured_db=-27.0)))
    assert quiet == "microphone ████      -27  processed ███████▉   -1  came back          -127 dB"
    assert len(quiet) < 80


async def test_levels_live_in_the_last_row_of_a_terminal(tmp_path: Path) -> None:
    """Louder behind the gain, and back again."""
    with SoundWriter(tmp_path / "tone.wav") as writer:
        writer.write((0.05 * np.sin(np.arange(LENGTH_S * SAMPLE_RATE_HZ) * 0.05)).astype(np.float32))
    words = [
        "echo",
        "--mic",
        tmp_path / "tone.wav",
        "--speaker",
        tmp_path / "heard.wav",
        "--delay-ms",
        "0",
        "--gain",
        "12",
    ]
    command = [sys.executable, "-c", RUN, *map(str, words)]
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=theirs, stderr=PIPE)
    os.close(theirs)
    shown = await asyncio.to_thread(read_terminal, ours)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    rows = re.findall(
        r"\x1b\[24;1H\x1b\[Kmicrophone \S* +(-\d+)  processed \S* +(-\d+)  came back \S* +(-\d+) dB", shown
    )
    assert len(rows) >= 5
    captured, processed, back = np.median(np.array(rows, int), axis=0)
    assert captured == -29 and processed == -17 and abs(back - processed) <= 2
    assert shown.rstrip().endswith("\x1b[r\x1b8"), "the row is given back"


def read_terminal(end: int) -> str:
    """Until the program on it has ended."""
    data = b""
    with os.fdopen(end, "rb", buffering=0) as terminal, contextlib.suppress(OSError):  # Linux's way to say: it ended
        while piece := terminal.read(4096):
            data += piece
    return data.decode()
