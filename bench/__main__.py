"""Runs one benchmark, or all, and says whether its claim holds.

    python -m bench relay --quick        a look, in seconds
    python -m bench all --json           one JSON object a line, one line a benchmark

Exit code: 0 all claims hold, 1 one does not, 2 unknown name.
"""

import argparse
import importlib
import sys

from bench.report import Report

BENCHES = {
    "relay": "CPU time per forwarded packet against a bare forwarder in C and against Mumble's server; two threads",
    "relay_latency": "time in the relay at the rate of speech against the same forwarder",
    "freeze": "packets lost while one call in the server process holds the GIL for ten seconds",
    "client": "CPU time of a client in a call with five talkers against libopus alone",
    "adapt": "a sender behind a link that falls from 128 to 16 kb/s and comes back: what waits, what is sent",
    "join": "200 members joining a room against a bare uvicorn that accepts as many WebSockets; memory per member",
    "restart": "for how long nobody is heard when the server is restarted",
    "pull": "hearing 25 talkers against 25 bare libopus decoders; how long one pull takes",
    "latency": "click to click between two clients over loopback, their sound cards at 10 ms",
    "record": "CPU time per recorded packet against a bare receive, open and append loop; memory over 12 hours",
    "dave": "recording encrypted frames against davey's session, an AEAD and an append; joining rooms of 10 to 200",
    "export": "decoding a recording to WAV files and a mix against libopus alone on the same packets",
    "jitter": "delay against made-up sound on eight links: our jitter buffer, NetEQ, aiortc's, fixed ones, the bound",
    "conceal": "speech that lost packets: PESQ and PLCMOS of our chain beside classic PLC and LBRR",
    "dred": "the same with and without deep redundancy at bitrates that have room for it; its CPU time",
    "stretch": "speech 20 % slower and faster by our time-stretching beside WSOLA; clicks",
    "echo": "what is left of an echo, and of the near voice, in simulated rooms against AEC3 as others ship it",
    "noise": "what noise suppression does to speech in five noises, and to speech alone, against WebRTC's",
    "gain": "how far speech of any level is from one level after five seconds",
    "process_cost": "CPU of echo, noise and gain together against the cheapest peer that does the same",
    "page": "opening and playing the page of a recording of 3 h and 10 speakers in Chromium",
}
"""Name of the module in this folder, which has `measure(quick: bool) -> Report`, and what it measures."""
SOAKS = {
    "hostile": "ten million hostile datagrams against a live relay while two members talk through it",
    "kills": "200 recorders killed under load at random moments: what is left",
}
"""The same, of what takes long and is not among `all`: `make soak`."""


def main() -> int:
    listing = "\n".join(f"  {name:13} {summary}" for name, summary in (BENCHES | SOAKS).items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Measure what is claimed about speed.\n\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=[*BENCHES, *SOAKS, "all"], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repeats: a look, not a proof")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output instead of a table")
    options = parser.parse_args()
    held = True
    for name in BENCHES if options.name == "all" else [options.name]:
        report: Report = importlib.import_module(f"bench.{name}").measure(options.quick)
        print(report.to_json() if options.json else report.to_table(), flush=True)
        held &= report.holds
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
