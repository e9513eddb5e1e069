"""What was received may go once what was made of it is proven whole: `raccall record --keep tracks`.

Given up with it: rendering anew with a better program, exports with other settings, forgetting one speaker in the mix.
"""

import os
from pathlib import Path

from raccall.errors import StorageError
from raccall.recorder.ogg import PRE_SKIP_SAMPLES, page_checksum
from raccall.recorder.placement import EVENTS, JOURNAL
from raccall.recorder.render import MIX
from raccall.recorder.summary import Summary
from raccall.units import SAMPLE_RATE_HZ

_PAGE_HEADER_BYTES = 27
_LAST_PAGE = 0x04


def delete_received(folder: Path, summary: Summary) -> int:
    """Delete journal and events of a rendered recording. Returns how many bytes that freed.

    First every track and the mix is read back from its first page to its last, and made sure of on the disk. Raises
    StorageError "tracks_damaged"; then nothing is deleted.
    """
    wanted = round(summary.duration_s * SAMPLE_RATE_HZ)
    try:
        for name in (*(person.track for person in summary.people), MIX):
            path = folder / name
            if ogg_samples(path) != wanted:
                raise StorageError(
                    "tracks_damaged", f"{path} is not whole, so {JOURNAL} was kept; `raccall render` makes it again."
                )
            _sync(path)
        freed = 0
        for name in (JOURNAL, EVENTS):
            freed += (folder / name).stat().st_size
            (folder / name).unlink()
    except OSError as error:
        raise StorageError("recording_failed", f"{folder} cannot be cleared: {error.strerror or error}.") from error
    return freed


def ogg_samples(path: Path) -> int | None:
    """Length of an Ogg Opus file in samples of 48 kHz; None if a page is damaged, missing or none the last."""
    end, number, last = 0, 0, False
    with path.open("rb") as file:
        while header := file.read(_PAGE_HEADER_BYTES):
            if len(header) < _PAGE_HEADER_BYTES or header[:4] != b"OggS" or last:
                return None
            lacing = file.read(header[26])
            page = bytearray(header + lacing + file.read(sum(lacing)))
            told = int.from_bytes(page[22:26], "little")
            page[22:26] = bytes(4)
            if told != page_checksum(page) or int.from_bytes(header[18:22], "little") != number:
                return None
            end, last = int.from_bytes(header[6:14], "little", signed=True), bool(header[5] & _LAST_PAGE)
            number += 1
    return end - PRE_SKIP_SAMPLES if last else None


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
