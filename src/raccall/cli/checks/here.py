"""Checks of the machine that a server is to run on."""

import errno
import os
import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raccall.cli.checks import certificate
from raccall.cli.checks.findings import Finding, ok, problem, warning
from raccall.clock import wall_now
from raccall.errors import StorageError
from raccall.server.relay import RECEIVE_BUFFER_BYTES, MediaRelay
from raccall.store import DataFolder

ENOUGH_FILES = 4096
"""A member needs two, three where UDP is blocked; a recording some."""
FEW_FILES = 512
ENOUGH_BYTES = 5 << 30
"""A week of recordings of a small group."""
FEW_BYTES = 200 << 20


@dataclass(frozen=True, slots=True)
class Machine:
    """What the checks look at."""

    port: int
    data: Path


def receive_buffer(machine: Machine) -> Iterator[Finding]:
    """Does the kernel let a burst wait?"""
    try:
        relay = MediaRelay([("127.0.0.1", 0)])
    except OSError as error:
        yield problem("receive_buffer", f"No UDP socket can be opened: {error.strerror}.", "Look at the system's log.")
        return
    shortage = relay.shortage
    relay.stop()
    if shortage is None:
        yield ok("receive_buffer", f"The system grants {RECEIVE_BUFFER_BYTES >> 20} MiB of receive buffer.")
    else:
        do = f"As root: sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}; keep it in /etc/sysctl.d/raccall.conf."
        yield warning("receive_buffer", shortage, do)


def ports(machine: Machine) -> Iterator[Finding]:
    """Are TCP and UDP free, or is the server there already?"""
    for name, kind in (("TCP", socket.SOCK_STREAM), ("UDP", socket.SOCK_DGRAM)):
        with socket.socket(socket.AF_INET, kind) as sock:
            if kind == socket.SOCK_STREAM and os.name == "posix":  # as the server does: a closed one's rest is no use
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("0.0.0.0", machine.port))
            except OSError as error:
                yield _used(name, machine.port, error)
            else:
                yield ok("ports", f"{name} port {machine.port} is free for a server.")


def _used(name: str, port: int, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        says = f"{name} port {port} is in use."
        return warning("ports", says, "Fine if that is your Raccall server; otherwise choose another by --port.")
    says = f"This user may not use {name} port {port}: {error.strerror}."
    return problem("ports", says, "Choose one above 1023 by --port.")


def file_descriptors(machine: Machine) -> Iterator[Finding]:
    """How many connections can be open at once?"""
    try:
        import resource  # not on Windows, which has no such limit
    except ImportError:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    do = f"ulimit -n {ENOUGH_FILES}, or LimitNOFILE={ENOUGH_FILES} in the systemd unit."
    if limit >= ENOUGH_FILES or limit == resource.RLIM_INFINITY:
        yield ok("file_descriptors", f"{limit} files and connections may be open.")
    elif limit >= FEW_FILES:
        says = f"Only {limit} files and connections may be open: about {limit // 3} members."
        yield warning("file_descriptors", says, do)
    else:
        yield problem("file_descriptors", f"Only {limit} files and connections may be open.", do)


def data_folder(machine: Machine) -> Iterator[Finding]:
    """Can it be written, and by nobody else?"""
    try:
        DataFolder(machine.data)
    except StorageError as error:
        yield problem("data_folder", str(error), "Give another by --data, or let this user write there.")
        return
    mode = stat.S_IMODE(machine.data.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        says = f"Others of this machine can look into {machine.data}, where the server's secret is."
        yield warning("data_folder", says, f"chmod 700 {machine.data}")
    else:
        yield ok("data_folder", f"{machine.data} can be written.")


def disk(machine: Machine) -> Iterator[Finding]:
    """Is there room for messages and recordings?"""
    place = next(path for path in (machine.data, *machine.data.parents) if path.exists())
    free = shutil.disk_usage(place).free
    says = f"{free / (1 << 30):.1f} GiB are free at {place}."
    if free >= ENOUGH_BYTES:
        yield ok("disk", says)
    elif free >= FEW_BYTES:
        yield warning("disk", says, "An hour of a recorded call of four takes about 60 MB: make room in time.")
    else:
        yield problem("disk", says, "Make room; recordings stop before the disk is full.")


def own_certificate(machine: Machine) -> Iterable[Finding]:
    """Of `--tls`, if there is one."""
    path = machine.data / "certificate.pem"
    if not path.is_file():
        return []
    try:
        der = ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii"))
        return certificate.look(der, None, None, wall_now())
    except (OSError, ValueError):
        return [problem("certificate", f"{path} cannot be read.", "Move it away; a new one is made, with new links.")]


HERE: list[Callable[[Machine], Iterable[Finding]]] = [
    receive_buffer,
    ports,
    file_descriptors,
    data_folder,
    disk,
    own_certificate,
]
"""In the order they are told; more may be appended."""
