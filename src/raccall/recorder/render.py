"""From journal and events to tracks, mix and summary. A pure function of the two files, in one pass and constant
memory.

Everything is written beside the old result and takes its place at the end, so a recording can be rendered again any
time.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from raccall import __version__
from raccall.errors import InputError, StorageError
from raccall.recorder.attribution import Attribution, Speaker
from raccall.recorder.events import Alarm, Correction, EventLog, Gap, Start, Stop, read_events
from raccall.recorder.journal import JournalReader, TimeBase
from raccall.recorder.mix import Mix, SpeakerSound
from raccall.recorder.opus_packet import is_silence, is_stereo
from raccall.recorder.summary import FILE_NAME as SUMMARY
from raccall.recorder.summary import Damage, Person, Summary
from raccall.recorder.timeline import LEAD_IN_SAMPLES, LOOK_AHEAD, Placed, Shift, Timeline
from raccall.recorder.tracks import Track
from raccall.units import FRAME_SAMPLES, NANOS_PER_MS, NANOS_PER_SECOND, SAMPLE_RATE_HZ, Nanos
from raccall.voice.codec import libopus_version

JOURNAL = "journal.pcapng"
EVENTS = "events.jsonl"
TRACKS = "tracks"
MIX = "mix.opus"

_UNFINISHED = ".rendering"
_STEP: int = 100 * NANOS_PER_MS
_MIX_DELAY: int = LOOK_AHEAD + 8 * NANOS_PER_SECOND
"""The mix is encoded ten seconds behind: a packet that a stalled network held back belongs that far in the past."""

Progress = Callable[[float], None]


@dataclass(slots=True)
class _Voice:
    """One speaker while rendering."""

    speaker: Speaker
    timeline: Timeline
    track: Track
    sound: SpeakerSound = field(default_factory=SpeakerSound)
    sounding_samples: int = 0

    def add(self, placed: Placed, mix: Mix) -> None:
        self.track.add(placed)
        self.sounding_samples += 0 if is_silence(placed.payload) else placed.samples
        for position, samples in self.sound.add(placed):
            mix.add(position, samples)


@dataclass(slots=True)
class _Survey:
    """What must be known before the first byte of a track is written."""

    packets: int = 0
    end: int = 0
    stereo: set[Speaker] = field(default_factory=set)


def render(folder: Path, *, progress: Progress | None = None) -> Summary:
    """Make tracks/, mix.opus and summary.json of a recording, anew if they exist.

    progress: called with the share done, 0 to 1. Raises InputError when the folder is no recording, StorageError when
    the result cannot be written.
    """
    if not (folder / JOURNAL).is_file() or not (folder / EVENTS).is_file():
        raise InputError("not_a_recording", f"{folder} holds no recording: {JOURNAL} or {EVENTS} is missing.")
    unfinished = folder / _UNFINISHED
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / TRACKS).mkdir(parents=True)
        summary = _render(folder, unfinished, progress or (lambda share: None))
        _put_in_place(unfinished, folder)
    except OSError as error:
        raise StorageError("render_failed", f"{folder} cannot be rendered: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return summary


def _render(folder: Path, out: Path, progress: Progress) -> Summary:
    log = read_events(folder / EVENTS)
    start = next((event for event in log.events if isinstance(event, Start)), None)
    reader = JournalReader(folder / JOURNAL, TimeBase(Nanos(start.now), start.wall_ns) if start else None)
    attribution = Attribution(log.events)
    survey = _survey(reader, attribution, log)
    begin = Nanos(start.now) if start else reader.base.monotonic_ns if reader.base else Nanos(0)
    comments = {"ALBUM": start.room, "DATE": start.wall} if start else {}

    voices: dict[Speaker, _Voice] = {}
    mix = Mix(out / MIX, comments={"TITLE": "Mix", **comments})
    clock = Timeline(begin)
    step_end = Nanos(begin + _STEP)
    for done, packet in enumerate(reader.packets()):
        if packet.arrival >= step_end:
            for voice in voices.values():
                for placed in voice.timeline.pull(packet.arrival):
                    voice.add(placed, mix)
            mix.flush(clock.position_of(Nanos(packet.arrival - _MIX_DELAY)))
            progress(done / survey.packets)
            step_end = Nanos(packet.arrival + _STEP)
        speaker = attribution.speaker_of(packet.ssrc, packet.arrival)
        if speaker not in voices:
            path = out / TRACKS / f"{speaker.file_name}.opus"
            channels = 2 if speaker in survey.stereo else 1
            track = Track(path, channels=channels, comments={"TITLE": speaker.name, **comments})
            voices[speaker] = _Voice(speaker, Timeline(begin), track)
        voices[speaker].timeline.push(packet)
    for voice in voices.values():
        for placed in voice.timeline.finish():
            voice.add(placed, mix)

    end = max([clock.position_of(Nanos(survey.end)), FRAME_SAMPLES, *(voice.timeline.end for voice in voices.values())])
    length = end + -end % FRAME_SAMPLES
    for voice in voices.values():
        voice.track.close(length)
    mix.close(length)
    progress(1.0)
    summary = _summary(start, begin, length, list(voices.values()), log, reader)
    summary.write(out)
    return summary


def _survey(reader: JournalReader, attribution: Attribution, log: EventLog) -> _Survey:
    survey = _Survey(end=max((event.now for event in log.events), default=0))
    for packet in reader.packets():
        survey.packets += 1
        survey.end = max(survey.end, packet.arrival)
        if is_stereo(packet.payload):
            survey.stereo.add(attribution.speaker_of(packet.ssrc, packet.arrival))
    return survey


def _put_in_place(made: Path, folder: Path) -> None:
    shutil.rmtree(folder / TRACKS, ignore_errors=True)
    for name in (TRACKS, MIX, SUMMARY):
        os.replace(made / name, folder / name)


def _summary(
    start: Start | None, begin: Nanos, length: int, voices: list[_Voice], log: EventLog, reader: JournalReader
) -> Summary:
    gaps = [event for event in log.events if isinstance(event, Gap)]
    in_kernel = sum(gap.packets for gap in gaps if gap.where == "kernel")
    in_tap = sum(gap.packets for gap in gaps if gap.where == "tap")
    lost = sum(voice.timeline.counts.lost for voice in voices)
    damage = reader.damage
    return Summary(
        room=start.room if start else "",
        started=start.wall if start else "",
        lead_in_ms=LEAD_IN_SAMPLES * 1000 / SAMPLE_RATE_HZ,
        duration_s=length / SAMPLE_RATE_HZ,
        complete=any(isinstance(event, Stop) for event in log.events),
        people=[_person(voice) for voice in voices],
        lost_in_network=max(lost - in_kernel - in_tap, 0),
        lost_in_kernel=in_kernel,
        lost_in_tap=in_tap,
        gaps=gaps,
        corrections=[_correction(voice, shift, begin) for voice in voices for shift in voice.timeline.shifts],
        alarms=[event for event in log.events if isinstance(event, Alarm)],
        stopped=next((event.reason for event in log.events if isinstance(event, Stop)), ""),
        damage=Damage(
            journal_places=damage.places,
            journal_bytes=damage.lost_bytes,
            journal_packets=damage.bad_checksums + damage.bad_times,
            event_lines=log.unread_lines,
        ),
        versions={"recorded_by": start.version if start else "", "rendered_by": __version__, "opus": libopus_version()},
    )


def _person(voice: _Voice) -> Person:
    counts = voice.timeline.counts
    expected = counts.placed + counts.lost
    drift_ppm = voice.timeline.drift_ppm()
    return Person(
        user_id=voice.speaker.user_id,
        name=voice.speaker.name,
        track=f"{TRACKS}/{voice.speaker.file_name}.opus",
        packets=counts.placed,
        lost=counts.lost,
        loss_pct=round(100 * counts.lost / expected, 2) if expected else 0.0,
        duplicates=counts.duplicates,
        late=counts.late,
        malformed=counts.malformed,
        excess=counts.excess,
        sources=counts.sources,
        sounding_s=voice.sounding_samples / SAMPLE_RATE_HZ,
        concealed_s=voice.sound.concealed_samples / SAMPLE_RATE_HZ,
        recovered_s=voice.sound.recovered_samples / SAMPLE_RATE_HZ,
        drift_ppm=None if drift_ppm is None else round(drift_ppm, 1),
    )


def _correction(voice: _Voice, shift: Shift, begin: Nanos) -> Correction:
    now = begin + (shift.position - LEAD_IN_SAMPLES) * NANOS_PER_SECOND // SAMPLE_RATE_HZ
    return Correction(
        now=now,
        user_id=voice.speaker.user_id,
        shift_ms=shift.samples * 1000 / SAMPLE_RATE_HZ,
        reason=shift.reason,
    )
