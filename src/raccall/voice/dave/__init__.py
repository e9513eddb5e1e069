"""A member's side of end-to-end encryption (DAVE): which keys encrypt and open a call's voice, and who may have them.

events      what the handshake is told, answers and tells
handshake   the core: messages in their order, epochs, strangers, beginning anew
steps       its steps of MLS, each to be run in a thread
recoveries  how soon a group that was lost may be entered anew
people      who is shown as being in the call
proposals   whom the server proposes to add, read before MLS looks at it
driver      runs the steps, gives the engine its keys
"""
