#!/bin/sh
# Coverage-guided fuzzing of every parser of hostile bytes, FUZZ_SECONDS (60) each; what it finds is kept in fuzz/artifacts.
# Needs a nightly compiler and cargo-fuzz. Without them it says so and ends with 0: `make test` has property tests of the
# same parsers for everyone.
set -eu
cd "$(dirname "$0")/.."

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "make fuzz needs a nightly compiler: rustup toolchain install nightly"
    exit 0
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "make fuzz needs cargo-fuzz: cargo install cargo-fuzz"
    exit 0
fi
for target in wire relay journal opus e2ee; do
    echo "== $target"
    cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -print_final_stats=1
done
