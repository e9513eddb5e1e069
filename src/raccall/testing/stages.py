"""What `raccall echo` does to a voice on its way, and the words that change it. Pure.

The same words are options (`--noise neural`) and can be typed while one listens (`/noise neural`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from raccall.errors import InputError
from raccall.testing.network import NetworkConditions
from raccall.voice.processing import MICROPHONE_GAIN_RANGE_DB, OFF, NoiseSuppression, Processing

SPEECH_BPS, MUSIC_BPS = 32_000, 96_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """From microphone to loudspeaker."""

    processing: Processing = field(default_factory=Processing)
    music: bool = False
    """Encode whatever sounds, not speech."""
    bitrate_bps: int = SPEECH_BPS
    loss_pct: float = 0.0
    """0 to 90; the sender knows it, as a server's reports would tell."""
    jitter_ms: float = 0.0
    """0 to 1000."""
    delay_ms: float = 1000.0
    """0 to 5000: long enough to tell what comes back from what one says."""

    @property
    def conditions(self) -> NetworkConditions:
        """Of the way out; the way back is clean."""
        return NetworkConditions(loss=self.loss_pct / 100, delay_ms=self.delay_ms, jitter_ms=self.jitter_ms)


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that can be changed."""

    values: str
    help: str
    apply: Callable[[Stages, str], Stages]
    """Raises ValueError for a value that is none."""


def change(stages: Stages, word: str, value: str) -> Stages:
    """What becomes of `stages`. Raises InputError `unknown_stage` or `stage_value`."""
    if word not in WORDS:
        raise InputError("unknown_stage", f"There is no {word!r} to change: {', '.join(WORDS)}.")
    try:
        return WORDS[word].apply(stages, value)
    except ValueError:
        raise InputError("stage_value", f"{word} is {WORDS[word].values}, and not {value!r}.") from None


def change_all(stages: Stages, values: Mapping[str, str | None]) -> Stages:
    """Each word that has a value. Raises InputError as `change` does."""
    for word, value in values.items():
        if value is not None:
            stages = change(stages, word, value)
    return stages


def describe(stages: Stages) -> str:
    """One line: what the voice goes through."""
    processing = stages.processing
    switches = {"echo": processing.echo, "auto-gain": processing.gain_control, "high-pass": processing.high_pass}
    return ", ".join(
        [
            *(f"{word} {'on' if is_on else 'off'}" for word, is_on in switches.items()),
            f"noise {processing.noise}",
            f"gain {processing.gain_db:+g} dB",
            f"{'music' if stages.music else 'speech'} at {stages.bitrate_bps} b/s",
            f"loss {stages.loss_pct:g} %",
            f"jitter {stages.jitter_ms:g} ms",
            f"delay {stages.delay_ms:g} ms",
        ]
    )


def _switch(text: str) -> bool:
    if text not in {"on", "off"}:
        raise ValueError(text)
    return text == "on"


def _within(text: str, least: float, most: float) -> float:
    value = float(text)
    if not least <= value <= most:  # no number is not within either
        raise ValueError(text)
    return value


def _processing(stages: Stages, **changed: bool | float | NoiseSuppression) -> Stages:
    return replace(stages, processing=replace(stages.processing, **changed))  # type: ignore[arg-type]


def _music(stages: Stages, text: str) -> Stages:
    """At the bitrate that suits it; music is not processed, and what comes behind it only if asked."""
    if not _switch(text):
        return replace(stages, music=False, bitrate_bps=SPEECH_BPS)
    return replace(stages, music=True, processing=OFF, bitrate_bps=MUSIC_BPS)


WORDS = {
    "music": Word(  # first: what else is said changes what it chooses
        "on or off",
        "send whatever sounds as it is, at 96000 bits a second, and take nothing for noise or echo",
        _music,
    ),
    "echo": Word(
        "on or off",
        "cancel what the microphone hears of the loudspeaker",
        lambda stages, text: _processing(stages, echo=_switch(text)),
    ),
    "noise": Word(
        "off, light or neural",
        "suppress noise",
        lambda stages, text: _processing(stages, noise=NoiseSuppression(text)),
    ),
    "auto-gain": Word(
        "on or off",
        "bring the voice to one level",
        lambda stages, text: _processing(stages, gain_control=_switch(text)),
    ),
    "high-pass": Word(
        "on or off",
        "take away what lies below 100 Hz",
        lambda stages, text: _processing(stages, high_pass=_switch(text)),
    ),
    "gain": Word(
        "-20 to 30 dB",
        "make the microphone louder or quieter",
        lambda stages, text: _processing(stages, gain_db=_within(text, *MICROPHONE_GAIN_RANGE_DB)),
    ),
    "bitrate": Word(
        "6000 to 128000 bits a second",
        "of the encoder, default 32000",
        lambda stages, text: replace(stages, bitrate_bps=round(_within(text, 6000, 128_000))),
    ),
    "loss": Word(
        "0 to 90 percent",
        "packets lost on the way, default 0",
        lambda stages, text: replace(stages, loss_pct=_within(text, 0, 90)),
    ),
    "jitter-ms": Word(
        "0 to 1000 ms",
        "the delay varies by this, default 0",
        lambda stages, text: replace(stages, jitter_ms=_within(text, 0, 1000)),
    ),
    "delay-ms": Word(
        "0 to 5000 ms",
        "how much later one hears oneself, default 1000",
        lambda stages, text: replace(stages, delay_ms=_within(text, 0, 5000)),
    ),
}
