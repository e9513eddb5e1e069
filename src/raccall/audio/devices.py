"""Microphones and speakers: list them, open a pair for an Engine, notice when one falls silent.

with SoundCard(monotonic_now()) as card:
    engine.start(sound=card.sound, ...)
    ...
    card.watch(monotonic_now())     # every 100 ms or so, from a thread that may wait
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from miniaudio import Backend  # type: ignore[import-untyped]

from raccall._native import Sound
from raccall.audio.backend import NULL_BACKEND, Context, Device, Kind, Stream
from raccall.errors import InputError
from raccall.units import NANOS_PER_MS, Nanos

__all__ = [
    "DEFAULT",
    "NULL_BACKEND",
    "Backend",
    "Device",
    "DeviceChange",
    "Kind",
    "SoundCard",
    "Watchdog",
    "cancels_echo",
    "list_devices",
    "native_rate_hz",
]

DEFAULT = ""
"""The name of "whatever the system prefers", also after it prefers another one."""

STALLED_MS = 500
"""No callback for so long: the device was unplugged or the sound server went away (miniaudio tells nobody)."""
STARTING_MS = 3000
"""... but never so soon after opening: a headset or a sleeping sink takes two seconds, after one early callback."""
LOOK_AGAIN_MS = 2000
"""So often it is looked whether a named device is back, while the default one takes its place."""


CANCELLER_NAMES = ("echo-cancel", "echo cancel")
"""How PulseAudio and PipeWire call the sources of their own cancellers."""


def cancels_echo(microphone: str) -> bool:
    """Whether the system's own echo canceller stands behind a microphone of this name."""
    return any(name in microphone.casefold() for name in CANCELLER_NAMES)


def list_devices(backend: Backend | None = None) -> list[Device]:
    """This machine's microphones and speakers, the default ones first. Asks the system anew each time.

    Raises InputError `no_sound_system` or `no_sound_device` if there are none.
    """
    context = Context(backend)
    try:
        found = [device for device, _ in context.devices()]
    finally:
        context.close()
    if not found:
        raise InputError("no_sound_device", "No microphone and no speaker was found: plug one in, or use sound files.")
    return sorted(found, key=lambda device: (device.kind.value, not device.is_default))


def native_rate_hz(kind: Kind, backend: Backend | None = None) -> int | None:
    """Samples a second of the default microphone or speaker itself; None if it takes any, or the system does not tell.

    Raises InputError `no_sound_system`.
    """
    context = Context(backend)
    try:
        chosen = next((i for device, i in context.devices() if device.kind is kind and device.is_default), None)
        return context.native_rate_hz(kind, chosen) if chosen is not None else None
    finally:
        context.close()


