"""Raccall: self-hosted voice chat that records. See ARCHITECTURE.md for the map."""

from raccall._native import __version__

__all__ = ["__version__"]
