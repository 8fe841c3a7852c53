"""What a worker remembers of the variables of sessions, until it is told that they have changed."""

from __future__ import annotations

import _thread
import os
import time
from collections import OrderedDict
from typing import Any, Optional

from .limits import number, seconds

TTL = seconds(os.environ, "SNAKEPIT_SESSIONS_VARIABLES_CACHE_TTL", 5.0)
MAX_BYTES = number(os.environ, "SNAKEPIT_SESSIONS_VARIABLES_CACHE_SIZE", 8 << 20)  # of values, all sessions together
MAX_SESSIONS = 256  # whose revisions are known, beside the values
MAX_VALUE = 64 << 10  # bytes; larger ones do not come in frames, and are read each time


class _Session:
    __slots__ = ("floor", "kept", "ttl")

    def __init__(self) -> None:
        self.floor = 0  # revision below which what is read is void
        self.kept: dict[str, tuple[float, Any]] = {}  # until when, and the bridge's message
        self.ttl = TTL


class Cache:
    """Any thread. What is kept are the bridge's messages, which nobody changes.

    Sessions go by their numbers: a later one of the same id has another. Of 0, a session whose number is not known,
    nothing is kept.
    """

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()  # guards the following
        self._sessions: OrderedDict[int, _Session] = OrderedDict()  # least recently written first
        self._size = 0

    def get(self, number: int, name: str) -> Optional[Any]:
        """The variable, or None when it has to be read."""
        session = self._sessions.get(number)
        until, variable = session.kept.get(name, (0.0, None)) if session is not None else (0.0, None)
        return variable if until > time.monotonic() else None

    def put(self, number: int, variables: Any, revision: int) -> None:
        """These were read, when the session was at least of that revision."""
        with self._lock:
            session = self._session(number)
            if not number or revision < session.floor or session.ttl <= 0:
                return
            until = time.monotonic() + session.ttl
            for variable in variables:
                size = len(variable.value)
                if size <= MAX_VALUE and self._size + size <= MAX_BYTES:
                    self._drop(session, variable.name)
                    session.kept[variable.name] = until, variable
                    self._size += size

    def written(self, number: int, names: Any, revision: int) -> None:
        """This worker has written these: what was read before is void."""
        with self._lock:
            session = self._session(number)
            session.floor = max(session.floor, revision)
            for name in names:
                self._drop(session, name)

    def invalidate(self, number: int, revision: int) -> None:
        """Somebody else has written, or the session is over."""
        with self._lock:
            session = self._session(number)
            session.floor = max(session.floor, revision)
            self._clear(session)

    def set_ttl(self, number: int, seconds: float) -> None:
        """For what is read from now on; 0 keeps nothing."""
        with self._lock:
            session = self._session(number)
            session.ttl = min(seconds, TTL)
            self._clear(session)

    def clear(self, number: int) -> None:
        """Read everything again."""
        with self._lock:
            self._clear(self._session(number))

    def _session(self, number: int) -> _Session:
        session = self._sessions.get(number)
        if session is None:
            session = self._sessions[number] = _Session()
            if len(self._sessions) > MAX_SESSIONS:
                self._clear(self._sessions.popitem(False)[1])
        self._sessions.move_to_end(number)
        return session

    def _drop(self, session: _Session, name: str) -> None:
        kept = session.kept.pop(name, None)
        if kept is not None:
            self._size -= len(kept[1].value)

    def _clear(self, session: _Session) -> None:
        for name in list(session.kept):
            self._drop(session, name)
