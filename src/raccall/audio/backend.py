"""miniaudio's C functions with a native callback: the one place that touches PyPI miniaudio's private cffi module.

The package's own classes call a Python generator on the sound card's thread, and so stall for as long as the
interpreter is busy (measured 95 to 908 ms). Its C functions take any function pointer; with one of `raccall._native`
the longest stall was 13 ms. The version is pinned for that reason.
"""

import weakref
from dataclasses import dataclass
from enum import Enum
from typing import Any

from _miniaudio import ffi, lib
from miniaudio import Backend, SampleFormat  # type: ignore[import-untyped]

from raccall.errors import InputError
from raccall.units import SAMPLE_RATE_HZ

PERIOD_MS = 10
"""How often the card should call. Half a packet: the engine keeps one period ahead."""

NULL_BACKEND = Backend.NULL
"""A card that is not there: it keeps time, hears silence and plays into nothing."""


class Kind(Enum):
    """Which way a device goes."""

    MICROPHONE = "microphone"
    SPEAKER = "speaker"


DEVICE_TYPES = {Kind.MICROPHONE: lib.ma_device_type_capture, Kind.SPEAKER: lib.ma_device_type_playback}


@dataclass(frozen=True, slots=True)
class Device:
    """A microphone or speaker of this machine."""

    kind: Kind
    name: str
    """As the system calls it: for people, and to open it by. Of several with one name the second is "NAME (2)"."""
    is_default: bool
    """The system's choice when none is named."""


class Context:
    """A connection to the system's sound. Raises InputError `no_sound_system` if there is none."""

    def __init__(self, backend: Backend | None = None) -> None:
        self._config = lib.ma_context_config_init()
        self._name = ffi.new("char[]", b"Raccall")  # how mixers of PulseAudio and PipeWire call us
        self._config.pulse.pApplicationName = self._name
        self._context: Any = ffi.new("ma_context *")
        backends, count = (ffi.NULL, 0) if backend is None else (ffi.new("ma_backend[]", [backend.value]), 1)
        if lib.ma_context_init(backends, count, ffi.addressof(self._config), self._context) != lib.MA_SUCCESS:
            raise _no_sound_system()
        self._opened: list[Any] = []
        # Not __del__: of a cycle's members it would be called in any order, and a device must go before its context.
        self._finish = weakref.finalize(self, _uninit, self._context, self._opened)
        # Where no sound system answers, miniaudio falls back to its null backend; nobody would hear anything.
        if self._context.backend == lib.ma_backend_null and backend is not Backend.NULL:
            self.close()
            raise _no_sound_system()

    def devices(self) -> list[tuple[Device, Any]]:
        """Every device with its id (a `ma_device_id *`), as of now."""
        speakers, microphones = ffi.new("ma_device_info **"), ffi.new("ma_device_info **")
        counts = ffi.new("ma_uint32[2]")
        result = lib.ma_context_get_devices(self._context, speakers, counts, microphones, counts + 1)
        if result != lib.MA_SUCCESS:
            raise InputError("no_sound_system", f"The sound system does not list its devices (miniaudio {result}).")
        found: list[tuple[Device, Any]] = []
        names: set[tuple[Kind, str]] = set()
        for kind, infos, count in ((Kind.MICROPHONE, microphones, counts[1]), (Kind.SPEAKER, speakers, counts[0])):
            for info in ffi.unpack(infos[0], count) if count else []:
                alsa_id = ffi.string(ffi.cast("char *", ffi.addressof(info, "id")), 256)
                if self._context.backend == lib.ma_backend_alsa and not is_alsa_card(alsa_id):
                    continue
                name = own_name(kind, ffi.string(info.name).decode(errors="replace"), names)
                # The list belongs to the context and is overwritten by the next call: copy the id.
                found.append((Device(kind, name, bool(info.isDefault)), ffi.new("ma_device_id *", info.id)))
        return found

    def native_rate_hz(self, kind: Kind, device_id: Any) -> int | None:
        """The highest rate of one of `devices`; None if it takes any, or the system does not tell."""
        rates = [int(native.sampleRate) for native in self._native_formats(kind, device_id)]
        return max(rates) if rates and all(rates) else None

    def is_mono(self, kind: Kind, device_id: Any) -> bool:
        """Whether one of `devices` has one channel, as a telephone headset does; False if the system does not tell."""
        formats = self._native_formats(kind, device_id)
        return bool(formats) and all(native.channels == 1 for native in formats)

    def _native_formats(self, kind: Kind, device_id: Any) -> list[Any]:
        """What a device takes unconverted; 0 stands for anything. [] if the system does not tell."""
        info = ffi.new("ma_device_info *")
        result = lib.ma_context_get_device_info(self._context, DEVICE_TYPES[kind], device_id, info)
        if result != lib.MA_SUCCESS or not info.nativeDataFormatCount:
            return []
        return list(ffi.unpack(info.nativeDataFormats, info.nativeDataFormatCount))

    def start(self, config: Any) -> int:
        """Open a device of this `ma_device_config` and let it call; it is closed with the context. A `ma_result`."""
        device = ffi.new("ma_device *")
        result = lib.ma_device_init(self._context, ffi.addressof(config), device)
        if result == lib.MA_SUCCESS:
            self._opened.append(device)
            result = lib.ma_device_start(device)
        return int(result)

    @property
    def is_open(self) -> bool:
        """Until it is closed."""
        return self._finish.alive

    def close(self) -> None:
        """Stop what calls, then close the connection. Closing again does nothing, from another thread too."""
        self._finish()


