"""What joins the lower layers for people who write programs: keep a call."""

from raccall.bots.keep import KeptCall, keep_call

__all__ = ["KeptCall", "keep_call"]
