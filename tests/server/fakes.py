"""A relay that remembers what it was told."""


class FakeRelay:
    shortage = None

    def __init__(self, bind=()):
        self.bind = list(bind)
        self.commands = []
        self.stopped = False

    def add_session(self, session_id, ssrc, mode, key):
        self.commands.append(("add", session_id, ssrc, mode, key))

    def remove_session(self, session_id):
        self.commands.append(("remove", session_id))

    def set_route(self, session_id, destinations):
        self.commands.append(("route", session_id, destinations))

    def set_address(self, session_id, address):
        self.commands.append(("address", session_id, address))

    def counters(self):
        return {"commands": len(self.commands)}

    def stop(self):
        self.stopped = True

    def take(self):
        commands, self.commands = self.commands, []
        return commands
