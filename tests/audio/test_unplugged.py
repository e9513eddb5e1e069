"""A real sound server, private to the test: its microphone is taken away, then the server itself dies."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.realtime

# In its own process: closed carelessly, a device that has vanished makes miniaudio wait for ever.
CLIENT = """
import json, os, signal, subprocess, sys
from raccall.audio.devices import SoundCard
from raccall.clock import monotonic_now
from raccall.units import NANOS_PER_SECOND

def open_after(seconds):
    card.watch(monotonic_now())
    card.watch(monotonic_now() + seconds * NANOS_PER_SECOND)
    return [device.name for device in card.devices]

with SoundCard(monotonic_now(), microphone="Microphone", speaker="Speaker") as card:
    seen = [[device.name for device in card.devices]]
    subprocess.run(["pactl", "unload-module", "module-remap-source"], check=True)
    seen.append(open_after(10))
    os.kill(int(sys.argv[1]), signal.SIGKILL)
    seen.append(open_after(20))
print(json.dumps(seen))
"""


def test_an_unplugged_microphone_and_a_dead_server_do_not_hang(
    pulseaudio: tuple[subprocess.Popen[bytes], dict[str, str]],
) -> None:
    process, environment = pulseaudio
    command = [sys.executable, "-c", CLIENT, str(process.pid)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    plugged, unplugged, dead = json.loads(done.stdout)
    assert plugged == ["Microphone", "Speaker"]
    assert unplugged[0] in {"Monitor of Speaker", "Monitor of Feed"}  # the default now
    assert unplugged[1:] == ["Speaker"]
    assert dead == []
