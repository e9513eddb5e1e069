#!/bin/sh
# Says in one sentence what is missing or too old to build Raccall; silent when all is there.
python=${PYTHON:-python3}
missing() { echo "raccall: $1" >&2; exit 1; }
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

command -v "$python" >/dev/null 2>&1 || missing "Python 3.11 or newer is needed, and '$python' was not found (set PYTHON=/path/to/python3)."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    missing "Python 3.11 or newer is needed, '$python' is $("$python" -c 'import platform; print(platform.python_version())')."
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    missing "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv."
command -v cc >/dev/null 2>&1 || missing "A C compiler is needed and 'cc' was not found; on Debian and Ubuntu: apt-get install gcc libc6-dev."
command -v cargo >/dev/null 2>&1 || missing "Rust 1.91 or newer is needed and 'cargo' was not found; see https://rustup.rs."
rust=$(rustc --version | cut -d ' ' -f 2)
at_least 1.91 "$rust" || missing "Rust 1.91 or newer is needed, this is $rust (rustup update)."
