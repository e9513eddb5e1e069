"""Mumble's server, private: own folder, own port, loopback only, no limits.

It keeps its rooms in SQLite and has no switch to make them, so they are written into the database before it starts;
`-supw` makes it create the database and leave.
"""

import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

PROGRAMS = ("mumble-server", "murmurd")
SEARCH_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
ACCOUNT = "mumble-server"
"""It drops to this one when root starts it."""
SERVER_ID = 1
SETTINGS = """\
database={folder}/murmur.sqlite
logfile=
pidfile=
host=127.0.0.1
port={port}
serverpassword=
bandwidth=2000000000
users=2000
timeout=3600
autobanAttempts=0
allowping=false
bonjour=False
messageburst=100000
messagelimit=100000
welcometext=
ice=
dbus=
channelcountlimit=10000
usersperchannel=0
obfuscate=false
"""


def find_program() -> str | None:
    return next(filter(None, (shutil.which(name, path=SEARCH_PATH) for name in PROGRAMS)), None)


def prepare(folder: Path, port: int, *, rooms: int) -> list[str]:
    """Write settings and rooms into the folder; returns the command that runs it in the foreground."""
    program = find_program()
    assert program is not None, "find_program says whether there is one"
    with suppress(LookupError, PermissionError):  # not root: it stays the user we are
        shutil.chown(folder, ACCOUNT)
    settings = folder / "murmur.ini"
    settings.write_text(SETTINGS.format(folder=folder, port=port))
    settings.chmod(0o644)
    make_database = [program, "-ini", str(settings), "-supw", "unused"]
    subprocess.run(make_database, check=True, timeout=30, capture_output=True)
    rows = [(SERVER_ID, number, 0, f"room{number}", 1) for number in range(1, rooms + 1)]
    with closing(sqlite3.connect(folder / "murmur.sqlite")) as database, database:
        database.executemany(
            "INSERT INTO channels (server_id, channel_id, parent_id, name, inheritacl) VALUES (?, ?, ?, ?, ?)", rows
        )
    return [program, "-fg", "-ini", str(settings)]
