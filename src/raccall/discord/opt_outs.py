"""Who said no to being recorded, by guild: a small file that outlasts the bot."""

import json
import os
from pathlib import Path

from raccall.errors import StorageError

FILE = "opt-outs.json"


class OptOuts:
    """Read once, written at every change, whole and at once: `{"guild id": ["user id", ...]}`."""

    def __init__(self, path: Path | None = None) -> None:
        """path: None keeps it in memory alone. Raises StorageError "opt_outs_unreadable": who said no must not be
        forgotten because a file is damaged."""
        self._path = path
        self._guilds: dict[str, set[str]] = {}
        if path is None or not path.exists():
            return
        try:
            guilds = json.loads(path.read_text(encoding="utf-8"))
            self._guilds = {str(guild): {str(user_id) for user_id in users} for guild, users in guilds.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise StorageError(
                "opt_outs_unreadable", f"{path} cannot be read, and it says who must not be recorded: {error}."
            ) from error

    def of(self, guild_id: int) -> frozenset[str]:
        """User ids."""
        return frozenset(self._guilds.get(str(guild_id), ()))

    def set(self, guild_id: int, user_id: str, opted_out: bool) -> None:
        """Raises StorageError "opt_outs_unwritable"; then it holds until the program ends."""
        users = self._guilds.setdefault(str(guild_id), set())
        if opted_out:
            users.add(user_id)
        else:
            users.discard(user_id)
        if self._path is not None:
            self._write(self._path)

    def _write(self, path: Path) -> None:
        text = json.dumps({guild: sorted(users) for guild, users in self._guilds.items() if users}, indent=1)
        draft = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise StorageError("opt_outs_unwritable", f"{path} cannot be written: {error.strerror}.") from error
