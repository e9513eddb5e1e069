"""Processing's Python face, and what it does to speech."""

import numpy as np
import pytest

from raccall.errors import InputError
from raccall.testing.dialogue import OWN_SPEECH, read_samples
from raccall.units import Nanos
from raccall.voice.engine import Sound
from raccall.voice.processing import OFF, EchoReference, NoiseSuppression, Processing, Processor, require_mono

pytestmark = pytest.mark.realtime

FRAME = 480
ACTIVE = 1e-3  # of the peak power: what is softer is a pause
ONLY_GAIN = Processing(echo=False, noise=NoiseSuppression.OFF, high_pass=False)


def speech(name: str, level_db: float, seconds: float) -> np.ndarray:
    """A voice that goes on and on, its active parts at `level_db`."""
    samples = read_samples(OWN_SPEECH / f"{name}.flac")
    samples = np.resize(samples, int(seconds * 100) * FRAME).astype(np.float32)
    return samples * np.float32(10 ** (level_db / 20) / active_level(samples))


def active_level(samples: np.ndarray) -> float:
    power = samples.astype(np.float64) ** 2
    return float(np.sqrt(power[power > power.max() * ACTIVE].mean()))


def run(processor: Processor, near: np.ndarray, far: np.ndarray | None = None) -> np.ndarray:
    out = []
    for start in range(0, len(near) - FRAME + 1, FRAME):
        if far is not None:
            processor.reverse(far[start : start + FRAME])
        out.append(processor.capture(near[start : start + FRAME])[:, 0])
    return np.concatenate(out)


@pytest.mark.parametrize("shape", [(479,), (480, 2), (960, 1), (1, 480)])
def test_ten_milliseconds_and_nothing_else(shape: tuple[int, ...]) -> None:
    processor = Processor(Processing())
    for give in (processor.capture, processor.reverse):
        with pytest.raises(ValueError, match="10 ms have the shape"):
            give(np.zeros(shape, np.float32))


def test_an_unknown_suppressor_is_refused() -> None:
    with pytest.raises(ValueError, match="off, light or neural"):
        Processor(Processing(noise="strong"))  # type: ignore[arg-type]


def test_off_is_bit_exact() -> None:
    voice = speech("anna_1", -20, 1)
    assert (run(Processor(OFF), voice, voice) == voice).all()


def test_two_channels_are_refused_what_would_not_be_done_to_them() -> None:
    stereo = Sound.clocked(np.zeros((480, 2), np.float32), keep_playback=False)
    assert stereo.capture_channels == 2
    require_mono(stereo, OFF)
    with pytest.raises(InputError, match="Two channels are sent as they are"):
        require_mono(stereo, Processing(echo=False))
    for mono in (
        None,
        Sound.clocked(None, keep_playback=False),
        Sound.clocked(np.zeros(480, np.float32), keep_playback=False),
    ):
        require_mono(mono, Processing())


@pytest.mark.parametrize("level_db", [-50, -40, -30, -20, -10])
def test_a_voice_of_any_level_comes_to_one_within_five_seconds(level_db: float) -> None:
    voice = np.clip(speech("ben_1", level_db, 9), -1, 1)
    out = run(Processor(ONLY_GAIN), voice)
    assert np.abs(out).max() <= 1
    after_db = 20 * np.log10(active_level(out[5 * 48_000 :]))
    assert after_db == pytest.approx(-20, abs=3)


def test_an_echo_goes_and_the_own_voice_stays() -> None:
    far, near = speech("anna_1", -20, 6), speech("ben_1", -26, 6)
    echo = 0.3 * np.concatenate((np.zeros(3000, np.float32), far))[: len(far)]
    processor = Processor(Processing(noise=NoiseSuppression.OFF, gain_control=False))
    alone = run(processor, echo, far)
    before, after = (float(np.mean(sound[4 * 48_000 :] ** 2)) for sound in (echo, alone))
    assert before / after > 1e3
    heard = run(processor, near, np.zeros_like(near))
    assert active_level(heard[48_000:]) == pytest.approx(active_level(near), rel=0.15)


def test_the_neural_suppressor_takes_key_strokes_away_and_leaves_the_voice() -> None:
    """A voice alone, then with key strokes as loud as it, then these alone: what the older model could not do."""
    voice = speech("ben_1", -23, 6)
    voice[4 * 48_000 :] = 0
    rng = np.random.default_rng(7)
    keys = np.zeros_like(voice)
    for start in range(2 * 48_000, len(keys) - 2_000, 9_000):
        keys[start : start + 900] = 0.2 * rng.standard_normal(900) * np.exp(-np.arange(900) / 150)
    neural = Processing(echo=False, noise=NoiseSuppression.NEURAL, gain_control=False, high_pass=False)
    out = run(Processor(neural), voice + keys)
    out = np.concatenate((out[960:], np.zeros(960, np.float32)))  # it adds 20 ms

    alone, disturbed, left = (slice(48_000 * start, 48_000 * end) for start, end in ((0, 2), (2, 4), (5, 6)))
    assert np.corrcoef(voice[alone], out[alone])[0, 1] > 0.97
    assert np.corrcoef(voice[disturbed], out[disturbed])[0, 1] > 0.97
    assert 20 * np.log10(keys[left].std() / (out[left].std() + 1e-9)) > 40


def test_what_is_told_follows_what_is_on() -> None:
    processor, voice = Processor(OFF), speech("anna_1", -20, 2)
    report = processor.report()
    assert (report.erle_db, report.echo_delay_ms, report.noise_db, report.voice_probability) == (None,) * 4
    processor.set(Processing(gain_db=3))
    run(processor, voice, np.zeros_like(voice))
    report = processor.report()
    assert report.erle_db is not None and report.echo_delay_ms is not None
    assert report.noise_db is not None and report.noise_db < -40
    assert report.voice_probability is not None and 0 <= report.voice_probability <= 1
    processor.set(Processing(echo=False, noise=NoiseSuppression.NEURAL, gain_control=False))
    probabilities = [
        run(processor, voice[start : start + FRAME]) is not None and processor.report().voice_probability
        for start in range(0, len(voice), FRAME)
    ]
    assert max(probabilities) > 0.9 > 0.5 > min(probabilities)
    processor.reset()
    assert processor.report().gain_db == 0


def test_the_reference_is_one_frame_for_each_of_the_microphone() -> None:
    reference = EchoReference()
    reference.push(np.arange(4800, dtype=np.float32))
    frames = np.concatenate([reference.pull()[:, 0] for _ in range(2)])
    assert (frames == np.arange(3840, 4800)).all()
    assert not reference.pull().any()  # nothing came in time
    assert reference.jumps == 1
    assert reference.take_clocks(played=(480, Nanos(10**9)), captured=(480, Nanos(10**9))) == 0
