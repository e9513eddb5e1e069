"""One module per claim about speed: `python -m bench NAME [--quick] [--json]`. README.md says how to read and add."""
