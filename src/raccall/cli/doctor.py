"""Look for what keeps a server or a client from working, and say what to do.

Without LINK: this machine, for who runs or will run a server on it. With LINK: that server from here, as a client
reaches it; with an invite link also whether UDP comes through, for which a silent member named "doctor" joins the call
for some seconds. Both look at microphone and loudspeaker, too. Exit code: 0 nothing is broken (there may be warnings),
1 something is.
"""

import argparse
import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict

from raccall.cli.api import add_data, place
from raccall.cli.checks import HERE, SOUND, THERE, Finding, Machine, Status
from raccall.cli.screen import printable
from raccall.units import DEFAULT_PORT

MARKS = {Status.OK: "ok  ", Status.WARNING: "WARN", Status.PROBLEM: "FAIL"}
EXIT_PROBLEM = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `raccall doctor`."""
    parser.add_argument("server", nargs="?", metavar="LINK", help="a server's invite link or URL: look at it from here")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="of this machine (default: %(default)s)")
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Prints each finding when it is known. Raises InputError for a link that is none."""
    if options.server is None:
        machine = Machine(port=options.port, data=options.data)
        findings = (finding for check in HERE for finding in check(machine))
    else:
        link = place(options.server)
        findings = (finding for check in THERE for finding in check(link, options.server))
    everything = itertools.chain(findings, (finding for check in SOUND for finding in check()))
    told = list(everything) if options.json else list(_print_each(everything))
    broken = any(finding.status is Status.PROBLEM for finding in told)
    if options.json:
        print(json.dumps({"ok": not broken, "findings": [asdict(finding) for finding in told]}))
    return EXIT_PROBLEM if broken else 0


def _print_each(findings: Iterable[Finding]) -> Iterable[Finding]:
    for finding in findings:
        print(f"{MARKS[finding.status]}  {printable(finding.says)}", flush=True)
        if finding.do:
            print(f"      → {printable(finding.do)}", flush=True)
        yield finding
