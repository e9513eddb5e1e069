"""A folder as one ZIP file, without a second copy of all of it on the disk."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

_SHRINKS = {".wav", ".json", ".vtt", ".txt", ".rpp", ".aup"}
"""What compressing makes smaller; sound that is encoded already is stored as it is."""


def pack(folder: Path, files: Iterable[str], archive: Path) -> None:
    """Move `files` (names in `folder`) into a new ZIP; past 4 GiB it is a ZIP64. Each is removed once it is in.

    Raises OSError.
    """
    with zipfile.ZipFile(archive, "x") as zipped:
        for name in files:
            path = folder / name
            how = zipfile.ZIP_DEFLATED if path.suffix in _SHRINKS else zipfile.ZIP_STORED
            zipped.write(path, name, compress_type=how, compresslevel=1)
            path.unlink()
