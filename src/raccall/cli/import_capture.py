"""Make a recording of a capture: sealed voice as Wireshark, tcpdump or an old bot kept it, and the session's key."""

import argparse
import os
from pathlib import Path

from raccall.cli.outcome import render_and_tell
from raccall.cli.progress import progress_line, say
from raccall.errors import InputError
from raccall.recorder.importing import Imported, import_capture, is_key, parse_server, read_keys, read_owners
from raccall.wire.packet import TRANSPORT_MODES

KEY_VARIABLE = "RACCALL_VOICE_KEY"
MAX_INPUT_BYTES = 1 << 24
"""Of files with keys or names."""

_TOLD = {
    "duplicate": "came twice",
    "too_old": "came too late to tell them from copies",
    "not_opened": "are sealed with another key, or damaged",
    "end_to_end_encrypted": "are end-to-end encrypted and were left out",
    "malformed": "are malformed",
    "too_many_sources": "are of more voices than can be kept",
    "cut_short": "were captured in part only",
    "fragment": "are fragments",
    "reports": "are RTCP reports",
    "other_payload": "are video or other media",
    "not_voice": "are other UDP packets",
    "elsewhere": "are not from or to that server",
    "not_udp": "are not UDP",
    "not_ip": "are not IP",
    "other_link": "are of a kind of network that is not read",
    "no_time": "have no time",
    "impossible_time": "have a time more than a month away",
}
"""What was left out, in the order of interest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `raccall import`."""
    parser.allow_abbrev = False  # or --key would be --key-file, and what follows it a key that all can see
    parser.add_argument("capture", type=Path, metavar="CAPTURE", help="pcap or pcapng file")
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help=f"the session's secret key, or several, one a line (default: what the variable {KEY_VARIABLE} holds)",
    )
    parser.add_argument(
        "--mode", choices=TRANSPORT_MODES, metavar="MODE", help="transport mode (default: found by trying all)"
    )
    parser.add_argument(
        "--server", metavar="ADDRESS[:PORT]", help="only packets from or to this voice server; or a port alone"
    )
    parser.add_argument(
        "--users", type=Path, metavar="FILE", help='JSON that says whose voices they are: {"SSRC": "name"}'
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="new or empty folder (default: the capture's name)")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    """Import, render, tell. Returns the exit code: 0 also when some packets could not be used, which is told."""
    path: Path = options.capture
    folder: Path = options.out or Path(path.name.removesuffix(path.suffix) or "recording")
    server = parse_server(options.server) if options.server else None
    owners = read_owners(_contents(options.users), str(options.users)) if options.users else None
    with progress_line() as show:
        imported = import_capture(
            path,
            folder,
            _keys(options.key_file),
            modes=(options.mode,) if options.mode else TRANSPORT_MODES,
            server=server,
            owners=owners,
            progress=lambda share: show(f"opening packets: {share:4.0%}"),
        )
    if not options.json:
        for line in _as_text(path, imported):
            say(line)
    also = {"capture": imported.counts, "modes": imported.modes, "capture_ended": imported.capture_ended}
    render_and_tell(folder, as_json=options.json, also=also)
    return 0


def _keys(file: Path | None) -> list[bytes]:
    if file is not None:
        if not file.exists() and is_key(str(file)):
            raise InputError(
                "key_on_command_line",
                "A key on the command line can be seen by everybody on this machine: put it into a file.",
            )
        return read_keys(_contents(file), str(file))
    text = os.environ.get(KEY_VARIABLE)
    if not text:
        raise InputError(
            "key_missing", f"A capture needs its session's key: give --key-file FILE or set {KEY_VARIABLE}."
        )
    return read_keys(text.encode(), KEY_VARIABLE)


def _contents(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            contents = file.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise InputError("file_unreadable", f"{path} cannot be read: {error.strerror}.") from error
    if len(contents) > MAX_INPUT_BYTES:
        raise InputError("file_unreadable", f"{path} is too large for what it should hold.")
    return contents


def _as_text(path: Path, imported: Imported) -> list[str]:
    modes = ", ".join(imported.modes)
    lines = [f"{path}: {imported.counts['opened']} voice packets opened ({modes})"]
    lines += [f"  {imported.counts[kind]} {told}" for kind, told in _TOLD.items() if kind in imported.counts]
    if imported.counts.get("clock_set_back"):
        lines.append(f"  its clock was set back {imported.counts['clock_set_back']} times: time goes on from there")
    if imported.capture_ended == "cut":
        lines.append("  the file ends inside a packet: it was cut, perhaps by a kill; all before it is here")
    if imported.capture_ended == "damaged":
        lines.append("  the file is damaged: what stands behind the damage was not read")
    return lines
