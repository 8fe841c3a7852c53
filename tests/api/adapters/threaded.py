"""An adapter that cannot be forked: it starts a thread when it is imported."""

import os
import threading
import time

_stop = threading.Event()
threading.Thread(target=_stop.wait, name="import-time-thread", daemon=True).start()


def alive() -> dict:
    """The thread of the import must live in the process that runs the tools."""
    return {"threads": [thread.name for thread in threading.enumerate()], "pid": os.getpid()}


def nap(seconds: float) -> int:
    """Sleep."""
    time.sleep(seconds)
    return os.getpid()
