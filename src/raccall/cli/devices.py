"""`raccall devices`: the microphones and speakers of this machine, and which microphone not to take."""

import argparse
import sys

from raccall.audio.devices import Device, Kind, cancels_echo, list_devices
from raccall.cli.screen import Screen

MONITOR = "monitor of "
"""How PulseAudio and PipeWire call what a loudspeaker plays: no microphone, though it is listed as one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `raccall devices`."""
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run(options: argparse.Namespace) -> int:
    """Raises InputError where there is no sound system or no device."""
    show_devices(Screen(sys.stdout, as_json=options.json))
    return 0


def show_devices(screen: Screen) -> None:
    """One line for each, the default ones marked; then what to take instead of another canceller. Raises InputError."""
    devices = list_devices()
    for device in devices:
        mark = "  (default)" if device.is_default else ""
        screen.line(f"{device.kind.value:10}  {device.name}{mark}")
        cancels = device.kind is Kind.MICROPHONE and cancels_echo(device.name)
        screen.record(
            "device", kind=device.kind.value, name=device.name, is_default=device.is_default, cancels_echo=cancels
        )
    if (advice := canceller_advice(devices)) is not None:
        screen.line(advice)
        screen.record("advice", text=advice)


def canceller_advice(devices: list[Device]) -> str | None:
    """A sentence if the default microphone is the system's own echo canceller: two in a row make speech hollow."""
    microphones = [device for device in devices if device.kind is Kind.MICROPHONE]
    chosen = next((device for device in microphones if device.is_default and cancels_echo(device.name)), None)
    if chosen is None:
        return None
    plain = next((d.name for d in microphones if not cancels_echo(d.name) and MONITOR not in d.name.casefold()), None)
    instead = f"choose “{plain}” by --mic, or " if plain is not None else ""
    return (
        f"“{chosen.name}” cancels echo already, and two cancellers make speech hollow: "
        f"{instead}leave ours out by --no-echo-cancel."
    )
