"""Write THIRD-PARTY-LICENSES.md: what is compiled into a wheel, with its licence texts, from cargo's own metadata.

Run again after a change of Cargo.lock: `python scripts/third_party.py`. The test suite checks that no crate is missing.
"""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "THIRD-PARTY-LICENSES.md"
RNNOISE = ROOT / "crates/media/src/process/rnnoise/COPYING"
TEXTS = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "opus/COPYING", "*/COPYING")


def compiled_in() -> list[dict[str, str]]:
    """Every crate that ends up in the wheel: what `raccall-python` depends on at run time."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    pending = [key for key, package in packages.items() if package["name"] == "raccall-python"]
    found: set[str] = set()
    while pending:
        for dependency in nodes[pending.pop()]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]) and dependency["pkg"] not in found:
                found.add(dependency["pkg"])
                pending.append(dependency["pkg"])
    chosen = [packages[key] for key in found if not packages[key]["name"].startswith("raccall-")]
    return sorted(chosen, key=lambda package: (package["name"], package["version"]))


def texts(package: dict[str, str]) -> list[str]:
    folder = Path(package["manifest_path"]).parent
    files = sorted({file for pattern in TEXTS for file in folder.glob(pattern) if file.is_file()})
    return [file.read_text(encoding="utf-8", errors="replace").strip() for file in files]


def main() -> None:
    packages = compiled_in()
    lines = ["# Third-party licences", "", "Raccall is MIT. These works are compiled into its wheels.", ""]
    lines += ["| work | version | licence |", "|---|---|---|"]
    lines += [f"| {p['name']} | {p['version']} | {p['license']} |" for p in packages]
    lines += ["", "opusic-sys carries libopus 1.6.1 with its neural network weights (BSD-3-Clause, as libopus).", ""]
    lines += ["The neural noise suppressor carries RNNoise's model with its weights of 2024 (BSD-3-Clause).", ""]
    seen: dict[str, list[str]] = {RNNOISE.read_text(encoding="utf-8").strip(): ["RNNoise"]}
    for package in packages:
        for text in texts(package):
            seen.setdefault(text, []).append(package["name"])
    for text, names in seen.items():
        lines += [f"## {', '.join(names)}", "", "```", text.replace("```", "'''"), "```", ""]
    TARGET.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
