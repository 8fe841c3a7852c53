"""The exceptions of the SDK."""

from __future__ import annotations

from typing import Any


class ToolError(Exception):
    """Raised by a tool to choose the answer that its caller gets.

    ``status`` is the HTTP status (400 to 599; 0 leaves it to the gateway), ``code`` a short machine-readable word and
    ``details`` anything that can be encoded as JSON. Raises ValueError for another status.
    """

    status = 0
    code = ""
    details: Any = None

    def __init__(self, message: str, status: int = 0, code: str = "", details: Any = None) -> None:
        super().__init__(message)
        if status and not 400 <= status <= 599:
            raise ValueError(f"the status of a ToolError must be 400 to 599, not {status}")
        self.status = status
        self.code = code
        self.details = details


class Cancelled(BaseException):
    """Raised inside a running tool when nobody waits for its answer any more: the caller left, or the time ran out.

    Not an Exception, so that a tool's ``except Exception`` lets it pass; ``finally`` and ``with`` clean up as usual.
    """


class LoadError(Exception):
    """The adapter cannot be used as it is written; the message says what to change."""


class Refused(Exception):
    """A call that is answered before the tool's code is entered."""

    def __init__(self, kind: str, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.code = code
