"""Tools that take and give large bodies, and one that gives them as nobody should."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
from snakepit_bridge import Binary, parcel, tool

KEPT = []


@tool
def digest(body: bytes) -> str:
    """Its SHA-256, of bytes."""
    assert type(body) is bytes
    return hashlib.sha256(body).hexdigest()


@tool
def view_digest(body: memoryview) -> str:
    """The same of a view, which is kept for later calls."""
    KEPT[:] = [body]
    return hashlib.sha256(body).hexdigest()


@tool
def kept_digest() -> str:
    """Of what the call before has kept."""
    return hashlib.sha256(KEPT[0]).hexdigest()


@tool
def total(body: np.ndarray) -> Dict[str, Any]:
    """What an array is like, and its sum."""
    return {"type": str(body.dtype), "shape": body.shape, "sum": float(body.sum()), "writable": body.flags.writeable}


@tool
def length(text: str) -> int:
    """Of JSON arguments."""
    return len(text)


@tool
def mirror(body: bytes) -> bytes:
    """There and back."""
    return body


@tool
def text(size: int) -> str:
    """A JSON result."""
    return "x" * size


@tool
def array(count: int) -> Any:
    """Numbers, as they lie in memory."""
    return Binary(np.arange(count, dtype=np.float64))


@tool
def columns() -> Any:
    """Not in one piece."""
    return Binary(np.arange(40000, dtype=np.int64).reshape(200, 200).T)


@tool(batch=8)
def lengths(calls: List[Dict[str, Any]]) -> List[int]:
    """Of several calls at once."""
    return [len(each["text"]) for each in calls]


@tool(idempotent=True)
def die_once(body: bytes, content_type: str = "") -> str:
    """Dies at the first try; the place for the mark is in the content type's parameter."""
    mark = Path(content_type.partition("mark=")[2])
    if not mark.exists():
        mark.touch()
        os.abort()
    return hashlib.sha256(body).hexdigest()


@tool
def slow(body: memoryview) -> int:
    """Until it is cancelled."""
    time.sleep(30)
    return len(body)


@tool
def answer_and_die(size: int) -> bytes:
    """The process ends right after this answer was given away, before its frame is written."""
    original = parcel._send_copy

    def send(*arguments: Any) -> bool:
        parcel._send_copy = original
        sent = original(*arguments)
        _die_after_the_journal()
        return sent

    parcel._send_copy = send
    return b"z" * size


def _die_after_the_journal() -> None:
    from snakepit_bridge.outbox import Outbox

    Outbox.flush = lambda self: os.abort()


@tool
def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


@tool
def deceive(how: str) -> bytes:
    """Sends memory ahead that may not be read."""
    original = parcel._send_copy

    def send(line: Any, number: int, body: Any, size: int) -> Optional[bool]:
        parcel._send_copy = original
        descriptor = _make(how, body)
        if how != "nothing":
            line.send(number, descriptor)
        try:
            os.ftruncate(descriptor, 0)
        except OSError:
            pass
        os.close(descriptor)
        return True

    parcel._send_copy = send
    return b"y" * (1 << 20)


def _make(how: str, body: bytes) -> int:
    import fcntl

    if how == "device":
        return os.open("/dev/zero", os.O_RDWR)
    descriptor = os.memfd_create("deceit", os.MFD_ALLOW_SEALING)
    os.write(descriptor, body[:4096] if how == "short" else body)
    seals = {"shrinkable": fcntl.F_SEAL_WRITE, "writable": fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW}
    seals["short"] = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals.get(how, 0))
    return descriptor
