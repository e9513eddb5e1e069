#!/bin/sh
# Installs the newest wheel of dist/ into an empty venv and uses it there, away from the sources.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
wheel=$(ls -t "$root"/dist/raccall-*.whl | head -n 1)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" "$wheel"
cd "$place"
venv/bin/raccall --version
venv/bin/raccall demo --out call --json > demo.json
venv/bin/python -c 'import json; print("wheel:", len(json.load(open("demo.json"))["speakers"]), "speakers recorded")'
