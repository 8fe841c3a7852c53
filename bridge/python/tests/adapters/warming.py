"""An adapter whose first call costs more than the others."""

import os
import threading
import time

from snakepit_bridge import BaseAdapter, telemetry, tool


class Warming(BaseAdapter):
    def __init__(self):
        self.cached_in = 0
        self.forked_in = []
        self.sessions = []

    def on_session_start(self, session_id):
        self.sessions.append((session_id, os.getpid()))

    def after_fork(self):
        self.forked_in.append(os.getpid())
        telemetry.emit("forked", {"n": len(self.forked_in)})

    @tool
    def look_up(self):
        if not self.cached_in:
            self.cached_in = os.getpid()
        return {"pid": os.getpid(), "cached_in": self.cached_in, "forked_in": self.forked_in}

    @tool
    async def look_up_later(self):
        return self.look_up()

    @tool
    def sessions_begun(self):
        return self.sessions

    @tool
    def who_asks(self):
        return self.context.request_id

    @tool
    def tell_soon(self):
        threading.Timer(0.1, telemetry.emit, ("late", {"n": 1})).start()

    @tool
    def start_a_thread(self):
        threading.Thread(target=time.sleep, args=(600,), name="sleeper", daemon=True).start()
