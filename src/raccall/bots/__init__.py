"""What joins the lower layers for people who write programs: keep a call, or record it in one line."""

from raccall.bots.keep import KeptCall, keep_call
from raccall.bots.record import record

__all__ = ["KeptCall", "keep_call", "record"]
