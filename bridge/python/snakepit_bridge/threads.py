"""The ``thread`` profile: calls run in as many threads as the worker has slots, while the main thread reads."""

from __future__ import annotations

import threading
from _queue import SimpleQueue
from typing import Any

from .crew import Crew
from .strand import Strand


class ThreadWorker(Crew):
    """A worker whose tools run side by side. Async ones too run one in each thread, each with a loop of its own."""

    def __init__(self, tools: list[Any], page: Any, stream: Any, leave: Any, slots: int) -> None:
        """``page`` is a SharedPage; the others as for Desk."""
        super().__init__(tools, page, stream, leave)
        self._strands = [
            Strand(page, self._cancelled, self._feeds, self._requests) for _ in range(slots)
        ]
        self._ready: Any = SimpleQueue()  # one item for each call that came, to wake one thread

    def run(self) -> None:
        """Serve until the gateway says Stop or the stream ends, then exit the process."""
        for number, strand in enumerate(self._strands):
            threading.Thread(target=self._serve, args=(strand,), name=f"tool-{number}", daemon=True).start()
        self._read()

    def _serve(self, strand: Strand) -> None:
        while True:
            self._ready.get()
            claimed = self._next_call()
            if claimed is not None:
                self._run_on(strand, *claimed)

    def _take(self, frame: Any) -> None:
        super()._take(frame)
        for _ in frame.invokes:
            self._ready.put(None)

    def _stop_run(self, run_id: int) -> None:
        for strand in self._strands:
            strand.cancel(run_id)
