"""What must last: users, rooms, messages, settings, keys. One data folder holds everything."""

from raccall.store.folder import DataFolder, default_data_folder
from raccall.store.lock import FolderLock
from raccall.store.repository import Store, StoredMessage, StoredRoom, StoredUser
from raccall.store.snowflake import Snowflakes
from raccall.store.sql import SqlStore

__all__ = [
    "DataFolder",
    "FolderLock",
    "Snowflakes",
    "SqlStore",
    "Store",
    "StoredMessage",
    "StoredRoom",
    "StoredUser",
    "default_data_folder",
]