class Watchdog:
    """Tells when a device has stopped calling. Pure: `now` is given."""

    def __init__(self, now: Nanos) -> None:
        self._opened = now
        self._callbacks = 0
        self._newest = now

    def stalled(self, callbacks: int, now: Nanos) -> bool:
        """Whether `callbacks` has stood still for 500 ms, and the device was opened 3 s ago or earlier."""
        if callbacks != self._callbacks:
            self._callbacks = callbacks
            self._newest = now
        return now - self._newest >= STALLED_MS * NANOS_PER_MS and now - self._opened >= STARTING_MS * NANOS_PER_MS

    def opened_anew(self, now: Nanos) -> None:
        """Give the device its time to start again."""
        self._opened = self._newest = now


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What `SoundCard.watch` did about a device that had fallen silent, or come back."""

    kind: Kind
    device: Device | None
    """Open now. None: nothing could be opened; it is tried again."""
    is_back: bool = False
    """It is the one that was asked for, plugged in again after another had taken its place."""

    @property
    def sentence(self) -> str:
        """For the person in front of it."""
        if self.is_back and self.device is not None:
            return f"The {self.kind.value} is back: {self.device.name}."
        name = self.device.name if self.device is not None else "gone; plug one in"
        return f"The {self.kind.value} fell silent. Now: {name}."


class SoundCard:
    """A microphone and a speaker on one Sound, whose native callbacks move the samples: Python never holds them up.

    The microphone is mono. The speaker is stereo unless it has one channel: then left and right are heard by halves.
    Any thread may call: `watch` may still wait for the system, in a thread that nobody can stop, when the call ends.

    microphone, speaker: a name or a part of one, DEFAULT, or None for none.
    backend: `NULL_BACKEND` for a card that only keeps time; None takes the system's.
    now: monotonic.

    Raises InputError `no_sound_system`, `no_microphone`, `no_speaker`, `unknown_device` or `device_failed`, and then
    holds nothing open.
    """

    def __init__(
        self,
        now: Nanos,
        *,
        microphone: str | None = DEFAULT,
        speaker: str | None = DEFAULT,
        backend: Backend | None = None,
    ) -> None:
        self.sound = Sound.device()
        sound = self.sound
        self._ends: list[_End] = []
        self._changing = threading.Lock()
        try:
            if microphone is not None:
                address = sound.capture_callback_address
                opener = _Opener(Kind.MICROPHONE, microphone, backend, {1: address})
                self._ends.append(_End(opener, lambda: sound.capture_callbacks, now))
            if speaker is not None:
                addresses = {1: sound.playback_callback_address, 2: sound.stereo_playback_callback_address}
                opener = _Opener(Kind.SPEAKER, speaker, backend, addresses)
                self._ends.append(_End(opener, lambda: sound.playback_callbacks, now))
        except InputError:
            self.close()
            raise

    @property
    def devices(self) -> list[Device]:
        """What is open."""
        return [end.device for end in self._ends if end.device is not None]

    def watch(self, now: Nanos) -> list[DeviceChange]:
        """Open anew what has not called for 500 ms: the named device, else the default one, and the named one again
        when it is back. Usually returns [].

        May wait for the system while it opens, so call it from a thread (`asyncio.to_thread`), every 100 ms or so.
        """
        with self._changing:
            return [change for end in self._ends if (change := end.watch(now)) is not None]

    def use(self, kind: Kind, name: str, now: Nanos) -> Device:
        """Change to another microphone or speaker: a name or a part of one, or DEFAULT. Waits for the system.

        Raises InputError as the constructor does; then the former one is open, if it still can be.
        """
        with self._changing:
            for end in self._ends:
                if end.kind is kind:
                    return end.use(name, now)
        raise InputError(f"no_{kind.value}", f"This call has no {kind.value} to change.")

    def close(self) -> None:
        """Close the devices. Closing again does nothing."""
        with self._changing:
            for end in self._ends:
                end.close()
            self._ends.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Opener:
    """How to open one end."""

    kind: Kind
    name: str
    backend: Backend | None
    callback_addresses: dict[int, int]
    """By number of channels: what the end can be opened with."""

    def open(self, name: str) -> tuple[Device, Stream]:
        context = Context(self.backend)
        try:
            device, device_id, own_id = self._choose(context, name)
            channels = max(self.callback_addresses)
            if channels > 1 and context.is_mono(self.kind, own_id):
                channels = 1
            return device, Stream(context, self.kind, device_id, self.callback_addresses[channels], channels)
        except InputError:
            context.close()
            raise

    def is_there(self) -> bool:
        """Whether the named device could be opened now."""
        try:
            context = Context(self.backend)
        except InputError:
            return False
        try:
            self._choose(context, self.name)
        except InputError:
            return False
        finally:
            context.close()
        return True

    def _choose(self, context: Context, name: str) -> tuple[Device, Any, Any]:
        """The device, the id to open it by, and its own id."""
        found = [(device, device_id) for device, device_id in context.devices() if device.kind is self.kind]
        if not found:
            raise InputError(
                f"no_{self.kind.value}", f"No {self.kind.value} was found: plug one in, or use a sound file."
            )
        if name == DEFAULT:
            # No id: the system chooses, and moves the stream when its user chooses another.
            device, own_id = next((entry for entry in found if entry[0].is_default), found[0])
            return device, None, own_id
        same = [entry for entry in found if entry[0].name.casefold() == name.casefold()]
        alike = same or [entry for entry in found if name.casefold() in entry[0].name.casefold()]
        if len(alike) != 1:
            names = ", ".join(device.name for device, _ in alike or found)
            problem = "fits several" if alike else "is none"
            raise InputError("unknown_device", f"“{name}” {problem} of this machine's {self.kind.value}s: {names}.")
        device, own_id = alike[0]
        return device, own_id, own_id


class _End:
    """One open device, kept open."""

    def __init__(self, opener: _Opener, callbacks: Callable[[], int], now: Nanos) -> None:
        self._opener = opener
        self._callbacks = callbacks
        self._watchdog = Watchdog(now)
        self._is_substitute = False
        self._looked = now
        self.device: Device | None
        self._stream: Stream | None
        self.device, self._stream = opener.open(opener.name)

    @property
    def kind(self) -> Kind:
        return self._opener.kind

    def use(self, name: str, now: Nanos) -> Device:
        former, self._opener = self._opener, replace(self._opener, name=name)
        self.close()  # first: some systems give a device to one user at a time, and both would fill one ring
        try:
            self.device, self._stream = self._opener.open(name)
            self._is_substitute = False
            return self.device
        except InputError:
            self._opener = former
            with suppress(InputError):  # the watchdog tries on
                self.device, self._stream = former.open(former.name)
            raise
        finally:
            self._watchdog.opened_anew(now)

    def watch(self, now: Nanos) -> DeviceChange | None:
        if self._watchdog.stalled(self._callbacks(), now):
            was_open = self.device is not None
            self._open_anew(now)
            return DeviceChange(self.kind, self.device) if was_open or self.device is not None else None
        if self._is_substitute and now - self._looked >= LOOK_AGAIN_MS * NANOS_PER_MS:
            self._looked = now
            if self._opener.is_there():
                self._open_anew(now)
                return DeviceChange(self.kind, self.device, is_back=not self._is_substitute)
        return None

    def _open_anew(self, now: Nanos) -> None:
        """The named device, else the default one; if not even that, it is tried again when the watchdog barks again."""
        self.close()
        for name in dict.fromkeys((self._opener.name, DEFAULT)):
            with suppress(InputError):
                self.device, self._stream = self._opener.open(name)
                self._is_substitute = name != self._opener.name
                break
        self._looked = now
        self._watchdog.opened_anew(now)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self.device = self._stream = None
