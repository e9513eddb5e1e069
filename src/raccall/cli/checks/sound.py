"""Checks of this machine's default microphone and loudspeaker, for who wants to talk from here.

The microphone is open for a second or so; nothing of it is kept or sent. The loudspeaker plays silence.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator

from raccall.audio.devices import Backend, Kind, SoundCard, list_devices, native_rate_hz
from raccall.cli.checks.findings import Finding, ok, problem, warning
from raccall.cli.devices import canceller_advice
from raccall.cli.terminal.hints import DIGITAL_ZERO_DB
from raccall.clock import monotonic_now
from raccall.errors import InputError
from raccall.voice.engine import Engine, read_stats

ENOUGH_CALLBACKS = 20
"""Of 10 ms each; Bluetooth calls less often, and gets there, too."""
LONGEST_S = 3.0
"""A headset or a sleeping sink takes two seconds to begin."""
LISTEN_S = 1.0
POLL_S = 0.02
WIDE_BAND_HZ = 32_000
"""Below that a device takes the brightness off a voice: 8 and 16 kHz are Bluetooth's telephone profile."""
KEY, MODE = bytes(32), "aead_aes256_gcm_rtpsize"


def devices(backend: Backend | None = None) -> Iterator[Finding]:
    """Are there any, and is the default microphone the system's canceller?"""
    try:
        found = list_devices(backend)
    except InputError as error:
        do = "A server needs none. To talk from here: a sound system (PipeWire, PulseAudio, ALSA) and a microphone."
        yield warning("sound", str(error), do)
        return
    counts = [sum(device.kind is kind for device in found) for kind in Kind]
    yield ok("sound", f"{counts[0]} microphones and {counts[1]} loudspeakers are here; raccall devices lists them.")
    if (advice := canceller_advice(found)) is not None:
        says, do = advice.split(": ", 1)
        yield warning("sound", f"{says}.", do[0].upper() + do[1:])
    yield from microphone(backend)
    yield from loudspeaker(backend)


def microphone(backend: Backend | None = None) -> Iterator[Finding]:
    """Does it open, call and give anything but zeros?"""
    try:
        card = SoundCard(monotonic_now(), speaker=None, backend=backend)
    except InputError as error:
        yield _closed("microphone", error)
        return
    with card, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        name = card.devices[0].name
        nobody.bind(("127.0.0.1", 0))
        engine = Engine(nobody.getsockname())
        try:
            engine.start(ssrc=1, mode=MODE, key=KEY, sound=card.sound, muted=True)
            if not _wait(lambda: card.sound.capture_callbacks >= ENOUGH_CALLBACKS, LONGEST_S):
                yield _silent("microphone", name)
                return
            _wait(lambda: read_stats(engine).input_level_db > DIGITAL_ZERO_DB, LISTEN_S)
            level_db = read_stats(engine).input_level_db
        finally:
            engine.close()
    if level_db > DIGITAL_ZERO_DB:
        yield ok("microphone", f"“{name}” hears {level_db:.0f} dB.")
    else:
        says = f"“{name}” gives nothing but zeros."
        do = "Look for a switch on it, and whether the system lets this program use the microphone."
        yield warning("microphone", says, do)
    yield from rate(Kind.MICROPHONE, name, native_rate_hz(Kind.MICROPHONE, backend))


def loudspeaker(backend: Backend | None = None) -> Iterator[Finding]:
    """Does it open and call?"""
    try:
        card = SoundCard(monotonic_now(), microphone=None, backend=backend)
    except InputError as error:
        yield _closed("loudspeaker", error)
        return
    with card:
        name = card.devices[0].name
        if not _wait(lambda: card.sound.playback_callbacks >= ENOUGH_CALLBACKS, LONGEST_S):
            yield _silent("loudspeaker", name)
            return
    yield ok("loudspeaker", f"“{name}” plays; raccall echo lets you hear yourself.")
    yield from rate(Kind.SPEAKER, name, native_rate_hz(Kind.SPEAKER, backend))


def rate(kind: Kind, name: str, rate_hz: int | None) -> Iterator[Finding]:
    """rate_hz: the device's own; None if it takes any, or nobody knows."""
    if rate_hz is not None and rate_hz < WIDE_BAND_HZ:
        says = f"“{name}” works at {rate_hz / 1000:g} kHz, as telephones do."
        do = "A Bluetooth headset does so while its microphone is on: choose another microphone."
        yield warning("sample_rate", says, do)
    elif rate_hz is not None:
        yield ok("sample_rate", f"The {kind.value} works at {rate_hz / 1000:g} kHz.")


def _closed(check: str, error: InputError) -> Finding:
    if error.code == "device_failed":
        do = "Close what else uses it, and look whether the system lets this program use it."
        return problem(check, str(error), do)
    return warning(check, str(error), "Plug one in; a file can take its place: raccall join --mic, --speaker.")


def _silent(check: str, name: str) -> Finding:
    says = f"“{name}” opens, and then nothing moves."
    return problem(check, says, "Plug it in again, restart the sound system, or choose another: raccall devices.")


def _wait(condition: Callable[[], bool], longest_s: float) -> bool:
    """For a device, which has its own clock."""
    end = time.monotonic() + longest_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


SOUND: list[Callable[[], Iterable[Finding]]] = [devices]
"""In the order they are told; more may be appended."""
