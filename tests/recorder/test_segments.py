"""Who spoke when, judged on real speech: the package's own clips with known pauses, in an open microphone's noise."""

import json
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from calls import Sender, Sound, encode, over_network
from folders import people, write_recording

from raccall.audio.files import read_samples
from raccall.recorder import render
from raccall.recorder.attribution import Speaker
from raccall.recorder.segments import FILE_NAME, Segment, Segments, read_segments, write_segments

ANNA, BEN = Speaker("1", "Anna", "Anna"), Speaker("2", "Dr. Ben", "Dr. Ben")
CLIPS = ("anna_1", "ben_1", "anna_2")


def clip(name: str) -> Sound:
    """One clip at -23 dBFS, cut to what is speech: from its first to its last loud moment."""
    sound = read_samples(str(files("raccall.testing") / "speech" / f"{name}.flac"))
    loud = np.flatnonzero(np.abs(sound) > 0.05 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1]]
    return sound * np.float32(10 ** (-23 / 20) / np.sqrt(np.mean(sound**2)))


def noise(seconds: float, level_db: float) -> Sound:
    random = np.random.default_rng(7)
    return random.normal(0, 10 ** (level_db / 20), int(seconds * 48_000)).astype(np.float32)


def scene(pause_s: float) -> tuple[Sound, list[tuple[float, float]]]:
    """Clips with pauses between them, and where each begins and ends, in seconds."""
    parts, truth, at = [np.zeros(96_000, np.float32)], [], 2.0
    for name in CLIPS:
        sound = clip(name)
        truth.append((at, at + len(sound) / 48_000))
        parts += [sound, np.zeros(int(pause_s * 48_000), np.float32)]
        at += len(sound) / 48_000 + pause_s
    return np.concatenate(parts), truth


def found(sound: Sound, piece: int = 960) -> list[Segment]:
    segments = Segments()
    for at in range(0, len(sound), piece):
        segments.add(ANNA, at, sound[at : at + piece])
    return segments.finish(len(sound))


def spoken(segments: list[Segment], begin: float, end: float) -> float:
    """Seconds of `begin` to `end` that segments cover."""
    return sum(max(0.0, min(s.end_s, end) - max(s.begin_s, begin)) for s in segments)


@pytest.mark.parametrize("noise_db", [-60, -45])
def test_speech_is_found_and_an_open_microphones_noise_is_not(noise_db: float) -> None:
    sound, truth = scene(pause_s=3.0)
    segments = found(sound + noise(len(sound) / 48_000, noise_db)[: len(sound)])
    for begin, end in truth:
        assert spoken(segments, begin, end) > 0.95 * (end - begin)
    between = [(before[1] + 0.3, after[0] - 0.3) for before, after in pairwise(truth)]
    assert sum(spoken(segments, *pause) for pause in between) < 0.1
    assert abs(segments[0].begin_s - truth[0][0]) < 0.25
    assert abs(segments[-1].end_s - truth[-1][1]) < 0.35


def test_noise_alone_is_no_speech() -> None:
    for level_db in (-60, -40, -30):
        hiss = noise(30, level_db)
        assert found(hiss) == []
        wavering = 1 + 0.5 * np.sin(np.arange(len(hiss)) / 48_000 * 2 * np.pi * 0.7).astype(np.float32)
        assert found(hiss * wavering) == []


def test_a_click_is_no_speech() -> None:
    sound = noise(10, -70)
    sound[240_000:241_000] += 0.5
    assert found(sound) == []


def test_a_breath_does_not_cut_a_sentence_and_a_second_does() -> None:
    voice = clip("anna_1")[:96_000]
    for pause_s, expected in ((0.3, 1), (1.0, 2)):
        pause = np.zeros(int(pause_s * 48_000), np.float32)
        long = np.concatenate([np.zeros(48_000, np.float32), voice, pause, voice, np.zeros(96_000, np.float32)])
        inside = [s for s in found(long) if s.end_s - s.begin_s > 0.5]
        assert len(inside) == expected


def test_segments_do_not_depend_on_how_the_sound_comes_in() -> None:
    sound, _ = scene(pause_s=1.0)
    assert found(sound, 960) == found(sound, 7_777) == found(sound, len(sound))
    segments = Segments()
    for at in range(0, len(sound), 960):
        piece = sound[at : at + 960]
        if piece.any():  # a sender that pauses sends nothing
            segments.add(ANNA, at, np.stack([piece, piece], axis=1))
    assert segments.finish(len(sound)) == found(sound)


def test_an_hour_without_packets_is_passed_over() -> None:
    voice = clip("ben_1")
    segments = Segments()
    segments.add(ANNA, 0, voice)
    segments.add(ANNA, 3600 * 48_000, voice)
    late = segments.finish(3601 * 48_000)
    assert [segment.begin_s // 1800 for segment in late] == sorted(segment.begin_s // 1800 for segment in late)
    assert late[0].begin_s < 1 and 3599 < late[-1].begin_s < late[-1].end_s <= 3601


def test_the_file_is_for_people_and_programs(tmp_path: Path) -> None:
    segments = [Segment("2", "Dr. Ben", "Dr. Ben", 0.5, 2.25), Segment("1", "Anna", "Anna", 1.0, 3.0)]
    write_segments(tmp_path, segments)
    assert read_segments(tmp_path) == segments
    written = json.loads((tmp_path / FILE_NAME).read_text(encoding="utf-8"))
    assert written["format"] == 1
    assert written["segments"][0] == {
        "begin_s": 0.5,
        "end_s": 2.25,
        "name": "Dr. Ben",
        "user_id": "2",
        "track": "tracks/Dr. Ben.opus",
    }


def test_everyones_segments_come_in_order() -> None:
    voice = clip("ben_1")
    segments = Segments()
    segments.add(ANNA, 96_000, voice)
    segments.add(BEN, 24_000, voice)
    segments.add(ANNA, 480_000, voice)
    names = [segment.name for segment in segments.finish(960_000)]
    assert names[0] == "Dr. Ben" and names[-1] == "Anna"


def test_rendering_tells_who_spoke_when(tmp_path: Path) -> None:
    anna, ben = clip("anna_1"), clip("ben_1")
    voices = {
        0xA: np.concatenate([np.zeros(48_000, np.float32), anna, np.zeros(len(ben), np.float32)]),
        0xB: np.concatenate([np.zeros(48_000 + len(anna), np.float32), ben]),
    }
    sent = {ssrc: voice + noise(len(voice) / 48_000 + 1, -55)[: len(voice)] for ssrc, voice in voices.items()}
    senders = [Sender(ssrc, encode(sound, tmp_path)) for ssrc, sound in sent.items()]
    folder = write_recording(tmp_path / "call", over_network(senders, seed=1, loss=0.05, jitter_ms=20), people())
    render(folder)
    segments = read_segments(folder)
    turn = 1.2 + 0.04 + len(anna) / 48_000  # lead-in and the network's delay come on top
    for name, begin, end in (("anna", 1.24, turn), ("ben", turn, turn + len(ben) / 48_000)):
        own = [s for s in segments if s.name == name]
        assert abs(own[0].begin_s - begin) < 0.3 and abs(own[-1].end_s - end) < 0.35
        assert {(s.user_id, s.file_name) for s in own} == {("1", "anna") if name == "anna" else ("2", "ben")}
