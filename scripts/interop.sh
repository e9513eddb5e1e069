#!/bin/sh
# Installs voice clients of other projects beside the tests that run them (tests/interop/test_senders.py), some 30 s.
# py-cord has the same package name as discord.py and so a venv of its own.
set -eu
cd "$(dirname "$0")/../tests/interop/senders"

if ! cmp -s py_cord/requirements.txt py_cord/.venv/installed; then
    "${PYTHON:-python3}" -m venv --clear py_cord/.venv
    py_cord/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r py_cord/requirements.txt
    cp py_cord/requirements.txt py_cord/.venv/installed
fi

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "node and npm are not here: @discordjs/voice is not installed, and its tests are skipped"
elif ! cmp -s discordjs_voice/package.json discordjs_voice/node_modules/installed; then
    (cd discordjs_voice && npm install --silent --no-fund --no-audit --no-package-lock)
    cp discordjs_voice/package.json discordjs_voice/node_modules/installed
fi
