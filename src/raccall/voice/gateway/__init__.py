"""The voice gateway, version 8: messages and the protocol cores of both sides."""
