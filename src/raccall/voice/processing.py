"""What makes a microphone's sound fit to be sent: echo, noise and level, 10 ms at a time.

    processor = Processor(Processing(noise=NoiseSuppression.NEURAL))
    for far, near in ...:
        processor.reverse(far)          # what is about to sound from the loudspeaker
        clean = processor.capture(near)

The class is for bots, measurements and tests. What is inside, in which order and why:
`crates/media/src/process/mod.rs`.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from raccall import _native
from raccall._native import Sound
from raccall.errors import InputError
from raccall.units import Nanos

__all__ = [
    "MICROPHONE_GAIN_RANGE_DB",
    "OFF",
    "EchoReference",
    "NoiseSuppression",
    "ProcessReport",
    "Processing",
    "Processor",
]

MICROPHONE_GAIN_RANGE_DB = (-20.0, 30.0)


class NoiseSuppression(StrEnum):
    """How noise is told from voices."""

    OFF = "off"
    LIGHT = "light"
    """WebRTC's: nearly free, lowers steady noise by up to 12 dB, keeps every voice; adds 6 ms."""
    NEURAL = "neural"
    """RNNoise of 2024: keyboards, dishes and much of a room's talk fall silent, too; adds 20 ms, takes many times the
    CPU of LIGHT (6 % of a core), and now and then takes a voice for noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """What is switched on: by default what a person with a laptop wants."""

    echo: bool = True
    """Cancel what comes back from the loudspeaker: adds 9 ms."""
    noise: NoiseSuppression = NoiseSuppression.LIGHT
    gain_control: bool = True
    """Bring every voice to one level (-20 dB where it speaks), never over full scale."""
    gain_db: float = 0.0
    """The microphone's own gain, -20 to +30 dB, clamped. Gain control, if on, evens it out again."""
    high_pass: bool = True
    """Take away what lies below 100 Hz: steps, wind, mains hum. The echo canceller always brings it along."""


OFF = Processing(echo=False, noise=NoiseSuppression.OFF, gain_control=False, high_pass=False)
"""Nothing is touched: files, music, bots."""


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What processing did last."""

    erle_db: float | None
    """By how much the echo canceller's filter alone lowers the echo; None while it is off."""
    echo_delay_ms: int | None
    """From `reverse` to the echo, as the canceller found it; None while it is off."""
    noise_db: float | None
    """Level of what is no voice, against full scale; None without gain control."""
    gain_db: float
    """Of microphone gain and gain control together."""
    voice_probability: float | None
    """That the newest 10 ms are a voice, 0 to 1; None where neither gain control nor NEURAL listens."""
    captured_db: float = -127.0
    """Of the newest 10 ms before anything was done to them, -127 to 0 against full scale."""


IDLE = ProcessReport(None, None, None, 0.0, None)
"""Nothing was done."""


def suited_to(sound: Sound | None, *, music: bool = False) -> Processing:
    """What a Sound wants when nobody says: everything for a sound card, nothing for a file or for music."""
    return OFF if sound is None or sound.is_clocked or music else Processing()


def require_mono(sound: Sound | None, processing: Processing) -> None:
    """Raises InputError where nothing would come of it: two channels are sent as they are."""
    if sound is not None and sound.capture_channels == 2 and processing != OFF:
        raise InputError(
            "processing_in_stereo", "Two channels are sent as they are; echo, noise and gain need a sound with one."
        )


class Processor:
    """Processes one microphone. Pure and clocked by its user; one call at a time runs, without the GIL.

    For each `capture` there is one `reverse`, before it. Several may come in one go (up to 32); for one that is missing
    silence is taken, because a skipped one would shift all that follow.
    """

    def __init__(self, processing: Processing) -> None:
        self._native = _native.Processor(**asdict(processing))

    def set(self, processing: Processing) -> None:
        """From the next frame on. What stays on keeps what it has learnt."""
        self._native.set(**asdict(processing))

    def reverse(self, frame: NDArray[np.float32]) -> None:
        """10 ms that are about to sound, the whole mix: float32, shape (480, 1) or (480,). ValueError for others."""
        self._native.reverse(frame)

    def capture(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        """10 ms of the microphone, shape (480, 1) or (480,); returns them processed, shape (480, 1), within ±1.

        Samples that are not finite become silence. ValueError for another shape.
        """
        return self._native.capture(frame)

    def reset(self) -> None:
        """Begin anew: microphone or loudspeaker was replaced, so nothing learnt holds any more."""
        self._native.reset()

    def report(self) -> ProcessReport:
        """What was done last."""
        return ProcessReport(**self._native.report())


class EchoReference:
    """What sounds from the loudspeaker, in the microphone's time: one frame for each of the microphone.

    Samples that do not come in time are silence; what comes late is left out, so that all that follows keeps its place.
    Clocks that drift apart are found and resampled (`crates/media/src/process/reference.rs`, `drift.rs`). An Engine has
    one; this is its face for measurements and tests.
    """

    def __init__(self) -> None:
        self._native = _native.EchoReference()

    def push(self, samples: NDArray[np.float32]) -> None:
        """Samples that were handed to the loudspeaker: shape (n,)."""
        self._native.push(samples)

    def take_clocks(self, *, played: tuple[int, Nanos], captured: tuple[int, Nanos]) -> float:
        """Samples moved since the beginning, and when the last of them were. Returns the drift, 0 ppm until known."""
        return self._native.take_clocks(played, captured)

    def pull(self) -> NDArray[np.float32]:
        """What belongs to the next 10 ms of the microphone: shape (480, 1)."""
        return self._native.pull()

    @property
    def jumps(self) -> int:
        """How often the canceller has to find the echo's delay: once at the beginning."""
        return self._native.jumps
