"""start a server"""

import argparse
import asyncio
import contextlib
import importlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from raccall.cli.logs import FORMATS, LEVELS, log_to
from raccall.server.app import RunningServer, serve
from raccall.server.files import raise_file_limit
from raccall.server.relay import SPEAKERS_AT_ONCE
from raccall.server.settings import FIRST_ROOM, ServerSettings
from raccall.store import default_data_folder
from raccall.units import DEFAULT_PORT
from raccall.wire.control import EncryptionPolicy, RecordingPolicy

RECORDER_AFTER_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `raccall serve`."""
    parser.add_argument(
        "--host", action="append", default=[], metavar="IP", help="address to listen on (default: loopback); may repeat"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"TCP and UDP (default: {DEFAULT_PORT}; 0: any)")
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="data folder (default: %(default)s)")
    parser.add_argument("--tls", action="store_true", help="self-signed certificate, pinned by invite links")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="certificate with its chain, PEM")
    parser.add_argument("--key", type=Path, metavar="FILE", help="private key of --cert, PEM")
    parser.add_argument("--insecure", action="store_true", help="allow plain text beyond this machine")
    parser.add_argument("--public-address", metavar="HOST[:PORT]", help="what clients are told to connect to")
    parser.add_argument("--room", default=FIRST_ROOM, metavar="NAME", help="first room (default: %(default)s)")
    parser.add_argument(
        "--recording",
        type=RecordingPolicy,
        choices=list(RecordingPolicy),
        metavar="|".join(RecordingPolicy),
        help="may that room be recorded? off: no; ask: those who agree (the first setting); automatic: by this server",
    )
    parser.add_argument(
        "--encryption",
        type=EncryptionPolicy,
        choices=list(EncryptionPolicy),
        metavar="|".join(EncryptionPolicy),
        help="of that room's calls, end to end. required (the first setting): clients that cannot are not let in; "
        "preferred: unless there is one; off",
    )
    parser.add_argument("--retention-days", type=int, metavar="N", help="delete this server's recordings of that room")
    parser.add_argument("--recordings", type=Path, metavar="DIR", help="where they go (default: in the data folder)")
    parser.add_argument("--log", choices=FORMATS, default="text", help="what happens, on standard error, one line each")
    parser.add_argument("--log-level", choices=LEVELS, default="info", help="the least that is told (default: info)")
    parser.add_argument(
        "--speakers-at-once",
        type=int,
        default=SPEAKERS_AT_ONCE,
        metavar="K",
        help="of a room only the K loudest are heard at once; recorders hear all (default: %(default)s)",
    )
    parser.add_argument(
        "--old-modes",
        action="store_true",
        help="also offer the voice encryption that Discord dropped in 2024, for clients of that time",
    )
    parser.add_argument(
        "--relay-threads", type=int, metavar="N", help="threads that forward voice (default: half of the processors)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object when started")


def run(options: argparse.Namespace) -> int:
    """Serves until interrupted."""
    settings = ServerSettings(
        data=options.data,
        host=tuple(options.host),
        port=options.port,
        tls=options.tls,
        certificate=options.cert,
        certificate_key=options.key,
        insecure=options.insecure,
        public_address=options.public_address,
        room=options.room,
        recording=options.recording,
        encryption=options.encryption,
        retention_days=options.retention_days,
        speakers_at_once=options.speakers_at_once,
        old_modes=options.old_modes,
        relay_threads=options.relay_threads,
    )
    recordings = options.recordings or options.data / "recordings"
    log_to(style=options.log, level=options.log_level)
    raise_file_limit()
    told = _print_json if options.json else _print
    asyncio.run(serve(settings, told, lambda server: _recorder(server, recordings)))
    return 0


@contextlib.asynccontextmanager
async def _recorder(server: RunningServer, recordings: Path) -> AsyncIterator[None]:
    """The server's own recorder, loaded while people may come already: that takes longer than the start before it.

    Where no room is recorded by the server, only once clients have come back from before a restart.
    """

    async def keep() -> None:
        if all(room.policy is not RecordingPolicy.AUTOMATIC for room in server.service.rooms.all()):
            await asyncio.sleep(RECORDER_AFTER_S)
        automatic = await asyncio.to_thread(importlib.import_module, "raccall.bots.automatic")
        async with automatic.AutomaticRecorder(server, recordings):
            await asyncio.Event().wait()

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


def _print(server: RunningServer) -> None:
    print(f"Raccall listens on {server.url} (TCP and UDP)")
    print(f"Invite: {server.invite()}")
    print(f"Owner:  {server.owner_token}", flush=True)
    if server.shortage is not None:
        print(f"Note: {server.shortage}", file=sys.stderr)


def _print_json(server: RunningServer) -> None:
    started = {"url": server.url, "port": server.port, "invite": server.invite(), "owner_token": server.owner_token}
    started["operator_token"] = server.operator_token
    print(json.dumps(started), flush=True)
