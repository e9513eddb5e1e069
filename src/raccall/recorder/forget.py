"""Forget one speaker of a recording: their packets, their events and every rendered file that holds their voice.

Journal and events are written anew without them, tracks and all the rest are made anew from these, and everything
takes its place at once (`replace`): a kill leaves the old recording or the new one. Only what was understood is
carried over, so no damaged place can hide a packet of theirs.

What this cannot reach: copies elsewhere, words of others about them, and what a disk keeps of deleted files.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from raccall import __version__
from raccall.errors import InputError, StorageError
from raccall.recorder.attribution import Attribution, Speaker
from raccall.recorder.events import (
    Alarm,
    Event,
    EventLog,
    EventWriter,
    MemberJoined,
    SomeoneForgotten,
    Source,
    Start,
    read_events,
)
from raccall.recorder.forget_track import forget_track
from raccall.recorder.journal import JournalReader, JournalWriter, TimeBase
from raccall.recorder.lock import CHANGING, changing, is_locked
from raccall.recorder.placement import EVENTS, JOURNAL, Progress, check_recording, has_begun
from raccall.recorder.render import PRODUCTS, UNFINISHED, render
from raccall.recorder.replace import finish_replacing, replacing
from raccall.units import Nanos
from raccall.voice.tap import Packets


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed, and what to look at."""

    name: str
    user_id: str
    """Empty for a voice whose owner was never told."""
    packets: int
    events: int
    unreadable: int
    """Damaged places and lines that were left out, too: nobody can say whose they were."""
    unknown: tuple[str, ...]
    """Voices without an owner that are still there: perhaps theirs as well."""
    untouched: tuple[str, ...]
    """Files in the folder that Raccall did not make there: perhaps with their voice."""
    mix_lost: bool = False
    """The journal was not kept, so that the mix is gone and cannot be made anew."""


def forget(folder: Path, speaker: str, *, progress: Progress | None = None) -> Forgotten:
    """Remove one speaker from a recording.

    speaker: user id, name, file name of the track, or "unknown-SSRC" as the track of a voice without owner is called.
    progress: called with the share done, 0 to 1.
    Raises InputError "not_a_recording", "recording_sealed", "folder_in_use", "speaker_unknown", "speaker_ambiguous";
    StorageError. Then the recording is as it was.
    """
    try:
        finish_replacing(folder)
        if not has_begun(folder):
            person = forget_track(folder, lambda speakers: choose(speaker, speakers, ()))
            return Forgotten(person.name, person.user_id, person.packets, 0, 0, (), _foreign(folder), mix_lost=True)
        check_recording(folder)
        if is_locked(folder / JOURNAL):
            raise InputError("folder_in_use", f"A call is being recorded into {folder}; end that first.")
        with changing(folder):
            return _forget(folder, speaker, progress or (lambda share: None))
    except OSError as error:
        raise StorageError("forget_failed", f"{folder} cannot be changed: {error.strerror or error}.") from error


def _forget(folder: Path, wanted: str, progress: Progress) -> Forgotten:
    log = read_events(folder / EVENTS)
    start = next((event for event in log.events if isinstance(event, Start)), None)
    reader = JournalReader(folder / JOURNAL, TimeBase(Nanos(start.now), start.wall_ns) if start else None)
    attribution = Attribution(log.events)
    voices = {attribution.speaker_of(packet.ssrc, packet.arrival): None for packet in reader.packets()}
    progress(0.1)
    person = choose(wanted, voices, log.events)
    rendered = any((folder / name).exists() for name in PRODUCTS)

    with replacing(folder, gone=(*PRODUCTS, UNFINISHED)) as made:
        packets, end = _copy_packets(reader, made / JOURNAL, attribution, person)
        events = _copy_events(log, made / EVENTS, person, end)
        progress(0.2)
        if rendered:
            render(made, progress=lambda share: progress(0.2 + 0.8 * share))
    progress(1.0)
    damage = reader.damage
    return Forgotten(
        name=person.name,
        user_id=person.user_id,
        packets=packets,
        events=events,
        unreadable=max(damage.places, damage.lost_packets) + log.unread_lines,
        unknown=tuple(voice.file_name for voice in voices if not voice.user_id and voice != person),
        untouched=_foreign(folder),
    )


def choose(wanted: str, voices: Iterable[Speaker], events: Iterable[Event]) -> Speaker:
    """Who is meant: an id counts before a name, a name before a track's file name.

    voices: who spoke; events: they also tell of people who never did. Raises InputError "speaker_unknown" or
    "speaker_ambiguous", naming the choices.
    """
    speakers = list(voices)
    names: dict[str, list[str]] = {}
    """user id → every name they had, the newest last."""
    for event in events:
        if isinstance(event, MemberJoined | Source):
            names.setdefault(event.user_id, []).extend([event.name] if event.name else [])
    people = {voice.user_id: voice for voice in speakers if voice.user_id}
    for user_id, had in names.items():
        name = had[-1] if had else user_id
        people.setdefault(user_id, Speaker(user_id, name, ""))

    if wanted in people:
        return people[wanted]
    called = [who for user_id, who in people.items() if wanted == who.name or wanted in names.get(user_id, [])]
    if len(called) > 1:
        ids = ", ".join(sorted(person.user_id for person in called))
        raise InputError(
            "speaker_ambiguous", f"{len(called)} people are called {wanted}; say which by their id: {ids}."
        )
    found = called or [voice for voice in speakers if voice.file_name == wanted]
    if not found:
        known = sorted({person.name for person in people.values()} | {v.file_name for v in speakers if not v.user_id})
        raise InputError("speaker_unknown", f"Nobody in this recording is {wanted}; there are: {', '.join(known)}.")
    return found[0]


def _copy_packets(reader: JournalReader, target: Path, attribution: Attribution, without: Speaker) -> tuple[int, Nanos]:
    """Returns how many were left out, and the arrival of the last packet of all."""
    left_out = end = 0
    writer = JournalWriter(target, reader.base or TimeBase(Nanos(0), 0), application=f"Raccall {__version__}")
    try:
        for batch in reader.batches():
            kept = []
            for index, packet in enumerate(Packets(batch)):
                end = max(end, packet.arrival)
                if attribution.speaker_of(packet.ssrc, packet.arrival) != without:
                    kept.append(index)
            left_out += len(batch) - len(kept)
            writer.append(batch.select(kept))
    finally:
        writer.close()
    return left_out, Nanos(end)


def _copy_events(log: EventLog, target: Path, without: Speaker, end: Nanos) -> int:
    """Returns how many were left out. The note that someone was removed keeps the recording as long as it was."""
    kept = [event for event in log.events if not _is_about(event, without)]
    writer = EventWriter(target)
    try:
        for event in kept:
            writer.append(event)
        writer.append(SomeoneForgotten(now=max([end, *(event.now for event in log.events)])))
    finally:
        writer.close()
    return len(log.events) - len(kept)


def _is_about(event: Event, person: Speaker) -> bool:
    """Whether an event tells of them: by their id, or an alarm by their name. Lines that others typed are theirs."""
    if isinstance(event, Alarm):
        return person.name in event.text
    return bool(person.user_id) and getattr(event, "user_id", "") == person.user_id


def _foreign(folder: Path) -> tuple[str, ...]:
    """Names of what Raccall did not make in the folder."""
    ours = (JOURNAL, EVENTS, *PRODUCTS, CHANGING)
    return tuple(sorted(path.name for path in folder.iterdir() if path.name not in ours))
