"""Forget one speaker of a recording whose journal was not kept: their track goes, and what mixes their voice in.

The mix holds everyone and cannot be made again without the journal; so it goes, and the page with it. The others'
tracks stay.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from raccall.errors import InputError
from raccall.recorder.attribution import Speaker
from raccall.recorder.lock import changing
from raccall.recorder.page import PAGE
from raccall.recorder.render import MIX, UNFINISHED
from raccall.recorder.replace import replacing
from raccall.recorder.segments import FILE_NAME as SEGMENTS
from raccall.recorder.segments import read_segments, write_segments
from raccall.recorder.summary import FILE_NAME as SUMMARY
from raccall.recorder.summary import Person, read_summary


def forget_track(folder: Path, choose: Callable[[Iterable[Speaker]], Speaker]) -> Person:
    """Remove one speaker's track. `choose` says whose.

    Returns what the summary said of them. Raises InputError "not_a_recording", "folder_in_use", what `choose` raises,
    or OSError; then nothing has changed.
    """
    if not (folder / SUMMARY).is_file():
        raise _no_recording(folder)
    with changing(folder):
        return _forget_track(folder, choose)


def _forget_track(folder: Path, choose: Callable[[Iterable[Speaker]], Speaker]) -> Person:
    try:
        summary = read_summary(folder)
    except (OSError, msgspec.DecodeError):
        raise _no_recording(folder) from None
    people = {Speaker(person.user_id, person.name, Path(person.track).stem): person for person in summary.people}
    speaker = choose(people)
    person = people[speaker]
    left = msgspec.structs.replace(
        summary,
        people=[other for other in summary.people if other is not person],
        corrections=[one for one in summary.corrections if one.user_id != person.user_id],
        alarms=[alarm for alarm in summary.alarms if person.name not in alarm.text],
    )
    with replacing(folder, gone=(person.track, MIX, PAGE, SUMMARY, SEGMENTS, UNFINISHED)) as made:
        left.write(made)
        if (folder / SEGMENTS).exists():
            write_segments(made, [one for one in read_segments(folder) if one.file_name != speaker.file_name])
    return person


def _no_recording(folder: Path) -> InputError:
    return InputError("not_a_recording", f"{folder} holds no recording: neither journal nor summary.")
