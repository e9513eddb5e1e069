"""Tap to journal to timeline to tracks and mix."""
