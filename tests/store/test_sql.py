import sqlite3

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from raccall.errors import RefusedError, StorageError
from raccall.store import SqlStore, StoredMessage, StoredRoom, StoredUser
from raccall.store.tables import REVISION, metadata

ANNA = StoredUser(id=1, name="Anna", recorder=False)
LOUNGE = StoredRoom(id=2, name="Lounge")
BIGGEST = (1 << 63) - 1


@pytest.fixture
def path(tmp_path):
    return tmp_path / "raccall.db"


@pytest.fixture
def store(path):
    store = SqlStore(path)
    yield store
    store.close()


def test_what_was_stored_is_there_after_a_restart(store, path):
    store.add_user(ANNA)
    store.add_room(LOUNGE)
    store.add_room(StoredRoom(id=BIGGEST, name="Küche"))
    store.set_setting("a", "b")
    store.set_setting("a", "c")
    store.close()
    again = SqlStore(path)
    assert again.user(1) == ANNA and again.user(2) is None
    assert again.rooms() == [LOUNGE, StoredRoom(id=BIGGEST, name="Küche")]
    assert again.setting("a") == "c" and again.setting("b") is None
    again.close()


def test_who_is_silenced_stays_so_until_it_is_undone(store, path):
    store.add_user(ANNA)
    store.add_room(LOUNGE)
    store.set_silenced(2, 1, True)
    store.set_silenced(2, 1, True)
    store.close()
    again = SqlStore(path)
    assert again.silenced(2) == {1} and again.silenced(3) == set()
    again.set_silenced(2, 1, False)
    assert again.silenced(2) == set()
    again.close()


def test_a_room_name_is_unique_whatever_its_case(store):
    store.add_room(LOUNGE)
    with pytest.raises(RefusedError) as refused:
        store.add_room(StoredRoom(id=3, name="LOUNGE"))
    assert refused.value.code == "room_exists"


def test_messages_come_in_pages_oldest_first(store):
    store.add_user(ANNA)
    store.add_room(LOUNGE)
    lines = [StoredMessage(id=n, room_id=2, user_id=1, name="Anna", text=f"line {n} 🎧") for n in range(10, 20)]
    for line in lines:
        store.add_message(line)
    assert store.messages(2, limit=3) == lines[-3:]
    assert store.messages(2, limit=3, before=17) == lines[4:7]
    assert store.messages(99) == []


def test_the_steps_lead_to_the_tables_as_they_are(store, path):
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        migrations = MigrationContext.configure(connection)
        assert compare_metadata(migrations, metadata) == [] and migrations.get_current_revision() == REVISION
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


def test_tables_that_are_new_already_are_left_alone(store, path, monkeypatch):
    monkeypatch.setattr("alembic.command.upgrade", lambda *_: pytest.fail("there is nothing to do"))
    SqlStore(path).close()


def test_a_file_that_is_no_database_is_one_sentence(path):
    path.write_text("this is a shopping list, and a rather long one at that")
    with pytest.raises(StorageError) as refused:
        SqlStore(path)
    assert refused.value.code == "database_unusable"


def test_a_database_of_a_newer_version_is_one_sentence(store, path):
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(StorageError) as refused:
        SqlStore(path)
    assert refused.value.code == "database_unusable"


def test_a_database_that_is_held_by_another_program_is_one_sentence(store, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")
    with pytest.raises(StorageError) as refused:
        store.add_user(ANNA)
    assert refused.value.code == "database_unusable"
    other.close()
    store.add_user(ANNA)
