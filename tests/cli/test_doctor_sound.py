"""What `raccall doctor` finds about microphone and loudspeaker, here miniaudio's null device or a broken one."""

from pathlib import Path

import pytest

from raccall.audio import devices as audio_devices
from raccall.audio.backend import Context, Stream
from raccall.audio.devices import NULL_BACKEND, Device, Kind, SoundCard, native_rate_hz
from raccall.cli.checks import Status, sound
from raccall.cli.main import main
from raccall.errors import InputError


def test_a_microphone_of_zeros_is_told_and_a_loudspeaker_that_plays_is_well() -> None:
    listed, hears, plays = list(sound.devices(NULL_BACKEND))
    assert (listed.status, listed.check) == (Status.OK, "sound")
    assert (hears.check, hears.status) == ("microphone", Status.WARNING)
    assert "nothing but zeros" in hears.says and hears.do
    assert (plays.check, plays.status) == ("loudspeaker", Status.OK)
    assert native_rate_hz(Kind.SPEAKER, NULL_BACKEND) is None


def test_a_microphone_that_hears_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "DIGITAL_ZERO_DB", -128.0)
    (finding,) = sound.microphone(NULL_BACKEND)
    assert finding.status is Status.OK


def test_no_sound_system_is_a_warning_and_the_doctor_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody_answers(backend: object) -> Context:
        raise InputError("no_sound_system", "This machine has no sound system that Raccall can use.")

    monkeypatch.setattr(audio_devices, "Context", nobody_answers)
    (finding,) = sound.devices()
    assert finding.status is Status.WARNING and finding.do
    main(["doctor", "--data", str(tmp_path / "data"), "--port", "0"])
    assert "WARN  This machine has no sound system" in capsys.readouterr().out


def test_what_is_missing_broken_or_stuck_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "LONGEST_S", 0.05)
    monkeypatch.setattr(sound, "ENOUGH_CALLBACKS", 1_000_000)
    for check in (sound.microphone, sound.loudspeaker):
        (stuck,) = check(NULL_BACKEND)
        assert stuck.status is Status.PROBLEM and "nothing moves" in stuck.says and stuck.do

    def fails(*_: object) -> Stream:
        raise InputError("device_failed", "The microphone cannot be opened (miniaudio -5).")

    monkeypatch.setattr(audio_devices, "Stream", fails)
    assert [finding.status for finding in sound.microphone(NULL_BACKEND)] == [Status.PROBLEM]
    monkeypatch.setattr(Context, "devices", lambda self: [])
    assert [finding.status for finding in sound.microphone(NULL_BACKEND)] == [Status.WARNING]
    assert [finding.status for finding in sound.loudspeaker(NULL_BACKEND)] == [Status.WARNING]


def test_a_second_canceller_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [Device(Kind.MICROPHONE, "Echo-Cancel Source", True), Device(Kind.MICROPHONE, "Built-in", False)]
    monkeypatch.setattr(sound, "list_devices", lambda backend: listed)
    monkeypatch.setattr(sound, "SoundCard", lambda *_, backend, **ends: SoundCard(*_, backend=NULL_BACKEND, **ends))
    advice = list(sound.devices())[1]
    assert advice.status is Status.WARNING and advice.do.startswith("Choose “Built-in” by --mic")


@pytest.mark.parametrize(("rate_hz", "statuses"), [(None, []), (16_000, ["warning"]), (44_100, ["ok"])])
def test_telephone_rates_are_told(rate_hz: int | None, statuses: list[str]) -> None:
    assert [finding.status for finding in sound.rate(Kind.MICROPHONE, "Headset", rate_hz)] == statuses
