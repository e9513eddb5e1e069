"""The store on SQLite (in WAL mode: readers never wait for the writer)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, delete, event, insert, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from raccall.errors import RefusedError, StorageError
from raccall.store.repository import StoredMessage, StoredRoom, StoredUser
from raccall.store.tables import REVISION, messages, rooms, settings, silenced, users

BUSY_TIMEOUT_MS = 5000
"""How long a write waits for another process, a backup for example."""


class SqlStore:
    """Opens the database and brings its tables up to date. Everything raises StorageError `database_unusable` when the
    disk is full, the file damaged, or another program holds it for too long.
    """

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(URL.create("sqlite", database=str(path)))
        event.listen(self._engine, "connect", _configure)
        try:
            migrate(self._engine)
        except DatabaseError as error:
            self._engine.dispose()
            raise _unusable(error.orig) from error
        except StorageError:
            self._engine.dispose()
            raise

    def add_user(self, user: StoredUser) -> None:
        with self._transaction() as connection:
            connection.execute(insert(users).values(id=user.id, name=user.name, recorder=user.recorder))

    def user(self, user_id: int) -> StoredUser | None:
        with self._transaction() as connection:
            row = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
        return StoredUser(id=row.id, name=row.name, recorder=row.recorder) if row else None

    def add_room(self, room: StoredRoom) -> None:
        values = {"id": room.id, "name": room.name, "folded_name": room.name.casefold()}
        values |= {"recording": room.recording, "retention_days": room.retention_days, "encryption": room.encryption}
        try:
            with self._transaction() as connection:
                connection.execute(insert(rooms).values(values))
        except IntegrityError:
            raise RefusedError("room_exists", f"There is a room named {room.name} already.") from None

    def rooms(self) -> list[StoredRoom]:
        with self._transaction() as connection:
            return [
                StoredRoom(
                    id=row.id,
                    name=row.name,
                    recording=row.recording,
                    retention_days=row.retention_days,
                    encryption=row.encryption,
                )
                for row in connection.execute(select(rooms).order_by(rooms.c.id))
            ]

    def set_recording(self, room_id: int, recording: str, retention_days: int | None) -> None:
        change = update(rooms).where(rooms.c.id == room_id).values(recording=recording, retention_days=retention_days)
        with self._transaction() as connection:
            connection.execute(change)

    def set_encryption(self, room_id: int, encryption: str) -> None:
        with self._transaction() as connection:
            connection.execute(update(rooms).where(rooms.c.id == room_id).values(encryption=encryption))

    def set_silenced(self, room_id: int, user_id: int, wanted: bool) -> None:
        row = (silenced.c.room_id == room_id) & (silenced.c.user_id == user_id)
        with self._transaction() as connection:
            connection.execute(delete(silenced).where(row))
            if wanted:
                connection.execute(insert(silenced).values(room_id=room_id, user_id=user_id))

    def silenced(self, room_id: int) -> set[int]:
        with self._transaction() as connection:
            return set(connection.execute(select(silenced.c.user_id).where(silenced.c.room_id == room_id)).scalars())

    def add_message(self, message: StoredMessage) -> None:
        values = {column: getattr(message, column) for column in ("id", "room_id", "user_id", "name", "text")}
        with self._transaction() as connection:
            connection.execute(insert(messages).values(values))

    def messages(self, room_id: int, *, before: int | None = None, limit: int = 50) -> list[StoredMessage]:
        newest = select(messages).where(messages.c.room_id == room_id).order_by(messages.c.id.desc()).limit(limit)
        if before is not None:
            newest = newest.where(messages.c.id < before)
        with self._transaction() as connection:
            found = [StoredMessage(**row) for row in connection.execute(newest).mappings()]
        return found[::-1]

    def setting(self, key: str) -> str | None:
        with self._transaction() as connection:
            return connection.execute(select(settings.c.value).where(settings.c.key == key)).scalar_one_or_none()

    def set_setting(self, key: str, value: str) -> None:
        with self._transaction() as connection:
            if connection.execute(update(settings).where(settings.c.key == key).values(value=value)).rowcount == 0:
                connection.execute(insert(settings).values(key=key, value=value))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except DatabaseError as error:
            raise _unusable(error.orig) from error


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest form, in one transaction.

    Alembic is loaded when there is something to do only: it takes a third of a server's start.
    """
    if _revision(engine) == REVISION:
        return
    import alembic.command
    import alembic.config
    import alembic.util

    config = alembic.config.Config()
    config.set_main_option("script_location", "raccall.store:migrations")
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
    except alembic.util.CommandError as error:
        raise _unusable(error) from error


def _revision(engine: Engine) -> str | None:
    """The last migration that these tables have seen."""
    try:
        with engine.connect() as connection:
            return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
    except OperationalError:  # there is no such table yet
        return None


def _unusable(reason: object) -> StorageError:
    return StorageError("database_unusable", f"The database cannot be used: {reason}.")


def _configure(connection: Any, _record: object) -> None:
    """Once per connection. synchronous=NORMAL: in WAL mode a power cut may cost the last lines, never the database."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
