"""The folder that a recording made by a program goes to: the one it names, or a temporary one.

with destination(path) as target:
    ...                          # recorded into target.folder, rendered
return target.recording()
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from raccall.errors import RaccallError
from raccall.recorder.placement import has_begun
from raccall.recorder.recording import Recording


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one recording goes. Made by `destination`."""

    folder: Path
    temporary: bool

    def recording(self) -> Recording:
        """The finished one; a temporary folder is deleted together with it."""
        return Recording(self.folder, temporary=self.temporary)


@contextmanager
def destination(path: str | PathLike[str] | None) -> Iterator[Destination]:
    """path: new or empty, as `check_folder` has found; None: a temporary folder.

    When recording fails and something was received before, it stays, and the RaccallError's note says where, even in
    a temporary folder; in any other case a temporary folder is deleted.
    """
    target = Destination(Path(tempfile.mkdtemp(prefix="raccall-") if path is None else path), temporary=path is None)
    try:
        yield target
    except RaccallError as error:
        if has_begun(target.folder):
            error.add_note(f"What was received until then: raccall.Recording.open({str(target.folder)!r})")
        elif target.temporary:
            shutil.rmtree(target.folder, ignore_errors=True)
        raise
    except BaseException:
        if target.temporary:
            shutil.rmtree(target.folder, ignore_errors=True)
        raise
