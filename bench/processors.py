"""What processes a microphone, ours and others', behind one interface: how each wants to be fed.

10 ms at a time: what is about to sound, then what the microphone heard. Ours gets the far end as an engine gives it,
through its EchoReference with the callbacks' clocks; the peers have no part for that and get the frames as they are.
"""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from bench.report import CannotRun
from bench.sounds import VOICES, Sound, cycle, voice
from raccall.units import SAMPLE_RATE_HZ, Nanos
from raccall.voice.processing import EchoReference, NoiseSuppression, Processing, Processor

FRAME = SAMPLE_RATE_HZ // 100
INT16 = 32768
LAG_PROBE_S = 5
MAX_LAG_S = 0.1


class System(Protocol):
    def run(self, far: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Each float32, shape (480,)."""


Make = Callable[[], System]


class Ours:
    def __init__(self, processing: Processing) -> None:
        self._processor = Processor(processing)

    def run(self, far: np.ndarray, near: np.ndarray) -> np.ndarray:
        self._processor.reverse(far)
        return self._processor.capture(near)[:, 0]


class OursInACall:
    """As in an engine: the loudspeaker's clock is `drift_ppm` slower than the microphone's, and both cards tell theirs.

    `far` is cut by the loudspeaker's clock: it is handed over when that has come to it.
    """

    def __init__(self, processing: Processing, drift_ppm: float) -> None:
        self._processor = Processor(processing)
        self._reference = EchoReference()
        self._ratio = 1 / (1 + drift_ppm * 1e-6)
        self._played = self._captured = 0
        self._far: list[np.ndarray] = []

    def run(self, far: np.ndarray, near: np.ndarray) -> np.ndarray:
        self._far.append(far)
        self._captured += FRAME
        while self._far and self._played + FRAME <= self._captured * self._ratio + FRAME:
            self._reference.push(self._far.pop(0))
            self._played += FRAME
        self._reference.take_clocks(
            played=(self._played, at(self._played / self._ratio)), captured=(self._captured, at(self._captured))
        )
        self._processor.reverse(self._reference.pull())
        return self._processor.capture(near)[:, 0]


def at(samples: float) -> Nanos:
    return Nanos(int((1 + samples / SAMPLE_RATE_HZ) * 1e9))


class LiveKit:
    """WebRTC's audio processing module from the livekit wheel: 16 bit, in place, exactly 10 ms."""

    def __init__(self, **modules: bool) -> None:
        from livekit import rtc

        self._frame = rtc.AudioFrame
        self._module = rtc.AudioProcessingModule(**modules)
        if modules.get("echo_cancellation"):
            self._module.set_stream_delay_ms(0)  # AEC3 finds the delay

    def run(self, far: np.ndarray, near: np.ndarray) -> np.ndarray:
        self._module.process_reverse_stream(self._made(far))
        processed = self._made(near)
        self._module.process_stream(processed)
        return np.frombuffer(processed.data, np.int16).astype(np.float32) / INT16

    def _made(self, samples: np.ndarray) -> object:
        data = np.clip(np.round(samples * INT16), -INT16, INT16 - 1).astype(np.int16)
        return self._frame(bytearray(data.tobytes()), SAMPLE_RATE_HZ, 1, FRAME)


class PyWebrtc:
    """The same module from the pywebrtc-audio wheel: floats, both ends in one call."""

    def __init__(self, **modules: object) -> None:
        from pywebrtc_audio import AudioProcessor

        self._processor = AudioProcessor(sample_rate=SAMPLE_RATE_HZ, **modules)
        self._cancels = modules.get("echo_cancellation", False)

    def run(self, far: np.ndarray, near: np.ndarray) -> np.ndarray:
        return self._processor.process(near, far) if self._cancels else self._processor.process(near)


def only(**stages: object) -> Processing:
    """These stages and no others."""
    off = {"echo": False, "noise": NoiseSuppression.OFF, "gain_control": False, "high_pass": False}
    return Processing(**(off | stages))  # type: ignore[arg-type]


def needs(make: Make) -> Make:
    """`make`, after a try. Raises CannotRun."""
    try:
        make()
    except ImportError as missing:
        raise CannotRun(f"{missing.name} is not installed (pip install 'raccall[bench]')") from None
    return make


def run(system: System, near: Sound, far: Sound | None = None) -> tuple[Sound, float]:
    """What comes out, and the CPU in µs per 10 ms of the thread."""
    near = np.ascontiguousarray(near, np.float32)
    far = np.zeros_like(near) if far is None else np.ascontiguousarray(far, np.float32)
    count = len(near) // FRAME
    out = np.zeros(len(near))
    start = time.thread_time()
    for number in range(count):
        part = slice(number * FRAME, (number + 1) * FRAME)
        out[part] = system.run(far[part], near[part])
    return out, (time.thread_time() - start) / count * 1e6


def lag(make: Make) -> int:
    """Samples that a system delays the microphone, by correlating clean speech with what comes out."""
    speech = cycle(voice(next(iter(VOICES))), LAG_PROBE_S * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    out, _ = run(make(), speech)
    size = 2 * len(speech)
    correlation = np.fft.irfft(np.fft.rfft(out, size) * np.conj(np.fft.rfft(speech, size)))
    return int(np.argmax(correlation[: int(MAX_LAG_S * SAMPLE_RATE_HZ)]))


def shifted(out: Sound, samples: int) -> Sound:
    """Without the system's own delay."""
    return np.concatenate((out[samples:], np.zeros(samples)))
