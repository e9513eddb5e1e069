"""A server that runs: binds, opens the data folder, serves until it is told to stop.

serve ─▶ RunningServer ─▶ bind (TCP and UDP, one port) ─▶ data folder ─▶ Service ─▶ uvicorn
"""

import asyncio
import contextlib
import dataclasses
import functools
import importlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from raccall.clock import monotonic_now, wall_now
from raccall.server import certificate as tls
from raccall.server.binding import Binding, StartRelay, bind
from raccall.server.front_door import FrontDoor
from raccall.server.gateways import Gateways
from raccall.server.keys import LOOK_EVERY_S
from raccall.server.late import LateApp
from raccall.server.relay import MediaRelay, usual_threads
from raccall.server.service import Service, place_of
from raccall.server.settings import ServerSettings, join_address
from raccall.server.watch import WATCH_EVERY_S
from raccall.store import DataFolder, FolderLock, SqlStore
from raccall.units import NANOS_PER_SECOND

_RELAYING: list[Binding] = []
"""Of servers whose process is about to end: voice is relayed until it does, which takes Python half a second."""
STOP_WITHIN_S = 3
"""Connections that did not close by then are cut."""
LAG_EVERY_S = 0.25


class RunningServer:
    """A server as an async context manager, inside the running event loop.

    Entering raises InputError (`port_busy`, `tls_required`, ...) or StorageError (`data_not_writable`, ...); then
    nothing is left behind. Leaving closes every connection with 1012 (service restart): clients try to come back.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        start_relay: StartRelay | None = None,
        relay_until_exit: bool = False,
    ) -> None:
        self._relay_until_exit = relay_until_exit
        self._settings = settings
        self._start_relay = start_relay or functools.partial(
            MediaRelay,
            threads=settings.relay_threads or usual_threads(),
            speakers_at_once=settings.speakers_at_once,
        )
        self._timer_moved = asyncio.Event()

    @property
    def port(self) -> int:
        """TCP and UDP."""
        return self._binding.port

    @property
    def url(self) -> str:
        """http(s)://host:port"""
        return self.service.place.url

    @property
    def owner_token(self) -> str:
        """Allows to make rooms and invites over `/api`."""
        return self.service.tokens.owner

    @property
    def operator_token(self) -> str:
        """Allows to see `/metrics` and `/api/state`."""
        return self.service.tokens.operator

    def invite(self, room: str | None = None) -> str:
        """A link into a room, by name; None: the first one. Raises RefusedError `room_unknown`."""
        named = {known.name.casefold(): known.id for known in self.service.rooms.all()}
        room_id = self.service.first_room_id() if room is None else named.get(room.casefold(), 0)
        return self.service.invite(room_id)[0]

    def own_link(self, room_id: int) -> str:
        """An invite for programs of this machine: by an address that is listened on, with the certificate pinned.

        Raises RefusedError `room_unknown`.
        """
        link, _ = self.service.invite(room_id)
        token = link.partition("#")[0].rpartition("/")[2]
        host = ipaddress.ip_address(self._binding.hosts[0])
        if host.is_unspecified:
            host = ipaddress.ip_address("::1" if host.version == 6 else "127.0.0.1")
        place = dataclasses.replace(
            self.service.place,
            address=join_address(str(host), self.port),
            fingerprint=tls.fingerprint(self._certificate.path) if self._certificate else None,
        )
        return place.link(token)

    async def __aenter__(self) -> "RunningServer":
        self._settings.check()
        with contextlib.ExitStack() as undo:
            self._binding = bind(self._settings.hosts, self._settings.port, self._start_relay)
            undo.callback(self._binding.close)
            folder = DataFolder(self._settings.data)
            self._lock = FolderLock(folder.path)
            undo.callback(self._lock.release)
            self.service, self._certificate = _open_service(self._settings, folder, self._binding)
            self._http = LateApp(self._load_http)
            self._uvicorn = _Uvicorn(self._config(self._certificate))
            undo.pop_all()
        self._serving = asyncio.create_task(self._uvicorn.serve(self._binding.sockets))
        works = (self._handle_timers(), self._watch(), self._renew_keys())
        self._background = [asyncio.create_task(work) for work in works]
        await self._uvicorn.started_or(self._serving)
        return self

    @property
    def shortage(self) -> str | None:
        """One sentence for the owner if voice may suffer on this system."""
        return self._binding.relay.shortage

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._uvicorn.should_exit = True
        await self._serving
        await self._http.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self.service.close()
        self._lock.release()
        if self._relay_until_exit:
            _RELAYING.append(self._binding)
        else:
            self._binding.close()

    def _load_http(self) -> ASGIApp:
        return cast(
            ASGIApp, importlib.import_module("raccall.server.api").create_app(self.service, self._timer_moved.set)
        )

    def _config(self, certificate: tls.Certificate | None) -> uvicorn.Config:
        door = functools.partial(
            FrontDoor,
            Gateways(self.service, self._timer_moved.set),
            self.service.doorway,
            certificate.context() if certificate else None,
        )
        return uvicorn.Config(
            self._http,
            http=cast(type[asyncio.Protocol], door),
            ws="none",  # the front door's
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )

    async def _handle_timers(self) -> None:
        """Ends sessions that nobody resumes."""
        hub = self.service.hub
        while True:
            timer = hub.get_timer()
            delay_s = None if timer is None else max(0.0, (timer - monotonic_now()) / NANOS_PER_SECOND)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._timer_moved.wait()
            self._timer_moved.clear()
            hub.handle_timer(monotonic_now())

    async def _watch(self) -> None:
        """Looks how the calls go, and in between how late this event loop is."""
        watch, calls = self.service.watch, self.service.calls
        while True:
            watch.look(monotonic_now(), calls.stats())
            for _ in range(round(WATCH_EVERY_S / LAG_EVERY_S)):
                due = monotonic_now() + LAG_EVERY_S * NANOS_PER_SECOND
                await asyncio.sleep(LAG_EVERY_S)
                watch.lag(max(monotonic_now() - due, 0) / NANOS_PER_SECOND)

    async def _renew_keys(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.service.calls.renew_keys(monotonic_now())


async def serve(
    settings: ServerSettings,
    on_started: Callable[[RunningServer], None],
    beside: Callable[[RunningServer], AbstractAsyncContextManager[object]],
) -> None:
    """Run until SIGINT or SIGTERM, then stop gracefully.

    on_started: called when clients may come. beside: what is to run as long as the server does.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl+C ends asyncio.run by KeyboardInterrupt instead
            loop.add_signal_handler(number, stop.set)
    async with RunningServer(settings, relay_until_exit=True) as server, beside(server):
        on_started(server)
        await stop.wait()


class _Uvicorn(uvicorn.Server):
    """Says when it has started and leaves signals to others."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def started_or(self, failed: asyncio.Task[None]) -> None:
        """Until it has started. Raises what ended `failed`."""
        ready = asyncio.create_task(self.ready.wait())
        await asyncio.wait({ready, failed}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await failed
            raise RuntimeError("the web server ended before it had started")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _open_service(
    settings: ServerSettings, folder: DataFolder, binding: Binding
) -> tuple[Service, tls.Certificate | None]:
    certificate = None
    if settings.certificate is not None and settings.certificate_key is not None:
        certificate = tls.given_certificate(settings.certificate, settings.certificate_key)
    elif settings.tls:
        certificate = tls.own_certificate(folder, wall_now())
    fingerprint = certificate.fingerprint if certificate else None
    place = place_of(settings, _reachable(binding.hosts[0]), binding.port, fingerprint)
    secret = folder.secret()
    store = SqlStore(folder.database())
    try:
        return Service(settings, place, binding.port, store, secret, binding.relay), certificate
    except BaseException:
        store.close()
        raise


def _reachable(host: str) -> str:
    """An address that others can use: of 0.0.0.0 and ::, the one that leads to the network."""
    if not ipaddress.ip_address(host).is_unspecified:
        return host
    family, somewhere = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((somewhere, 9))  # sends nothing: the system only chooses a route
        except OSError:
            return socket.gethostname()
        return str(sock.getsockname()[0])
