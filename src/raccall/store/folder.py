"""The one folder that a server keeps everything in.

raccall.db                          users, rooms, messages, settings (with -wal and -shm beside it)
secret                              32 bytes that sign invites and tokens; without it all of them end
lock                                held by the server that uses this folder
certificate.pem, certificate.key    made by `--tls`, kept so that invite links stay true
"""

import os
import secrets
import sys
import tempfile
from pathlib import Path

from raccall.errors import StorageError

SECRET_BYTES = 32
PRIVATE = 0o600


class DataFolder:
    """Creates the folder if it is not there. Raises StorageError `data_not_writable`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise _not_writable(path, error) from None

    def database(self) -> Path:
        """The database's file, made empty for its owner only if it is not there. SQLite's own files follow its mode."""
        path = self.path / "raccall.db"
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE))
        except OSError as error:
            raise _not_writable(self.path, error) from None
        return path

    @property
    def certificate(self) -> Path:
        return self.path / "certificate.pem"

    @property
    def certificate_key(self) -> Path:
        return self.path / "certificate.key"

    def secret(self) -> bytes:
        """Made at the first start. Raises StorageError `data_not_writable` or `secret_unreadable`."""
        path = self.path / "secret"
        if not path.exists():
            self.write(path, secrets.token_bytes(SECRET_BYTES))
        try:
            secret = path.read_bytes()
        except OSError as error:
            raise StorageError("secret_unreadable", f"{path} cannot be read: {error.strerror}.") from None
        if len(secret) != SECRET_BYTES:
            raise StorageError("secret_unreadable", f"{path} is damaged; without it a new one is made and invites end.")
        return secret

    def write(self, path: Path, content: bytes) -> None:
        """Write a file that only its owner may read, whole or not at all. Raises StorageError `data_not_writable`."""
        half = path.with_name(path.name + ".new")
        try:
            half.unlink(missing_ok=True)
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        except OSError as error:
            raise _not_writable(self.path, error) from None


def default_data_folder() -> Path:
    """Where a program of this user keeps its data on this system."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "raccall"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "raccall"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "raccall"


def _not_writable(path: Path, error: OSError) -> StorageError:
    return StorageError("data_not_writable", f"The data folder {path} cannot be written: {error.strerror}.")
