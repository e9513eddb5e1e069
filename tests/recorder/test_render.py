"""From journal and events to the files that people listen to, judged by libsndfile's decoder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calls import START, Sender, encode, offset_ms, over_network, speech
from folders import ANNA, BEN, at, people, read, write_recording

from raccall.errors import InputError
from raccall.recorder import Alarm, Event, Gap, MemberJoined, Source, Stop, Summary, read_summary, render


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_tracks_and_mix_hold_what_was_said_aligned_and_equally_long(tmp_path: Path, loss: float) -> None:
    sounds = {ANNA: speech(8, 1), BEN: speech(6, 2)}
    begins_ms = {ANNA: 150.0, BEN: 1_777.0}
    senders = [Sender(ssrc, encode(sounds[ssrc], tmp_path), begins_ms[ssrc]) for ssrc in sounds]
    packets = over_network(senders, seed=3, loss=loss, jitter_ms=30)
    folder = write_recording(tmp_path / "call", packets, [*people(), Stop(now=at(10_000), reason="test")])
    summary = render(folder)

    tracks = {ANNA: read(folder / "tracks/anna.opus"), BEN: read(folder / "tracks/ben.opus")}
    mix = read(folder / "mix.opus")
    assert {len(sound) for sound in (*tracks.values(), mix)} == {round(summary.duration_s * 48_000)}
    errors = []
    for ssrc, track in tracks.items():
        found_ms, correlation = offset_ms(track, sounds[ssrc])
        errors.append(found_ms - begins_ms[ssrc])
        assert correlation > (0.9 if loss < 0.1 else 0.7)
    assert abs(errors[0] - errors[1]) < 5
    both_ms, correlation = offset_ms(mix, tracks[ANNA] + tracks[BEN])
    assert abs(both_ms) < 1
    assert correlation > 0.85
    assert np.abs(mix).max() < 1

    assert read_summary(folder) == summary
    assert summary.complete
    assert sum(person.packets for person in summary.people) == len(packets)
    assert [person.loss_pct for person in summary.people] == pytest.approx([100 * loss] * 2, abs=4)
    assert not (folder / ".rendering").exists()


def test_rendering_is_a_pure_function_and_may_be_repeated(tmp_path: Path) -> None:
    packets = over_network([Sender(ANNA, encode(speech(2, 1), tmp_path))], seed=1, loss=0.1, jitter_ms=30)
    folder = write_recording(tmp_path / "call", packets, people())

    def files() -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    shares: list[float] = []
    render(folder, progress=shares.append)
    first = files()
    render(folder)
    assert files() == first
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_reconnecting_with_a_new_ssrc_keeps_one_track(tmp_path: Path) -> None:
    sound = speech(3, 4)
    payloads = encode(sound, tmp_path)
    senders = [Sender(ANNA, payloads, 0.0), Sender(BEN, payloads, 5_000.0, sequence=9, timestamp=1234)]
    sources = [Source(now=at(0), ssrc=ANNA, user_id="1"), Source(now=at(4_900), ssrc=BEN, user_id="1")]
    folder = write_recording(tmp_path / "call", over_network(senders, seed=1, jitter_ms=30), people(*sources))
    summary = render(folder)
    assert [person.track for person in summary.people] == ["tracks/anna.opus"]
    assert summary.people[0].sources == 2
    twice = np.concatenate([sound, np.zeros(96_000, np.float32), sound])
    assert offset_ms(read(folder / "tracks/anna.opus"), twice)[1] > 0.95


def test_who_a_voice_belongs_to_may_become_known_later(tmp_path: Path) -> None:
    packets = over_network([Sender(ANNA, encode(speech(3, 4), tmp_path))], seed=1)
    folder = write_recording(tmp_path / "call", packets, people(Source(now=at(2_000), ssrc=ANNA, user_id="1")))
    summary = render(folder)
    assert [(person.name, person.packets) for person in summary.people] == [("anna", 150)]


def test_a_voice_nobody_claims_is_kept_under_its_number(tmp_path: Path) -> None:
    packets = over_network([Sender(ANNA, encode(speech(1, 4), tmp_path))], seed=1)
    events = [event for event in people() if not isinstance(event, Source)]
    render(write_recording(tmp_path / "call", packets, events))
    assert (tmp_path / "call/tracks/unknown-0000000a.opus").exists()


def test_same_and_dangerous_names_get_files_of_their_own_in_the_folder(tmp_path: Path) -> None:
    names = ["anna", "Anna", "../../etc/passwd", "CON", "...", "Zoë 😀"]
    payloads = encode(speech(0.2, 4), tmp_path)
    packets = over_network([Sender(index, payloads, index) for index in range(len(names))], seed=1)
    events: list[Event] = [people()[0]]
    for index, name in enumerate(names):
        events.append(MemberJoined(now=START, user_id=str(index), name=name))
        events.append(Source(now=START, ssrc=index, user_id=str(index)))
    summary = render(write_recording(tmp_path / "call", packets, events))
    files = sorted(path.name for path in (tmp_path / "call/tracks").iterdir())
    assert files == sorted(
        ["anna.opus", "Anna-2.opus", "_.._etc_passwd.opus", "_CON.opus", "speaker.opus", "Zoë _.opus"]
    )
    assert [person.name for person in summary.people] == names


def test_loud_speakers_together_do_not_clip(tmp_path: Path) -> None:
    loud = [0.95 * speech(3, seed) / np.abs(speech(3, seed)).max() for seed in range(4)]
    senders = [Sender(ssrc, encode(sound, tmp_path)) for ssrc, sound in enumerate(loud)]
    render(write_recording(tmp_path / "call", over_network(senders, seed=1), people()))
    assert np.abs(np.sum(loud, axis=0)).max() > 1.5
    assert np.abs(read(tmp_path / "call/mix.opus")).max() < 1


def test_hostile_packets_harm_nobody_else(tmp_path: Path) -> None:
    sound = speech(3, 4)
    good = over_network([Sender(ANNA, encode(sound, tmp_path))], seed=1)
    random = np.random.default_rng(1)
    noise = Sender(BEN, [bytes(random.integers(0, 256, random.integers(0, 80), np.uint8)) for _ in range(150)])
    bad = [replace(packet, rtp=packet.rtp[:12] + packet.rtp[12:]) for packet in over_network([noise], seed=2)]
    packets = sorted(good + bad, key=lambda packet: packet.arrival)
    summary = render(write_recording(tmp_path / "call", packets, people()))
    assert offset_ms(read(tmp_path / "call/tracks/anna.opus"), sound)[1] > 0.95
    assert summary.people[1].malformed > 10
    assert len(read(tmp_path / "call/tracks/ben.opus")) == round(summary.duration_s * 48_000)


def test_losses_on_this_machine_are_told_apart_from_the_networks(tmp_path: Path) -> None:
    packets = over_network([Sender(ANNA, encode(speech(4, 4), tmp_path))], seed=1)
    kept = packets[:50] + packets[60:100] + packets[105:150] + packets[152:]
    gaps = [Gap(now=at(1_200), packets=10), Gap(now=at(2_000), packets=5, where="kernel")]
    summary = render(write_recording(tmp_path / "call", kept, [*people(), *gaps]))
    assert (summary.lost_in_tap, summary.lost_in_kernel, summary.lost_in_network) == (10, 5, 2)


def test_alarms_and_the_reason_of_the_end_are_in_the_summary(tmp_path: Path) -> None:
    alarms = [
        Alarm(now=at(100), kind="connection", text="Gone."),
        Alarm(now=at(900), kind="connection", text="Back.", ended=True),
    ]
    summary = render(
        write_recording(tmp_path / "call", [], [*people(), *alarms, Stop(now=at(1_000), reason="max_size")])
    )
    assert (summary.alarms, summary.stopped) == (alarms, "max_size")
    assert read_summary(tmp_path / "call") == summary


def test_a_killed_recording_renders_what_was_written(tmp_path: Path) -> None:
    packets = over_network([Sender(ANNA, encode(speech(3, 4), tmp_path))], seed=1)
    folder = write_recording(tmp_path / "call", packets, people())
    for name in ("journal.pcapng", "events.jsonl"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) - 37])
    summary = render(folder)
    assert not summary.complete
    assert summary.people[0].packets == 149
    assert (summary.damage.journal_places, summary.damage.event_lines) == (1, 1)


def test_an_empty_recording_renders_to_an_empty_mix(tmp_path: Path) -> None:
    summary: Summary = render(write_recording(tmp_path / "call", [], [*people(), Stop(now=at(2_000), reason="test")]))
    assert summary.people == []
    assert len(read(tmp_path / "call/mix.opus")) == round(summary.duration_s * 48_000)


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        render(tmp_path)
    assert caught.value.code == "not_a_recording"
    assert list(tmp_path.iterdir()) == []


def test_the_summary_is_json_for_people(tmp_path: Path) -> None:
    folder = write_recording(tmp_path / "call", [], people())
    render(folder)
    assert json.loads((folder / "summary.json").read_text())["room"] == "lounge"
