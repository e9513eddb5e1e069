"""Encryption at rest: journal and events never touch the disk in clear, and the recording machine cannot read them.

Format
------
`journal.pcapng.sealed` and `events.jsonl.sealed` are rows of segments, one for each piece that was handed over; of
packets that are some ten a second:

    8 bytes    mark, never at this place by chance
    4 bytes    running number from 0, little endian
    4 bytes    length n, little endian
    n bytes    one whole age file (age-encryption.org/v1): some packets, or a line

Each segment has its own key and opens by itself, with the `age` command as well. So a kill costs no more than in
clear, a damaged place costs its segment, and the next mark tells where to go on. What age does not promise, this does
not: whoever may write to the folder can leave segments out, repeat them, or add some of their own.
"""

import mmap
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raccall.errors import InputError, StorageError
from raccall.recorder.age_keys import Identity, Recipient, pyrage, read_recipients
from raccall.recorder.append import AppendOnly
from raccall.recorder.placement import EVENTS, JOURNAL, SEALED
from raccall.recorder.recorder import check_folder

MARK = b"\x8aRACSEG\x1a"
_HEADER = struct.Struct("<8sII")


class Sealer:
    """Opens the files of a recording for writing so that only the recipients can read them."""

    def __init__(self, recipients: Sequence[str]) -> None:
        """recipients: public keys (age1…, ssh-…) or files of them. Raises InputError as `read_recipients` does."""
        self._recipients = read_recipients(recipients)

    def open(self, path: Path) -> "SealedFile":
        """Make `path`.sealed, which must not exist. Raises OSError."""
        return SealedFile(sealed_path(path), self._recipients)


class SealedFile(AppendOnly):
    """Each piece becomes one segment, readable for the recipients alone."""

    def __init__(self, path: Path, recipients: Sequence[Recipient]) -> None:
        """Create the file. FileExistsError when there is one."""
        super().__init__(path)
        self._encrypt = pyrage().encrypt
        self._recipients = list(recipients)
        self._number = 0

    def append(self, piece: bytes) -> None:
        segment = self._encrypt(piece, self._recipients)
        super().append(_HEADER.pack(MARK, self._number, len(segment)) + segment)
        self._number += 1


@dataclass(slots=True)
class Opened:
    """What a sealed recording held."""

    segments: int = 0
    """Opened, of both files."""
    broken: int = 0
    """Damaged, so that they could not be opened."""
    missing: int = 0
    """As the running numbers tell, the broken ones among them."""
    cut_bytes: int = 0
    """Of a last segment that was not written to its end."""


def unseal(folder: Path, identities: Sequence[Identity], out: Path) -> Opened:
    """Make an ordinary recording folder, without tracks, of a sealed one.

    out: new or empty. Raises InputError "not_sealed", "identity_unsuitable" (none of the keys opens it; nothing is left
    behind) or as `check_folder` does, StorageError.
    """
    if not is_sealed(folder):
        raise InputError("not_sealed", f"{folder} holds no encrypted recording.")
    check_folder(out)
    made = not out.exists()
    opened = Opened()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (JOURNAL, EVENTS):
            target = AppendOnly(out / name)
            try:
                if sealed_path(folder / name).is_file():
                    for piece in open_segments(sealed_path(folder / name), identities, opened):
                        target.append(piece)
            finally:
                target.close()
        if opened.segments == 0 and opened.broken:
            raise InputError(
                "identity_unsuitable", f"This key does not open {folder}: it was encrypted to another one."
            )
    except OSError as error:
        _discard(out, made)
        raise StorageError("decrypt_failed", f"{folder} cannot be decrypted: {error.strerror or error}.") from error
    except BaseException:
        _discard(out, made)
        raise
    return opened


def open_segments(path: Path, identities: Sequence[Identity], opened: Opened) -> Iterator[bytes]:
    """What each segment that opens held, in order; damage is counted in `opened`. Raises OSError."""
    if path.stat().st_size == 0:
        return
    age = pyrage()
    expected = at = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while (at := data.find(MARK, at)) >= 0:
            begin = at + _HEADER.size
            if begin > len(data):
                opened.cut_bytes += len(data) - at
                return
            _, number, length = _HEADER.unpack_from(data, at)
            if begin + length > len(data) and data.find(MARK, begin) < 0:
                opened.cut_bytes += len(data) - at
                return
            try:
                piece = age.decrypt(data[begin : begin + length], list(identities))
            except age.DecryptError:
                opened.broken += 1
                at += len(MARK)  # not past the segment: its length may be what is damaged
                continue
            opened.segments += 1
            opened.missing += max(number - expected, 0)
            expected = number + 1
            at = begin + length
            yield piece


def sealed_path(path: Path) -> Path:
    """Where the sealed form of a file lies."""
    return path.with_name(path.name + SEALED)


def is_sealed(folder: Path) -> bool:
    """Whether the folder holds an encrypted recording."""
    return sealed_path(folder / JOURNAL).is_file() or sealed_path(folder / EVENTS).is_file()


def _discard(out: Path, made: bool) -> None:
    for name in (JOURNAL, EVENTS):
        (out / name).unlink(missing_ok=True)
    if made:
        shutil.rmtree(out, ignore_errors=True)
