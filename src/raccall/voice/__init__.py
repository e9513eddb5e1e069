"""Codec and chains with types; Tick and Tap; the voice gateway protocol."""
