"""events.jsonl: damage costs the damaged lines and nothing else."""

import json
import random
from pathlib import Path

import pytest
from calls import Sender, over_network
from folders import ANNA, at, people, write_recording

from raccall.errors import InputError
from raccall.recorder import Stop, read_events, render
from raccall.recorder.opus_packet import SILENCE_20_MS

EVENTS = [*people(), Stop(now=at(2_000), reason="test")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "call", over_network([Sender(ANNA, [SILENCE_20_MS] * 50)], seed=1), EVENTS)


def test_a_flipped_bit_costs_its_line(folder: Path) -> None:
    path = folder / "events.jsonl"
    whole, chance = path.read_bytes(), random.Random(1)
    for _ in range(500):
        spoilt = bytearray(whole)
        at_byte = chance.randrange(len(whole))
        spoilt[at_byte] ^= 1 << chance.randrange(8)
        path.write_bytes(spoilt)
        log = read_events(path)
        assert all(event in EVENTS for event in log.events)
        at_most = 2 if whole[at_byte] == ord("\n") else 1  # two lines may become one
        assert len(log.events) >= len(EVENTS) - at_most


def test_a_line_written_by_hand_is_believed(folder: Path) -> None:
    with (folder / "events.jsonl").open("a") as file:
        file.write(f'{{"event":"note","now":{at(3_000)},"text":"hello"}}\n')
    assert read_events(folder / "events.jsonl").events[-1].now == at(3_000)


def test_a_flipped_digit_does_not_make_a_recording_longer(folder: Path) -> None:
    path = folder / "events.jsonl"
    path.write_text(path.read_text().replace(f'"now":{at(2_000)}', f'"now":9{at(2_000)}'))
    summary = render(folder)
    assert summary.duration_s < 2 and summary.damage.event_lines == 1


def test_times_beyond_a_month_are_refused(folder: Path) -> None:
    with (folder / "events.jsonl").open("a") as file:
        file.write(f'{{"event":"stop","now":{at(32 * 86_400_000)},"reason":"?"}}\n')
    with pytest.raises(InputError) as caught:
        render(folder)
    assert caught.value.code == "recording_too_long" and "32 days" in str(caught.value)


def test_a_recording_whose_events_are_gone_is_one(folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    summary = render(folder)
    assert [(person.user_id, person.packets) for person in summary.people] == [("", 50)]
    assert not summary.complete


def test_every_line_is_json(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines][::5] == ["start", "stop"]
    assert all(list(line)[-1] == "crc" for line in lines)
