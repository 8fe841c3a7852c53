"""Tools that know their session."""

import os
import time
from pathlib import Path

from snakepit_bridge import BaseAdapter, tool


class Shared(BaseAdapter):
    """One object for the worker, which is told of sessions that begin."""

    def __init__(self) -> None:
        self.begun = []
        self.counts = {}

    def on_session_start(self, session_id: str) -> None:
        self.begun.append(session_id)
        self.counts[session_id] = 0

    @tool
    def whoami(self) -> str:
        return self.session_id

    @tool
    def count(self) -> dict:
        """How often this worker was asked since the session began on it."""
        self.counts[self.session_id] += 1
        return {"pid": os.getpid(), "count": self.counts[self.session_id], "begun": self.begun}

    @tool
    def hold(self, file: str) -> int:
        """Until there is such a file."""
        while not Path(file).exists():
            time.sleep(0.002)
        return os.getpid()

    @tool
    def nap(self, seconds: float = 0.2) -> int:
        time.sleep(seconds)
        return os.getpid()


class Own(BaseAdapter):
    """An object for each session."""

    scope = "session"
    cleaned = []

    def initialize(self) -> None:
        self.count = 0

    def cleanup(self) -> None:
        Own.cleaned.append(self.count)

    @tool
    def add(self) -> dict:
        self.count += 1
        return {"pid": os.getpid(), "count": self.count}

    @tool
    def cleaned_up(self) -> list:
        return Own.cleaned


class Models(BaseAdapter):
    """Says what it has loaded."""

    def __init__(self) -> None:
        self.labels = []

    def health(self) -> dict:
        return {"loaded": self.labels}

    @tool
    def load(self, labels: list) -> int:
        self.labels = labels
        return os.getpid()

    @tool
    def ask(self, seconds: float = 0.0) -> int:
        time.sleep(seconds)
        return os.getpid()