def _no_sound_system() -> InputError:
    return InputError(
        "no_sound_system",
        "This machine has no sound system that Raccall can use: start one (on Linux PipeWire or PulseAudio), or use "
        "sound files.",
    )


def _device_failed(kind: Kind, result: int) -> InputError:
    """What to do depends on why."""
    reasons = {
        lib.MA_ACCESS_DENIED: "may not be used by this program: allow it in the system's privacy settings.",
        lib.MA_BUSY: "is in use by a program that does not share it: end that one, or choose another device.",
    }
    other = f"cannot be opened (miniaudio {result}): is it plugged in, and may this program use it?"
    return InputError("device_failed", f"The {kind.value} {reasons.get(result, other)}")


def _uninit(context: Any, devices: list[Any]) -> None:
    for device in devices:
        lib.ma_device_stop(device)  # wakes its thread, which else waits for ever for a card that is gone
        lib.ma_device_uninit(device)
    lib.ma_context_uninit(context)


def own_name(kind: Kind, name: str, taken: set[tuple[Kind, str]]) -> str:
    """`name`, or "name (2)" and so on: two headsets of one make have one name. Adds it to `taken`."""
    own, number = name, 1
    while (kind, own) in taken:
        number += 1
        own = f"{name} ({number})"
    taken.add((kind, own))
    return own


def is_alsa_card(alsa_id: bytes) -> bool:
    """ALSA lists its plug-ins (rate converters, "discard all samples", ...) as devices; a card has a number."""
    return b":" in alsa_id or alsa_id == b"default"


class Stream:
    """One running device: calls `callback_address` every 10 ms on its own thread, float32 at 48 kHz.

    channels: of the buffers, as the callback wants them; the card's own may be others.

    Owns its context, so that opening anew also connects anew. Raises InputError `device_failed`.
    """

    def __init__(self, context: Context, kind: Kind, device_id: Any, callback_address: int, channels: int = 1) -> None:
        self._context = context
        config = lib.ma_device_config_init(DEVICE_TYPES[kind])
        config.sampleRate = SAMPLE_RATE_HZ
        config.periodSizeInMilliseconds = PERIOD_MS
        side = config.capture if kind is Kind.MICROPHONE else config.playback
        side.format = SampleFormat.FLOAT32.value
        side.channels = channels
        side.pDeviceID = ffi.NULL if device_id is None else device_id
        config.dataCallback = ffi.cast(ffi.typeof(config.dataCallback), callback_address)
        result = context.start(config)
        if result != lib.MA_SUCCESS:
            self.close()
            raise _device_failed(kind, result)

    def close(self) -> None:
        """Stop calling, then let go. Closing again does nothing."""
        self._context.close()
