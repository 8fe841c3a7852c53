"""Adapters with an object for each session or call, and with hooks."""

import os

from snakepit_bridge import BaseAdapter, tool


def _note(text):
    path = os.environ.get("NOTES_FILE")
    if path:
        with open(path, "a") as file:
            file.write(text + "\n")


class Counting(BaseAdapter):
    def __init__(self):
        self.calls = 0
        self.begun = []

    def initialize(self):
        _note("initialize")

    def cleanup(self):
        _note(f"cleanup after {self.calls}")

    def on_session_start(self, session_id):
        self.begun.append(session_id)
        _note(f"begin {session_id}")

    @tool
    def count(self):
        self.calls += 1
        return {"calls": self.calls, "begun": self.begun, "session": self.session_id}

    @tool
    async def count_later(self):
        self.calls += 1
        return {"calls": self.calls, "begun": self.begun, "session": self.session_id}

    @tool
    def fails(self):
        raise KeyError("x")


class PerSession(Counting):
    scope = "session"
    session_objects_max = 2


class PerCall(Counting):
    scope = "call"


class AsyncHooks(PerSession):
    async def initialize(self):
        _note("initialize later")

    async def cleanup(self):
        _note(f"cleanup later after {self.calls}")

    async def on_session_start(self, session_id):
        self.begun.append(self.session_id)


class Picky(PerSession):
    def on_session_start(self, session_id):
        if session_id == "bad":
            raise ValueError("not this one")
        super().on_session_start(session_id)


class Exiting(PerSession):
    def cleanup(self):
        raise SystemExit("cleanup")
