"""From journal and events to tracks, mix, segments, page and summary. A pure function of the two files, in one pass and
constant memory.

Everything is written beside the old result and takes its place at the end, so a recording can be rendered again any
time.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from raccall import __version__
from raccall.errors import StorageError
from raccall.recorder.attribution import Speaker
from raccall.recorder.events import Alarm, Correction, Gap, Stop
from raccall.recorder.mix import Mix, SpeakerSound
from raccall.recorder.ogg import PRE_SKIP_SAMPLES
from raccall.recorder.opus_packet import is_silence
from raccall.recorder.page import PAGE, Peaks, write_page
from raccall.recorder.placement import Placement, Progress
from raccall.recorder.segments import FILE_NAME as SEGMENTS
from raccall.recorder.segments import Segments, write_segments
from raccall.recorder.summary import FILE_NAME as SUMMARY
from raccall.recorder.summary import Damage, Person, Summary
from raccall.recorder.timeline import LEAD_IN_SAMPLES, Placed, Shift, Timeline
from raccall.recorder.tracks import Track
from raccall.units import NANOS_PER_SECOND, SAMPLE_RATE_HZ, Nanos
from raccall.voice.codec import libopus_version

TRACKS = "tracks"
MIX = "mix.opus"
PRODUCTS = (TRACKS, MIX, SEGMENTS, PAGE, SUMMARY)
"""Files and folders that rendering makes."""

_UNFINISHED = ".rendering"


@dataclass(slots=True)
class _Voice:
    """One speaker while rendering."""

    speaker: Speaker
    track: Track
    sound: SpeakerSound = field(default_factory=SpeakerSound)
    sounding_samples: int = 0

    def add(self, placed: Placed, mix: Mix, segments: Segments, peaks: Peaks) -> None:
        self.track.add(placed)
        self.sounding_samples += 0 if is_silence(placed.payload) else placed.samples
        for position, samples in self.sound.add(placed):
            mix.add(position, samples)
            segments.add(self.speaker, position - PRE_SKIP_SAMPLES, samples)
            peaks.add(self.speaker.file_name, position - PRE_SKIP_SAMPLES, samples)


def render(folder: Path, *, progress: Progress | None = None) -> Summary:
    """Make tracks/, mix.opus, segments.json, index.html and summary.json of a recording, anew if they exist.

    progress: called with the share done, 0 to 1. Raises InputError when the folder is no recording, StorageError when
    the result cannot be written.
    """
    unfinished = folder / _UNFINISHED
    try:
        placement = Placement(folder)
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / TRACKS).mkdir(parents=True)
        summary = _render(placement, unfinished, progress or (lambda share: None))
        _put_in_place(unfinished, folder)
    except OSError as error:
        raise StorageError("render_failed", f"{folder} cannot be rendered: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return summary


def _render(placement: Placement, out: Path, progress: Progress) -> Summary:
    start = placement.start
    comments = {"ALBUM": start.room, "DATE": start.wall} if start else {}
    mix = Mix(out / MIX, comments={"TITLE": "Mix", **comments})
    segments, peaks = Segments(), Peaks()
    voices: dict[Speaker, _Voice] = {}
    for speaker in placement.speakers:
        path = out / TRACKS / f"{speaker.file_name}.opus"
        track = Track(path, channels=placement.channels(speaker), comments={"TITLE": speaker.name, **comments})
        voices[speaker] = _Voice(speaker, track)
    for step in placement.steps():
        for speaker, packets in step.placed.items():
            for placed in packets:
                voices[speaker].add(placed, mix, segments, peaks)
        mix.flush(step.settled)
        progress(step.share)
    for voice in voices.values():
        voice.track.close(placement.length)
    mix.close(placement.length)
    spoken = segments.finish(placement.length)
    write_segments(out, spoken)
    progress(1.0)
    summary = _summary(placement, list(voices.values()))
    summary.write(out)
    drawn = peaks.finish(placement.length)
    write_page(out, summary, placement.log.events, peaks=drawn, segments=spoken, mix=MIX)
    return summary


def _put_in_place(made: Path, folder: Path) -> None:
    shutil.rmtree(folder / TRACKS, ignore_errors=True)
    for name in PRODUCTS:
        os.replace(made / name, folder / name)


def _summary(placement: Placement, voices: list[_Voice]) -> Summary:
    start, log, damage = placement.start, placement.log, placement.reader.damage
    gaps = [event for event in log.events if isinstance(event, Gap)]
    in_kernel = sum(gap.packets for gap in gaps if gap.where == "kernel")
    in_tap = sum(gap.packets for gap in gaps if gap.where == "tap")
    timelines = placement.timelines
    lost = sum(timeline.counts.lost for timeline in timelines.values())
    corrections = [
        _correction(speaker, shift, placement.begin)
        for speaker, timeline in timelines.items()
        for shift in timeline.shifts
    ]
    return Summary(
        room=start.room if start else "",
        started=start.wall if start else "",
        lead_in_ms=LEAD_IN_SAMPLES * 1000 / SAMPLE_RATE_HZ,
        duration_s=placement.length / SAMPLE_RATE_HZ,
        complete=any(isinstance(event, Stop) for event in log.events),
        people=[_person(voice, timelines[voice.speaker]) for voice in voices],
        lost_in_network=max(lost - in_kernel - in_tap, 0),
        lost_in_kernel=in_kernel,
        lost_in_tap=in_tap,
        gaps=gaps,
        corrections=corrections,
        alarms=[event for event in log.events if isinstance(event, Alarm)],
        stopped=next((event.reason for event in log.events if isinstance(event, Stop)), ""),
        damage=Damage(
            journal_places=damage.places,
            journal_bytes=damage.lost_bytes,
            journal_packets=damage.lost_packets,
            event_lines=log.unread_lines,
        ),
        versions={"recorded_by": start.version if start else "", "rendered_by": __version__, "opus": libopus_version()},
    )


def _person(voice: _Voice, timeline: Timeline) -> Person:
    counts = timeline.counts
    expected = counts.placed + counts.lost
    drift_ppm = timeline.drift_ppm()
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
        overlapping=counts.overlapping,
        corrections_unlisted=counts.shifts_unlisted,
        sources=counts.sources,
        sounding_s=voice.sounding_samples / SAMPLE_RATE_HZ,
        concealed_s=voice.sound.concealed_samples / SAMPLE_RATE_HZ,
        recovered_s=voice.sound.recovered_samples / SAMPLE_RATE_HZ,
        drift_ppm=None if drift_ppm is None else round(drift_ppm, 1),
    )


def _correction(speaker: Speaker, shift: Shift, begin: Nanos) -> Correction:
    now = begin + (shift.position - LEAD_IN_SAMPLES) * NANOS_PER_SECOND // SAMPLE_RATE_HZ
    return Correction(
        now=now,
        user_id=speaker.user_id,
        shift_ms=shift.samples * 1000 / SAMPLE_RATE_HZ,
        left_out_ms=shift.left_out * 1000 / SAMPLE_RATE_HZ,
        reason=shift.reason,
    )
