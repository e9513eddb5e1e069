"""Where a command's sound comes from and goes to: this machine's devices, or files in their place."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from raccall._native import Sound
from raccall.audio.devices import DEFAULT, Kind, SoundCard, list_devices
from raccall.audio.files import FORMATS, Samples, read_samples
from raccall.clock import monotonic_now
from raccall.errors import InputError


@dataclass(frozen=True, slots=True)
class SoundChoice:
    """What `--mic` and `--speaker` mean. One file is enough to leave the sound card alone."""

    speech: Samples | None = None
    """Of a --mic file: 48 kHz, mono, or stereo if that was asked for."""
    recording: Path | None = None
    """The --speaker file."""
    microphone: str = DEFAULT
    speaker: str = DEFAULT
    """Names of devices."""

    @property
    def is_stereo(self) -> bool:
        return self.speech is not None and self.speech.ndim == 2

    @property
    def uses_files(self) -> bool:
        return self.speech is not None or self.recording is not None


def choose_sound(mic: str | None, speaker: str | None, *, keep_stereo: bool = False) -> SoundChoice:
    """Read `--mic` and `--speaker`: what looks like a path is a file, all else is a device's name.

    keep_stereo: a --mic file with two channels is spoken with both.

    Raises InputError: unreadable file, unknown format, a file on one side and a named device on the other.
    """
    speech = read_samples(mic, keep_stereo=keep_stereo) if mic and _is_path(mic) else None
    recording = Path(speaker) if speaker and _is_path(speaker) else None
    if recording is not None and recording.suffix.lower() not in FORMATS:
        raise InputError("unknown_audio_format", f"{recording} does not end in one of {', '.join(FORMATS)}.")
    choice = SoundChoice(speech=speech, recording=recording, microphone=mic or DEFAULT, speaker=speaker or DEFAULT)
    if choice.uses_files and ((mic and speech is None) or (speaker and recording is None)):
        raise InputError("sound_mixed", "A device cannot be used together with a file: give two files or two devices.")
    return choice


def with_remembered(choice: SoundChoice, microphone: str | None, speaker: str | None) -> SoundChoice:
    """The same, with the devices of an earlier call where none is named and they are still there."""
    if choice.uses_files or not (microphone or speaker):
        return choice
    try:
        present = {(device.kind, device.name) for device in list_devices()}
    except InputError:
        return choice  # opening says why
    if choice.microphone == DEFAULT and microphone and (Kind.MICROPHONE, microphone) in present:
        choice = replace(choice, microphone=microphone)
    if choice.speaker == DEFAULT and speaker and (Kind.SPEAKER, speaker) in present:
        choice = replace(choice, speaker=speaker)
    return choice


@contextmanager
def open_sound(choice: SoundChoice) -> Iterator[tuple[Sound, SoundCard | None]]:
    """The Sound for an Engine, and the card that clocks it (None with files). Raises InputError.

    What is heard comes in two channels if it is kept (`audio.heard` writes it), or the card has them.
    """
    if choice.uses_files:
        keeps = choice.recording is not None
        yield Sound.clocked(choice.speech, keep_playback=keeps, playback_channels=1 + keeps), None
        return
    with SoundCard(monotonic_now(), microphone=choice.microphone, speaker=choice.speaker) as card:
        yield card.sound, card


def _is_path(text: str) -> bool:
    path = Path(text)
    return path.is_file() or path.suffix != "" or len(path.parts) > 1
