"""`raccall devices`: what is listed and recommended, and one sentence where there is nothing to list."""

import json

import pytest

from raccall.audio import devices as audio_devices
from raccall.audio.backend import Context
from raccall.audio.devices import Device, Kind
from raccall.cli import devices as command
from raccall.cli.devices import canceller_advice
from raccall.cli.main import EXIT_INPUT, main
from raccall.errors import InputError

MICROPHONE = Device(Kind.MICROPHONE, "Built-in", False)
CANCELLER = Device(Kind.MICROPHONE, "Built-in (echo cancelled with Echo-Cancel)", True)
SPEAKER = Device(Kind.SPEAKER, "Loudspeaker", True)
MONITOR = Device(Kind.MICROPHONE, "Monitor of Loudspeaker", False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "list_devices", lambda: [CANCELLER, MONITOR, MICROPHONE, SPEAKER])


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("words", [["devices"], ["join", "--list-devices"]], ids=" ".join)
def test_defaults_are_marked_and_a_second_canceller_is_advised_against(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"microphone  {CANCELLER.name}  (default)"
    assert lines[2:4] == ["microphone  Built-in", "speaker     Loudspeaker  (default)"]
    assert "choose “Built-in” by --mic" in lines[4] and "--no-echo-cancel" in lines[4]


@pytest.mark.usefixtures("machine")
def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    first, *_, speaker, advice = map(json.loads, capsys.readouterr().out.splitlines())
    kind = {"event": "device", "kind": "microphone", "name": CANCELLER.name}
    assert first == kind | {"is_default": True, "cancels_echo": True}
    assert (speaker["kind"], speaker["cancels_echo"], advice["event"]) == ("speaker", False, "advice")


def test_an_ordinary_microphone_needs_no_advice() -> None:
    plain = Device(Kind.MICROPHONE, "Built-in", True)
    assert canceller_advice([plain, SPEAKER]) is None
    only = canceller_advice([CANCELLER, MONITOR, SPEAKER])
    assert only is not None and "choose" not in only


def test_no_sound_system_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_answers(backend: object) -> Context:
        raise InputError("no_sound_system", "This machine has no sound system that Raccall can use.")

    monkeypatch.setattr(audio_devices, "Context", nobody_answers)
    assert main(["devices"]) == EXIT_INPUT
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.endswith("[no_sound_system]\n")
