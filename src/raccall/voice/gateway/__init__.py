"""The voice gateway, version 8: messages and the protocol cores of both sides.

codes, messages, binary        what is said, and how it is written
client, client_events          a member's side, and what it tells
closing                        what a lost connection means for a member
server, server_events          the server's side, and what it tells
allowance                      how much one client may send
heartbeat, replay, limit       what both gateways share: who is gone, what is said again, a bucket of tokens
tunnel                         datagrams beside the messages, where UDP is blocked
"""
