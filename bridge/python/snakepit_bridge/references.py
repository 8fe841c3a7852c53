"""Objects that callers hold references to: the least recently used and the long unused are let go."""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Callable

from .errors import ToolError
from .limits import number, seconds

MAX = 10_000  # references kept in one worker


class RefNotFoundError(ToolError):
    """The reference was released, evicted, or made by another worker."""


class SessionMismatchError(ToolError):
    """The reference is another session's."""


class InvalidRefError(ToolError):
    """It is no reference; ``details`` give the reason."""


class References:
    """Objects by session and id. For any thread."""

    def __init__(self, most: int = MAX, ttl: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        """``most`` is how many are kept, ``ttl`` for how many seconds after their last use; 0 means no limit."""
        self._most = most
        self._ttl = ttl
        self._now = now
        self._lock = threading.RLock()  # guards the following; an object's __del__ may come back here
        self._kept: OrderedDict[tuple[str, str], tuple[Any, float]] = OrderedDict()  # least recently used first

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> References:
        """By SNAKEBRIDGE_REF_MAX and SNAKEBRIDGE_REF_TTL_SECONDS."""
        return cls(
            number(environment, "SNAKEBRIDGE_REF_MAX", MAX), seconds(environment, "SNAKEBRIDGE_REF_TTL_SECONDS", 0.0)
        )

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, session_id: str, value: Any) -> str:
        """Keep an object; the id of its reference."""
        ref_id = uuid.uuid4().hex
        with self._lock:
            self._kept[session_id, ref_id] = value, self._now()
            dropped = self._prune()
        del dropped  # outside of the lock: this may run the objects' own code
        return ref_id

    def get(self, session_id: str, reference: Any) -> Any:
        """The object of a reference, which counts as used now.

        Raises InvalidRefError, SessionMismatchError or RefNotFoundError.
        """
        key = identity(session_id, reference)
        with self._lock:
            dropped = self._prune()
            found = self._kept.get(key)
            if found is not None:
                self._kept[key] = found[0], self._now()
                self._kept.move_to_end(key)
        del dropped
        if found is None:
            raise RefNotFoundError(f"there is no reference {key[1]!r} in this session", 404, "ref_not_found")
        return found[0]

    def release(self, session_id: str, reference: Any) -> bool:
        """Let go of one; False if it is not there. Raises InvalidRefError or SessionMismatchError."""
        key = identity(session_id, reference)
        with self._lock:
            return self._kept.pop(key, None) is not None

    def release_session(self, session_id: str) -> int:
        """Let go of all of a session's; how many there were."""
        with self._lock:
            keys = [key for key in self._kept if key[0] == session_id]
            dropped = [self._kept.pop(key) for key in keys]
        return len(dropped)

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            dropped = list(self._kept.values())
            self._kept.clear()
        del dropped  # their __del__ may come back here

    def _prune(self) -> list[Any]:
        dropped = []
        oldest = self._now() - self._ttl
        while self._kept:
            key = next(iter(self._kept))
            expired = self._ttl > 0 and self._kept[key][1] < oldest
            if not expired and not 0 < self._most < len(self._kept):
                break
            dropped.append(self._kept.pop(key))
        return dropped


def is_reference(value: Any) -> bool:
    """Whether a value has the form of one."""
    if not isinstance(value, dict):
        return False
    if value.get("__type__") is not None:
        return value["__type__"] in ("ref", "stream_ref")
    return bool(value.get("__snakebridge_ref__"))


_CALLERS = "*"  # no session of the gateway begins so


def of_caller(name: str) -> str:
    """The session that a call has named which is in none of the gateway's: never one of these, whatever the name."""
    return _CALLERS + name


def shown(session_id: str) -> str:
    """The name by which a session is told of."""
    return session_id[1:] if session_id.startswith(_CALLERS) else session_id


def session_of(reference: Any) -> str:
    """The session that a reference names, or an empty string."""
    found = reference.get("session_id") if isinstance(reference, dict) else None
    return found if isinstance(found, str) else ""


def identity(session_id: str, reference: Any) -> tuple[str, str]:
    """Session and id of a reference: one of the tagged objects, or the id alone. Raises as References.get() does."""
    if isinstance(reference, str) and reference:
        return session_id, reference
    if not is_reference(reference):
        raise _invalid("not_a_reference", "that is no reference")
    ref_id = reference.get("id") or reference.get("ref_id")
    if not isinstance(ref_id, str):
        raise _invalid("missing_id", "the reference has no id")
    theirs = session_of(reference)
    if theirs and theirs != shown(session_id):
        raise SessionMismatchError("the reference belongs to another session", 409, "session_mismatch")
    return session_id, ref_id


def _invalid(reason: str, message: str) -> InvalidRefError:
    return InvalidRefError(message, 422, "invalid_ref", {"reason": reason})
