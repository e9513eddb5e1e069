"""Public helpers for tests: virtual clock, seeded network emulator, stand-ins. Nothing here is needed in a call.

clock            time that moves only when told to
network          a bad network, seeded and in virtual time; bad_network: the same between real sockets
call             a call in virtual time: talkers, an emulated network each, one listener
dialogue         who says what in a staged call; speech: 20 s of it come with the package
intelligibility  how much of what was said can be understood, without a listener
main_gateway     lets an unmodified discord.py `VoiceClient` join one of our rooms
discord          Discord on this machine: main gateway, REST and voice, for unmodified clients

`demo` and `echo` (with `stages`) are what `raccall demo` and `raccall echo` run.
"""
