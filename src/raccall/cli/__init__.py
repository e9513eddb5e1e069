"""The raccall command."""
