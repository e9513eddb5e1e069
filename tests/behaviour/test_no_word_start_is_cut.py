"""With voice activation, every word is sent from its beginning, in a noisy room too, and the room alone is not."""

from pathlib import Path

import numpy as np
import pytest

import raccall.testing
from raccall._native import Cipher
from raccall.audio.files import read_samples
from raccall.testing.call import KEY, MODE
from raccall.units import FRAME_SAMPLES, Nanos
from raccall.voice.chains import SendChain
from raccall.voice.engine import GateMode
from raccall.wire.packet import Packet

SPEECH = Path(raccall.testing.__file__).parent / "speech"
PAUSE_FRAMES = 150
AUDIBLE_DB = 30.0
"""Below its loudest 20 ms a frame is no part of a word that one hears."""


def sent_frames(samples: np.ndarray, mode: GateMode, pressed: range = range(0)) -> set[int]:
    """Which frames of 20 ms went out with sound in them."""
    chain, cipher = SendChain(1, MODE, KEY, complexity=0), Cipher(MODE, KEY)
    chain.set_gate_mode(mode)
    sent = set()
    for number, frame in enumerate(np.split(samples, len(samples) // FRAME_SAMPLES)):
        chain.set_pressed(number in pressed)
        now = Nanos(number * 20_000_000)
        first = chain.push(frame, now)
        for datagram in [first] if first is not None else []:
            packet = Packet.parse(cipher.open(datagram))
            if len(packet.payload) > 3:
                sent.add(packet.timestamp // FRAME_SAMPLES)
        for datagram in chain.more(now):
            sent.add(Packet.parse(cipher.open(datagram)).timestamp // FRAME_SAMPLES)
    return sent


def level_db(samples: np.ndarray) -> np.ndarray:
    frames = samples.reshape(-1, FRAME_SAMPLES)
    return np.asarray(10 * np.log10((frames**2).mean(axis=1) + 1e-12))


def spoken(noise_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Clips with 3 s between them in a room of `noise_db`; and which frames hold audible speech."""
    parts = [np.zeros(PAUSE_FRAMES * FRAME_SAMPLES, np.float32)]
    for path in sorted(SPEECH.glob("*.flac")):
        clip = read_samples(path)
        clip = clip[: len(clip) // FRAME_SAMPLES * FRAME_SAMPLES]
        parts += [clip * (0.1 / np.sqrt((clip**2).mean())), parts[0]]
    clean = np.concatenate(parts).astype(np.float32)
    levels = level_db(clean)
    audible = levels > levels.max() - AUDIBLE_DB
    noise = np.random.default_rng(1).standard_normal(len(clean)) * 10 ** (noise_db / 20)
    return (clean + noise).astype(np.float32), audible


@pytest.mark.parametrize("noise_db", [-70.0, -55.0])
def test_every_audible_frame_of_speech_is_sent_and_the_room_is_not(noise_db: float) -> None:
    samples, audible = spoken(noise_db)
    sent = sent_frames(samples, GateMode.VOICE)
    cut = [int(number) for number in np.flatnonzero(audible) if number not in sent]
    assert cut == []
    pauses = [
        number
        for number in range(PAUSE_FRAMES, len(audible))
        if not audible[max(number - 30, 0) : number + 10].any()  # hang-over and pre-roll
    ]
    assert len(pauses) > 300
    assert len(sent.intersection(pauses)) < 0.05 * len(pauses)


def test_a_held_key_sends_what_was_said_from_just_before_it_until_just_behind_it() -> None:
    samples, _ = spoken(-70.0)
    assert sent_frames(samples, GateMode.PUSH_TO_TALK, range(200, 250)) == set(range(197, 260))


def test_an_open_microphone_sends_everything() -> None:
    samples, audible = spoken(-55.0)
    assert len(sent_frames(samples, GateMode.OPEN)) == len(audible)
