"""From journal and events to tracks, mix, segments, page and summary. A pure function of the two files, in constant
memory; each packet is decoded once.

Everything is written beside the old result and takes its place at the end, so a recording can be rendered again any
time.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from raccall import __version__
from raccall.errors import StorageError
from raccall.recorder.attribution import Speaker
from raccall.recorder.decoding import Voice, decode
from raccall.recorder.events import Alarm, Correction, Gap, Stop
from raccall.recorder.lock import changing
from raccall.recorder.mix import MixDraft
from raccall.recorder.opus_packet import is_silence
from raccall.recorder.page import PAGE, Peaks, write_page
from raccall.recorder.placement import Placement, Progress, Step, check_recording
from raccall.recorder.segments import FILE_NAME as SEGMENTS
from raccall.recorder.segments import Segments, write_segments
from raccall.recorder.summary import FILE_NAME as SUMMARY
from raccall.recorder.summary import Damage, Person, Summary
from raccall.recorder.timeline import LEAD_IN_SAMPLES, Shift, Timeline
from raccall.recorder.tracks import Track
from raccall.units import NANOS_PER_SECOND, SAMPLE_RATE_HZ, Nanos
from raccall.voice.codec import libopus_version

TRACKS = "tracks"
MIX = "mix.opus"
PRODUCTS = (TRACKS, MIX, SEGMENTS, PAGE, SUMMARY)
"""Files and folders that rendering makes."""

UNFINISHED = ".rendering"
_DRAFT = "mix.f16"


_DECODED = 0.6
"""Share of the work that is done when everything is decoded and only the mix is left to encode."""


class _Tracks:
    """Every speaker's file, written while its packets pass."""

    def __init__(self, placement: Placement, out: Path, comments: dict[str, str]) -> None:
        self._files = {
            speaker: Track(
                out / TRACKS / f"{speaker.file_name}.opus",
                channels=placement.channels(speaker),
                comments={"TITLE": speaker.name, **comments},
            )
            for speaker in placement.speakers
        }
        self.sounding_samples = dict.fromkeys(placement.speakers, 0)

    def pass_on(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            for speaker, packets in step.placed.items():
                track = self._files[speaker]
                for placed in packets:
                    track.add(placed)
                    self.sounding_samples[speaker] += 0 if is_silence(placed.payload) else placed.samples
            yield step

    def close(self, length: int) -> None:
        for track in self._files.values():
            track.close(length)


def render(folder: Path, *, progress: Progress | None = None) -> Summary:
    """Make tracks/, mix.opus, segments.json, index.html and summary.json of a recording, anew if they exist.

    progress: called with the share done, 0 to 1. Raises InputError when the folder is no recording or another command
    changes it ("folder_in_use"), StorageError when the result cannot be written.
    """
    try:
        check_recording(folder)
        with changing(folder):
            return _render_alone(folder, progress or (lambda share: None))
    except OSError as error:
        raise StorageError("render_failed", f"{folder} cannot be rendered: {error.strerror or error}.") from error


def _render_alone(folder: Path, progress: Progress) -> Summary:
    unfinished = folder / UNFINISHED
    try:
        placement = Placement(folder)
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / TRACKS).mkdir(parents=True)
        summary = _render(placement, unfinished, progress)
        _put_in_place(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return summary


def _render(placement: Placement, out: Path, progress: Progress) -> Summary:
    start = placement.start
    comments = {"ALBUM": start.room, "DATE": start.wall} if start else {}
    voices = [Voice(speaker, placement.channels(speaker)) for speaker in placement.speakers]
    tracks, segments, peaks = _Tracks(placement, out, comments), Segments(), Peaks()
    draft = MixDraft(out / _DRAFT, max((voice.channels for voice in voices), default=1))
    for block in decode(voices, tracks.pass_on(placement.steps()), 0, placement.length, None):
        draft.add(block.mix)
        for voice in voices:
            sound = block.voices[voice.speaker.file_name]
            if sound.any():
                segments.add(voice.speaker, block.position, sound)
                peaks.add(voice.speaker.file_name, block.position, sound)
        progress(_DECODED * (block.position + len(block.mix)) / placement.length)
    tracks.close(placement.length)
    draft.write(
        out / MIX,
        comments={"TITLE": "Mix", **comments},
        progress=lambda share: progress(_DECODED + (1 - _DECODED) * share),
    )
    draft.close()
    spoken = segments.finish(placement.length)
    write_segments(out, spoken)
    people = [_person(voice, placement.timelines[voice.speaker], tracks) for voice in voices]
    summary = _summary(placement, people)
    summary.write(out)
    drawn = peaks.finish(placement.length)
    write_page(out, summary, placement.log.events, peaks=drawn, segments=spoken, mix=MIX)
    progress(1.0)
    return summary


def _put_in_place(made: Path, folder: Path) -> None:
    shutil.rmtree(folder / TRACKS, ignore_errors=True)
    for name in PRODUCTS:
        os.replace(made / name, folder / name)


def _summary(placement: Placement, people: list[Person]) -> Summary:
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
        people=people,
        speakers_left_out=placement.speakers_left_out,
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


def _person(voice: Voice, timeline: Timeline, tracks: _Tracks) -> Person:
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
        refused=voice.sound.refused_packets,
        sources=counts.sources,
        sounding_s=tracks.sounding_samples[voice.speaker] / SAMPLE_RATE_HZ,
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
