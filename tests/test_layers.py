"""The house's two rules that a machine can check: imports go down the layers, and cores read no clock."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "raccall"
LAYER = {
    **dict.fromkeys(("units", "errors", "clock", "console", "waiting", "file_lock", "whole_file", "_native"), 0),
    **dict.fromkeys(("wire", "audio", "store", "bus"), 1),
    "voice": 2,
    "recorder": 3,
    **dict.fromkeys(("client", "server", "discord"), 4),
    "bots": 5,
    **dict.fromkeys(("desktop", "cli", "testing"), 6),
    "__init__": 7,  # the front door: names of every layer, imported when first used (test_front_door.py)
}
# Adapters: the only files that may read a clock. Nothing in a core reads a clock, a socket or a thread.
CLOCK_READERS = {
    "clock.py",
    "audio/devices.py",
    "client/adapter.py",
    "server/app.py",
    "server/running.py",
    "recorder/recorder.py",
}
CLOCKS = {"time", "monotonic", "monotonic_ns", "time_ns", "perf_counter", "perf_counter_ns", "now", "utcnow"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """Names right below `raccall` that a module imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "raccall":
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("raccall.")}
    return names


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(module: Path) -> None:
    own = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in LAYER, f"{own} has no layer: DESIGN section 3"
    for name in imported(ast.parse(module.read_text(encoding="utf-8"))):
        if name not in LAYER or name == own:
            continue
        assert LAYER[name] < LAYER[own] or LAYER[name] == 0, (
            f"{own} (layer {LAYER[own]}) imports {name} ({LAYER[name]})"
        )


def test_server_never_touches_sound_devices_and_recorder_knows_no_network() -> None:
    for package, forbidden in (("server", {"audio", "recorder"}), ("recorder", {"client", "server"})):
        for module in (PACKAGE / package).rglob("*.py"):
            assert not imported(ast.parse(module.read_text(encoding="utf-8"))) & forbidden, module


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_cores_read_no_clock(module: Path) -> None:
    place = module.relative_to(PACKAGE).as_posix()
    if place in CLOCK_READERS or place.startswith(("cli/", "testing/")):
        return
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            called = (node.func.value.id, node.func.attr)
            assert called[0] not in {"time", "datetime"} or called[1] not in CLOCKS, (
                f"{place}:{node.lineno} reads a clock"
            )
