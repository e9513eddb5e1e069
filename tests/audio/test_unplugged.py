"""A real sound server, private to the test: its microphone is taken away, then the server itself dies."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not (shutil.which("pulseaudio") and shutil.which("pactl")),
    reason="pulseaudio and pulseaudio-utils are not installed",
)

SERVER = """
load-module module-native-protocol-unix auth-anonymous=1
load-module module-null-sink sink_name=speaker rate=48000 channels=1 sink_properties=device.description=Speaker
load-module module-null-sink sink_name=feed rate=48000 channels=1 sink_properties=device.description=Feed
load-module module-remap-source source_name=mic master=feed.monitor source_properties=device.description=Microphone
set-default-sink speaker
set-default-source mic
"""

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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    run, home = tmp_path / "run", tmp_path / "home"
    run.mkdir(mode=0o700)
    home.mkdir(mode=0o700)
    (tmp_path / "server.pa").write_text(SERVER)
    environment = {"HOME": str(home), "XDG_RUNTIME_DIR": str(run), "PULSE_RUNTIME_PATH": str(run / "pulse")}
    environment["PATH"] = "/usr/bin:/bin"
    command = ["pulseaudio", "-n", "-F", str(tmp_path / "server.pa"), "--daemonize=no", "--exit-idle-time=-1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--use-pid-file=no"], env=environment, stderr=log)
    environment["PULSE_SERVER"] = f"unix:{run}/pulse/native"
    try:
        end = time.monotonic() + 10
        while subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False).returncode:
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.05)
        yield process, environment
    finally:
        process.kill()
        process.wait()


def test_an_unplugged_microphone_and_a_dead_server_do_not_hang(
    server: tuple[subprocess.Popen[bytes], dict[str, str]],
) -> None:
    process, environment = server
    command = [sys.executable, "-c", CLIENT, str(process.pid)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    plugged, unplugged, dead = json.loads(done.stdout)
    assert plugged == ["Microphone", "Speaker"]
    assert unplugged[0] in {"Monitor of Speaker", "Monitor of Feed"}  # the default now
    assert unplugged[1:] == ["Speaker"]
    assert dead == []
