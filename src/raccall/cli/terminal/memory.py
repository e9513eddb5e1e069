"""What the terminal client remembers from call to call: how loud each person is heard, and which devices were chosen.

One small JSON file in the user's folder. It is a convenience: unreadable or damaged, it is begun anew, and what cannot
be written is forgotten.
"""

import contextlib
from pathlib import Path

import msgspec

from raccall.whole_file import write_whole

MAX_VOLUMES = 500
"""Of the people whose volume was changed, those changed last are kept."""


class Memory(msgspec.Struct):
    """The file's content."""

    volumes_db: dict[str, float] = {}
    """"host:port name" → -60 to +12. By name, because a guest is another user each time."""
    microphone: str | None = None
    """As the system calls it; None: whatever it prefers."""
    speaker: str | None = None

    @classmethod
    def load(cls, file: Path) -> "Memory":
        """Empty if there is none, or none that can be read."""
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return cls()

    def save(self, file: Path) -> None:
        """Whole or not at all."""
        with contextlib.suppress(OSError):
            write_whole(file, msgspec.json.encode(self))

    def volume_db(self, server: str, name: str) -> float:
        """0 where nothing was chosen. server: host:port."""
        return self.volumes_db.get(f"{server} {name}", 0.0)

    def set_volume_db(self, server: str, name: str, volume_db: float) -> None:
        """0 forgets."""
        key = f"{server} {name}"
        self.volumes_db.pop(key, None)
        if volume_db:
            self.volumes_db[key] = volume_db
        while len(self.volumes_db) > MAX_VOLUMES:
            del self.volumes_db[next(iter(self.volumes_db))]
