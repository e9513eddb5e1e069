"""Devices without a sound card: miniaudio's null backend calls our native functions at a card's pace."""

import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from _miniaudio import lib

from raccall import _native
from raccall.audio import devices
from raccall.audio.backend import Context, is_alsa_card, own_name
from raccall.audio.devices import NULL_BACKEND, Backend, Device, DeviceChange, Kind, SoundCard, Watchdog, list_devices
from raccall.clock import monotonic_now
from raccall.errors import InputError
from raccall.units import NANOS_PER_MS, Nanos

pytestmark = pytest.mark.realtime

NULL_MICROPHONE = Device(Kind.MICROPHONE, "NULL Capture Device", True)
NULL_SPEAKER = Device(Kind.SPEAKER, "NULL Playback Device", True)


def ms(value: float) -> Nanos:
    return Nanos(int(value * NANOS_PER_MS))


def wait_until(condition: Callable[[], bool]) -> None:
    """A device has its own clock, so its test waits; but not longer than 5 s."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_null_devices_are_listed() -> None:
    assert list_devices(NULL_BACKEND) == [NULL_MICROPHONE, NULL_SPEAKER]


def test_a_machine_without_devices_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "devices", lambda self: [])
    with pytest.raises(InputError, match="plug one in, or use sound files") as caught:
        list_devices(NULL_BACKEND)
    assert caught.value.code == "no_sound_device"
    with pytest.raises(InputError, match="No microphone was found") as no_microphone:
        SoundCard(ms(0), backend=NULL_BACKEND)
    assert no_microphone.value.code == "no_microphone"
    with pytest.raises(InputError, match="No speaker was found") as no_speaker:
        SoundCard(ms(0), microphone=None, backend=NULL_BACKEND)
    assert no_speaker.value.code == "no_speaker"


@pytest.mark.parametrize(
    ("result", "advice"),
    [(lib.MA_ACCESS_DENIED, "privacy settings"), (lib.MA_BUSY, "end that one"), (lib.MA_ERROR, "plugged in")],
)
def test_a_device_that_does_not_open_is_told_with_what_to_do(
    result: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "start", lambda self, config: result)
    with pytest.raises(InputError, match=f"^The microphone .*{advice}") as failed:
        SoundCard(ms(0), backend=NULL_BACKEND)
    assert failed.value.code == "device_failed"


def test_alsa_plug_ins_are_no_devices() -> None:
    assert [name for name in (b":0,0", b"hw:1,0", b"default", b"null", b"lavrate", b"pulse") if is_alsa_card(name)] == [
        b":0,0",
        b"hw:1,0",
        b"default",
    ]


def test_two_devices_of_one_name_are_told_apart() -> None:
    taken: set[tuple[Kind, str]] = set()
    microphones = [own_name(Kind.MICROPHONE, name, taken) for name in ("USB", "USB (2)", "USB", "USB")]
    assert microphones == ["USB", "USB (2)", "USB (3)", "USB (4)"]
    assert own_name(Kind.SPEAKER, "USB", taken) == "USB"


def test_native_callbacks_come_every_10_ms() -> None:
    with SoundCard(monotonic_now(), backend=NULL_BACKEND) as card:
        assert card.devices == [NULL_MICROPHONE, NULL_SPEAKER]
        sound = card.sound
        wait_until(lambda: sound.capture_callbacks > 10 and sound.playback_callbacks > 10)
        began, before = time.monotonic(), sound.playback_callbacks
        wait_until(lambda: sound.playback_callbacks >= before + 30)
        assert time.monotonic() - began > 0.2  # 0.3 s at a card's pace
        assert card.watch(monotonic_now()) == []
    assert card.devices == []
    stopped = sound.capture_callbacks, sound.playback_callbacks
    time.sleep(0.05)
    assert (sound.capture_callbacks, sound.playback_callbacks) == stopped


def test_a_busy_interpreter_does_not_hold_up_the_callback() -> None:
    with SoundCard(monotonic_now(), microphone=None, backend=NULL_BACKEND) as card:
        sound = card.sound
        wait_until(lambda: sound.playback_callbacks > 3)
        before, began = sound.playback_callbacks, time.monotonic()
        sum(range(20_000_000))  # one C call that keeps the GIL
        expected = (time.monotonic() - began) * 100
        assert sound.playback_callbacks - before > 0.3 * expected  # a callback in Python: none


def test_one_end_may_stay_closed() -> None:
    with SoundCard(monotonic_now(), speaker=None, backend=NULL_BACKEND) as card:
        assert card.devices == [NULL_MICROPHONE]
        wait_until(lambda: card.sound.capture_callbacks > 2)
        assert card.sound.playback_callbacks == 0


def test_a_device_is_found_by_a_part_of_its_name() -> None:
    with SoundCard(
        monotonic_now(), microphone="null cap", speaker="null playback device", backend=NULL_BACKEND
    ) as card:
        assert card.devices == [NULL_MICROPHONE, NULL_SPEAKER]


def test_an_unknown_device_is_said_with_those_that_exist() -> None:
    sentence = "“headset” is none of this machine's speakers: NULL Playback Device."
    with pytest.raises(InputError) as caught:
        SoundCard(monotonic_now(), speaker="headset", backend=NULL_BACKEND)
    assert (caught.value.code, str(caught.value)) == ("unknown_device", sentence)


def test_an_ambiguous_name_is_said_with_those_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = [(Device(Kind.MICROPHONE, name, False), None) for name in ("USB one", "USB two", "Built-in")]
    monkeypatch.setattr(Context, "devices", lambda self: twins)
    with pytest.raises(InputError, match="“usb” fits several of this machine's microphones: USB one, USB two"):
        SoundCard(ms(0), microphone="usb", backend=NULL_BACKEND)


def test_many_cards_one_after_the_other_leave_nothing_open() -> None:
    for _ in range(20):  # more than the 16 Sounds that may be open at once
        with SoundCard(monotonic_now(), backend=NULL_BACKEND):
            pass


def test_the_watchdog_barks_after_500_ms_without_a_callback() -> None:
    dog = Watchdog(ms(0))
    for step in range(400):
        assert not dog.stalled(step, ms(10 * step))
    assert not dog.stalled(399, ms(3990 + 499))
    assert dog.stalled(399, ms(3990 + 500))
    assert not dog.stalled(400, ms(4600))


def test_the_watchdog_gives_a_device_3_s_to_start() -> None:
    dog = Watchdog(ms(0))
    assert not dog.stalled(1, ms(10))  # a sleeping sink asks once ahead, then not for 2 s
    assert not dog.stalled(1, ms(2999))
    assert dog.stalled(1, ms(3000))
    dog.opened_anew(ms(3000))
    assert not dog.stalled(1, ms(5999))
    assert dog.stalled(1, ms(6000))


class SilentSound:
    """A Sound whose microphone never calls, as if it was unplugged."""

    def __init__(self) -> None:
        self._sound = _native.Sound.device()
        self.capture_callback_address = self._sound.capture_callback_address
        self.playback_callback_address = self._sound.playback_callback_address
        self.capture_callbacks = 7
        self.playback_callbacks = 0

    @classmethod
    def device(cls) -> "SilentSound":
        return cls()


def test_a_silent_microphone_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "Sound", SilentSound)
    with SoundCard(ms(0), microphone="null", speaker=None, backend=NULL_BACKEND) as card:
        assert card.watch(ms(2900)) == []
        assert card.watch(ms(3400)) == [DeviceChange(Kind.MICROPHONE, NULL_MICROPHONE)]
        assert card.devices == [NULL_MICROPHONE]
        assert card.watch(ms(3500)) == []

        # Its name is gone from the list: the default one is taken. Then that is gone too, and comes back.
        listed = Context.devices
        other = Device(Kind.MICROPHONE, "Built-in", True)
        monkeypatch.setattr(Context, "devices", lambda self: [(other, None)])
        assert card.watch(ms(7000)) == [DeviceChange(Kind.MICROPHONE, other)]
        monkeypatch.setattr(Context, "devices", lambda self: [])
        assert card.watch(ms(11_000)) == [DeviceChange(Kind.MICROPHONE, None)]
        assert card.watch(ms(12_500)) == []
        assert card.watch(ms(14_000)) == []  # tried again, in vain: said once
        assert card.devices == []
        monkeypatch.setattr(Context, "devices", listed)
        assert card.watch(ms(17_000)) == [DeviceChange(Kind.MICROPHONE, NULL_MICROPHONE)]


def test_a_named_microphone_is_taken_again_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "Sound", SilentSound)
    with SoundCard(ms(0), microphone="null", speaker=None, backend=NULL_BACKEND) as card:
        listed = Context.devices
        other = Device(Kind.MICROPHONE, "Built-in", True)
        monkeypatch.setattr(Context, "devices", lambda self: [(other, None)])
        assert card.watch(ms(2900)) == []
        assert card.watch(ms(3400)) == [DeviceChange(Kind.MICROPHONE, other)]
        assert card.watch(ms(5500)) == []  # not yet
        monkeypatch.setattr(Context, "devices", listed)
        assert card.watch(ms(5600)) == []  # looked for every two seconds
        vars(card.sound)["capture_callbacks"] += 1  # the other one is well
        (change,) = card.watch(ms(7500))
        assert change == DeviceChange(Kind.MICROPHONE, NULL_MICROPHONE, is_back=True)
        assert change.sentence == "The microphone is back: NULL Capture Device."
        assert card.watch(ms(10_000)) == []


def test_a_call_may_end_while_a_device_is_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """`watch` runs in a thread that outlives the task that waits for it; what it opens too late would never be closed,
    and a device that is closed twice at once waits for itself for ever."""
    monkeypatch.setattr(devices, "Sound", SilentSound)
    opening, may_open, contexts = threading.Event(), threading.Event(), list[Context]()
    listed = Context.devices

    def slowly_listed(context: Context) -> list[tuple[Device, Any]]:
        contexts.append(context)
        opening.set()
        assert may_open.wait(5)
        return listed(context)

    card = SoundCard(ms(0), microphone="null", speaker=None, backend=NULL_BACKEND)
    monkeypatch.setattr(Context, "devices", slowly_listed)
    watching = threading.Thread(target=lambda: (card.watch(ms(2900)), card.watch(ms(3400))))
    watching.start()
    assert opening.wait(5)
    closing = threading.Thread(target=card.close)
    closing.start()
    may_open.set()
    for thread in (watching, closing):
        thread.join(5)
        assert not thread.is_alive()
    assert card.devices == []
    assert contexts
    assert not any(context.is_open for context in contexts)


@pytest.mark.parametrize(("is_mono", "channels"), [(False, 2), (True, 1)])
def test_a_speaker_is_opened_with_two_channels_unless_it_has_one(
    is_mono: bool, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mono:
        monkeypatch.setattr(Context, "is_mono", lambda self, kind, device_id: True)
    with SoundCard(monotonic_now(), microphone=None, backend=NULL_BACKEND) as card:
        wait_until(lambda: card.sound.playback_callbacks > 0)
        assert card.sound.playback_channels == channels


@pytest.mark.parametrize(("name", "channels"), [("Wide", 2), ("Speaker", 1)])
def test_the_system_tells_how_many_channels_a_speaker_has(
    name: str, channels: int, pulseaudio: tuple[object, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment = pulseaudio
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    wide = "sink_name=wide rate=48000 channels=2 sink_properties=device.description=Wide"
    subprocess.run(["pactl", "load-module", "module-null-sink", *wide.split()], check=True, capture_output=True)
    with SoundCard(monotonic_now(), microphone=None, speaker=name, backend=Backend.PULSEAUDIO) as card:
        wait_until(lambda: card.sound.playback_callbacks > 0)
        assert card.sound.playback_channels == channels
