"""Public helpers for tests: virtual clock, seeded network emulator, stand-ins."""
